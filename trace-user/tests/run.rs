//! `trace run`: a command from its first instruction on.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;
#[path = "run/terminal.rs"]
mod terminal;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use support::machine::wait_for;
use support::programs::{heeds_signals, trace};
use support::real::are_installed;
use support::report::Report;
use support::test_alone;
use tempfile::TempDir;

/// A directory for outputs, which everybody may enter.
fn directory() -> TempDir {
    let directory = TempDir::new_in("/tmp").unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    directory
}

fn command(options: &[&str], words: &[&str]) -> Command {
    let mut command = Command::new(trace());
    command.arg("run").args(options).arg("--").args(words);
    command.env_remove("SUDO_UID").env_remove("SUDO_GID");
    heeds_signals(&mut command);
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn refused(output: &Output, code: i32, texts: &[&str]) {
    let stderr = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    texts.iter().for_each(|text| assert!(stderr.contains(text), "no {text:?} in: {stderr}"));
}

/// The report in a file, after the checks that every report must pass.
fn report(path: &Path) -> Report {
    let report: Report = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    report.check();
    report
}

/// Runs `words` with the report in a file.
fn traced(options: &[&str], words: &[&str]) -> (Output, Report) {
    let directory = directory();
    let file = directory.path().join("r.json");
    let output = command(&[options, &["--output", file.to_str().unwrap()]].concat(), words).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    (output, report(&file))
}

#[test]
fn a_command_is_counted_from_its_first_instruction_and_keeps_its_streams() {
    test_alone!();
    if !are_installed(&["python3"]) {
        return;
    }
    let script = "import socket,sys\n\
                  a,b=socket.socketpair()\n\
                  for i in range(100): a.send(b'x'*7); b.recv(7)\n\
                  print(sys.stdin.read().upper(),end=''); print('aside',file=sys.stderr); sys.exit(3)";
    let directory = directory();
    let (file, input) = (directory.path().join("r.json"), directory.path().join("in"));
    std::fs::write(&input, "words").unwrap();
    let mut command = command(&["--output", file.to_str().unwrap()], &["/usr/bin/python3", "-c", script]);
    let output = command.stdin(std::fs::File::open(&input).unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(output.stdout, b"WORDS");
    assert_eq!(stderr(&output), "aside\ntrace: /usr/bin/python3 exited with status 3\n");
    let report = report(&file);
    let receives = report.receives();
    assert_eq!((receives.calls, receives.with_data, receives.bytes), (100, 100, 700));
    assert_eq!((&*report.window.ended_by, report.target.threads), ("target-exit", 1));
}

#[test]
fn the_time_that_a_command_was_held_is_no_wait_of_its_own() {
    test_alone!();
    let (_, report) = traced(&[], &["sleep", "0.3"]);
    let exited = &report.processes[0].exited;
    println!("{:?}", exited.ledger);
    let ns = |account| exited.ledger.ns(account);
    assert!((300_000_000..400_000_000).contains(&ns("wait_timer")), "{:?}", exited.ledger);
    assert!(ns("stopped") < 50_000_000, "{:?}", exited.ledger);
    // Not `execve` in user mode, and not the wait for the window.
    assert!(ns("user") > 0 && ns("unknown") == 0, "{:?}", exited.ledger);
    assert_eq!(report.processes[0].comm, "sleep");
}

#[test]
fn the_report_goes_to_stderr_and_stdout_is_the_commands_alone() {
    test_alone!();
    let output = command(&[], &["echo", "hello"]).output().unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"hello\n"[..]));
    let text = stderr(&output);
    assert!(text.starts_with("trace: echo exited with status 0\necho (pid "), "{text}");
    assert!(text.contains("How far to trust it"), "{text}");
    let output = command(&["--quiet", "--format", "json"], &["sh", "-c", "kill -9 $$"]).output().unwrap();
    let report: Report = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((output.status.code(), report.target.processes), (Some(0), 1));
}

#[test]
fn descendants_are_followed_until_the_last_has_ended_however_short_they_live() {
    test_alone!();
    let script = "(sleep 0.2; true)& for i in 1 2 3; do /bin/true; done; kill -9 $$";
    let (output, report) = traced(&[], &["sh", "-c", script]);
    assert_eq!(stderr(&output), "trace: sh was killed by signal 9 (SIGKILL)\n");
    println!("{:?}", report.processes.iter().map(|p| &p.comm).collect::<Vec<_>>());
    // sh, its subshell, sleep, and three or, where a subshell execs its last command, …
    assert!(report.target.processes >= 6, "{}", report.target.processes);
    assert_eq!(report.processes.len() as u64, report.target.processes);
    assert_eq!(report.processes.iter().map(|p| p.exited.threads).sum::<u64>(), report.target.threads);
    assert!(report.window.duration_ns > 200_000_000);
    let (_, alone) = traced(&["--no-follow"], &["sh", "-c", "sleep 0.1; true"]);
    assert_eq!(alone.target.processes, 1);
}

