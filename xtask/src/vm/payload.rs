//! The default payload: an integration test of `trace-user` with the programs it drives.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::initramfs::{Payload, guest_path};
use crate::process;

/// The programs that the tests start, and the variables that tell them where.
const PROGRAMS: [(&str, &str); 2] = [("trace", "TRACE_BIN"), ("trace-fixture", "TRACE_FIXTURE_BIN")];

/// One line of cargo's JSON output, as far as it matters.
#[derive(Deserialize)]
struct Message {
    /// What was built; absent in other messages.
    target: Option<Target>,
    /// Where it is, if it can be run.
    executable: Option<PathBuf>,
}

/// A target of a package.
#[derive(Deserialize)]
struct Target {
    /// Its name.
    name: String,
    /// `bin`, `test`, ….
    kind: Vec<String>,
}

/// Something cargo built that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Executable {
    /// The target's name.
    name: String,
    /// Whether it is an integration test.
    is_test: bool,
    /// Where it is.
    path: PathBuf,
}

/// Builds a test and the programs it drives.
///
/// # Errors
/// When the build fails or lacks one of them.
pub fn tests(root: &Path, test: &str) -> Result<Payload> {
    let mut built = build(root, &["build", "-p", "trace-user", "-p", "fixtures", "--bins"])?;
    built.extend(build(root, &["test", "--no-run", "-p", "trace-user", "--test", test])?);
    let find = |name: &str, is_test: bool| {
        let wanted = |executable: &&Executable| executable.name == name && executable.is_test == is_test;
        built.iter().find(wanted).map(|executable| executable.path.clone())
    };
    let program = find(test, true).with_context(|| format!("cargo built no test `{test}` of trace-user"))?;
    let mut payload = Payload::of_program(&program);
    // A skip would hide that a kernel is not covered.
    payload.variables.push(("TRACE_REQUIRE_PRIVILEGED".into(), "1".into()));
    payload.variables.push(("RUST_BACKTRACE".into(), "1".into()));
    for (name, variable) in PROGRAMS {
        let path = find(name, false).with_context(|| format!("cargo built no program `{name}`"))?;
        payload.variables.push((variable.into(), guest_path(&path)));
        payload.files.push(path);
    }
    payload.arguments.push("--test-threads=1".into());
    if let Some((_, only)) = IN_GUESTS.iter().find(|(name, _)| *name == test) {
        payload.arguments.extend(only.iter().map(|&part| part.to_owned()));
    }
    Ok(payload)
}

/// Of the tests that guests run, those whose counts depend on the kernel's hooks. Under emulation every run of the tracer
/// takes seconds, and comparing times says nothing about a kernel.
const IN_GUESTS: [(&str, &[&str]); 4] = [
    ("exact", &["twenty_three_receives", "poll_over_one", "epoll_over_fifty", "datagrams_without"]),
    ("models", &["every_fixture", "readers_of_files"]),
    ("raw", &["counts_are_exact", "who_was_asleep"]),
    ("timeline", &["the_tracks", "a_copy_that", "who_was_asleep"]),
];

/// Runs cargo and returns what it built.
fn build(root: &Path, arguments: &[&str]) -> Result<Vec<Executable>> {
    let mut command = process::cargo();
    command.current_dir(root).args(arguments).args(["--locked", "--message-format=json-render-diagnostics"]);
    println!("vm: {}", process::describe(&command));
    // Diagnostics go to where ours go.
    Ok(executables(&process::capture(command.stderr(Stdio::inherit()))?))
}

/// Reads cargo's JSON output.
fn executables(messages: &str) -> Vec<Executable> {
    let parsed = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let executable = |Message { target, executable }: Message| {
        let Target { name, kind } = target?;
        Some(Executable { name, is_test: kind.iter().any(|kind| kind == "test"), path: executable? })
    };
    parsed.filter_map(executable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_among_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"libc"},"executable":null}
{"reason":"build-script-executed","package_id":"x"}
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"trace"},"executable":"/t/debug/trace"}
{"reason":"compiler-artifact","target":{"kind":["test"],"name":"exact"},"executable":"/t/debug/deps/exact-1"}
{"reason":"build-finished","success":true}"#;
        let expected =
            |name: &str, is_test, path: &str| Executable { name: name.into(), is_test, path: path.into() };
        let built =
            [expected("trace", false, "/t/debug/trace"), expected("exact", true, "/t/debug/deps/exact-1")];
        assert_eq!(executables(messages), built);
    }
}
