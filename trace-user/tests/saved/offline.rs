//! What the program says of itself, and that none of it needs a privilege.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{REDIS, SAVED, TRACE, json, says, text};

/// All commands that are not hidden, by the list of their help.
fn commands() -> Vec<String> {
    let help = says(0, &["--help"]);
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")).filter_map(first).collect()
}

#[test]
fn real_reports_are_valid_by_the_schema() {
    let schema = json(&says(0, &["schema"]));
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for file in [REDIS, SAVED] {
        let report: Value = json(&says(0, &["report", file, "--format", "json"]));
        let errors: Vec<_> = validator.iter_errors(&report).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{file}: {errors:?}");
    }
}

#[test]
fn every_command_has_help_that_ends_with_examples_and_a_page() {
    let commands = commands();
    assert!(commands.len() >= 13, "{commands:?}");
    for command in commands.iter().filter(|command| *command != "help") {
        let help = says(0, &[command, "--help"]);
        let examples = help.split("Examples:\n").last().unwrap();
        assert!(
            examples.contains("trace") && examples.lines().all(|line| line.starts_with("  ")),
            "{command}: {help}"
        );
        let page = says(0, &["man", command]);
        assert!(page.contains(&format!(".TH TRACE-{} 1", command.to_uppercase())), "{page}");
        assert!(page.contains("Examples:"), "{command}");
    }
    assert!(says(0, &["man"]).contains(".TH TRACE 1"));
}

#[test]
fn pages_are_read_by_man_and_scripts_by_their_shells() {
    for (shell, check) in [("bash", "bash -n"), ("zsh", "zsh -n"), ("fish", "fish --no-execute")] {
        let script = says(0, &["completions", shell]);
        assert!(commands().iter().all(|command| script.contains(command.as_str())), "{shell}");
        pipe(check, &script);
    }
    for page in [&["man"][..], &["man", "attach"]] {
        pipe("groff -man -Tutf8 -ww -z", &says(0, page));
    }
}

/// Gives `text` to a program, which has to be content with it; without that program nothing is said.
fn pipe(command: &str, text: &str) {
    let mut words = command.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        eprintln!("skipped: {command:?} is not installed");
        return;
    };
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", super::text(&output.stderr));
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let coloured = |args: &[&str]| {
        let output = Command::new(TRACE).args(args).output().unwrap();
        [output.stdout, output.stderr].concat().contains(&0x1b)
    };
    assert!(!coloured(&["--help"]) && !coloured(&["attach"]));
    assert!(coloured(&["--help", "--color", "always"]) && coloured(&["attach", "--color=always"]));
    assert!(!coloured(&["--help", "--color", "never"]));
    // What is no help and no error has none at all.
    assert!(!coloured(&["--color", "always", "report", REDIS]));
    assert!(!coloured(&["--color", "always", "diff", SAVED, REDIS]));
}

#[test]
fn a_terminal_gets_colour_unless_no_color_is_set() {
    let on_a_terminal = |no_color: &str| {
        let mut script = Command::new("script");
        script.args(["-qec", &format!("{TRACE} --help"), "/dev/null"]).env("TERM", "xterm");
        let output = script.env("NO_COLOR", no_color).stdin(Stdio::null()).output();
        output.ok().map(|output| output.stdout.contains(&0x1b))
    };
    let (Some(plain), Some(coloured)) = (on_a_terminal("1"), on_a_terminal("")) else {
        eprintln!("skipped: script (util-linux) is not installed");
        return;
    };
    assert!(coloured && !plain);
}

#[test]
fn nothing_on_saved_files_needs_a_privilege() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("this test itself runs without privileges, so all others have shown it");
        return;
    }
    // Nobody may not enter every target directory.
    let directory = TempDir::new_in("/tmp").unwrap();
    let put = |from: &str, name: &str, mode: u32| {
        let path = directory.path().join(name);
        std::fs::copy(from, &path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let (program, a, b) =
        (put(TRACE, "trace", 0o755), put(SAVED, "a.trace", 0o644), put(REDIS, "b.trace", 0o644));
    let out = directory.path().join("out.trace").to_str().unwrap().to_owned();
    for args in [
        &["report", &b, "--format", "json"][..],
        &["diff", &a, &b],
        &["check", &b, "--expect", "threads=5"],
        &["explain", "copy", "--report", &b],
        &["redact", &b, "--output", &out],
        &["schema"],
        &["completions", "bash"],
        &["man", "attach"],
    ] {
        let nobody = ["--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--", &program];
        let output = Command::new("setpriv").args(nobody).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
        assert!(output.stderr.is_empty(), "{args:?}: {}", text(&output.stderr));
    }
    assert!(Path::new(&out).exists());
}