#[test]
fn a_window_with_a_duration_ends_before_the_command_which_goes_on() {
    test_alone!();
    let (output, report) = traced(&["--duration", "200ms"], &["sh", "-c", "sleep 1; echo whole; exit 4"]);
    assert_eq!(output.stdout, b"whole\n");
    assert_eq!(stderr(&output), "trace: sh is still running\ntrace: sh exited with status 4\n");
    assert_eq!(report.window.ended_by, "duration");
    assert!(report.window.duration_ns < 900_000_000);
}

#[test]
fn a_command_that_cannot_be_executed_is_refused_and_leaves_no_file() {
    test_alone!();
    let directory = directory();
    let file = directory.path().join("r.json");
    for (word, why) in
        [("no-such-command", "No such file"), ("/etc/passwd", "Permission denied"), ("", "No such file")]
    {
        let output = command(&["--output", file.to_str().unwrap()], &[word]).output().unwrap();
        refused(&output, 2, &[format!("trace: error: cannot run {word}").trim_end(), why]);
        assert!(!file.exists());
    }
    refused(&command(&[], &[]).output().unwrap(), 2, &["COMMAND"]);
    refused(&command(&["--output", "/no/such/r.json"], &["true"]).output().unwrap(), 2, &["does not exist"]);
}

#[test]
fn under_sudo_a_command_runs_as_the_user_who_called_it() {
    test_alone!();
    if !geteuid().is_root() {
        eprintln!("skipped: only root is called by sudo");
        assert!(std::env::var_os("TRACE_REQUIRE_PRIVILEGED").is_none(), "no test may skip here");
        return;
    }
    let script = "id -u; id -g; id -G; echo $HOME $USER $SUDO_UID; grep -c '^CapEff:.*0000000000000000' /proc/self/status";
    let says = |options: &[&str], uid: &str| {
        let mut command = command(&[options, &["--quiet"]].concat(), &["sh", "-c", script]);
        let output =
            command.env("SUDO_UID", uid).env("SUDO_GID", "65534").env("USER", "root").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(says(&[], "65534"), "65534\n65534\n65534\n/nonexistent nobody\n1\n");
    assert!(says(&["--as-root"], "65534").starts_with("0\n0\n"));
    assert!(says(&[], "0").starts_with("0\n"));
    let mut unclear = command(&[], &["id"]);
    refused(&unclear.env("SUDO_UID", "root").output().unwrap(), 2, &["SUDO_UID is root", "--as-root"]);
}

#[test]
fn a_signal_to_trace_is_passed_on_and_a_second_ends_it() {
    test_alone!();
    let directory = directory();
    let file = directory.path().join("r.json");
    let start = |script: &str| {
        let mut command = command(&["--force", "--output", file.to_str().unwrap()], &["sh", "-c", script]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        wait_for_word(&mut child, "ready");
        child
    };
    let send = |child: &Child, signal| kill_process(Pid::from_child(child), signal).unwrap();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut child =
            start("trap 'echo got it; exit 5' TERM INT HUP; echo ready; while :; do sleep 0.02; done");
        send(&child, signal);
        wait_for_word(&mut child, "got it");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal:?}");
        assert_eq!(report(&file).window.ended_by, "interrupt", "{signal:?}");
    }
    std::fs::remove_file(&file).unwrap();
    let mut child = start(
        "trap 'sleep 0.1; echo no' TERM; echo ready; i=0; while [ $i -lt 100 ]; do sleep 0.02; i=$((i+1)); done",
    );
    send(&child, Signal::TERM);
    wait_for_word(&mut child, "no");
    send(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!file.exists());
}

/// Reads from the child's stdout until the word has come.
fn wait_for_word(child: &mut Child, word: &str) {
    use std::io::Read as _;
    let stdout = child.stdout.as_mut().unwrap();
    let mut said = String::new();
    wait_for(word, || {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "it said only {said:?}");
        said.push(byte[0].into());
        said.ends_with(word)
    });
}

#[test]
fn a_command_whose_tracer_dies_before_the_window_opens_does_not_run() {
    test_alone!();
    let directory = directory();
    let file = directory.path().join("ran");
    let touch = ["touch", file.to_str().unwrap()];
    let output = command(&["--btf", "/etc/hostname"], &touch).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert!(!file.exists());
}
