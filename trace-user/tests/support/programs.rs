//! The programs under test.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use fixtures::load::Pattern;
use fixtures::spawn::{Fixture, Load, Program};
use fixtures::{Mode, spawn};

use super::machine::wait_for;

/// The binary `trace`: `TRACE_BIN`, or the one that cargo built for this test.
pub fn trace() -> PathBuf {
    std::env::var_os("TRACE_BIN").map_or_else(|| env!("CARGO_BIN_EXE_trace").into(), PathBuf::from)
}

/// The fixtures: `TRACE_FIXTURE_BIN`, or the hidden subcommand of `trace`.
fn fixture() -> Program {
    match std::env::var_os("TRACE_FIXTURE_BIN") {
        Some(path) => Program::new(path),
        // /tmp may be memory, where nobody waits for a disk.
        None => Program::new(trace()).arg("fixture").files_in(env!("CARGO_TARGET_TMPDIR")),
    }
}

/// What is started by nohup, or in the background by a shell, ignores SIGHUP and SIGINT, and trace leaves it so.
pub fn heeds_signals(command: &mut Command) {
    // SAFETY: signal(2) is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_DFL);
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        })
    };
}

/// Starts a server; `args` are separated by blanks.
pub fn serve(mode: Mode, args: &str) -> Fixture {
    fixture().serve(mode, &words(args)).unwrap()
}

/// Starts its clients.
pub fn load(pattern: Pattern, server: &Fixture, args: &str) -> Load {
    fixture().load(pattern, server.port(), &words(args)).unwrap()
}

/// Waits until the thread sleeps in one of these calls.
pub fn wait_until_in(server: &Fixture, calls: &[i64]) {
    let tid = server.ready().tid;
    spawn::wait_for("the server's sleep", || spawn::is_in_syscall(server.pid(), tid, calls)).unwrap();
}

/// Descriptors that a process has open.
pub fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Waits until a server whose clients have ended has done with their connections: it has no more descriptors than `before`
/// them. Clients have their last answer, and have gone, before the server has ended the call that gave it and received their
/// end: on a crowded machine long before.
pub fn wait_until_done(server: &Fixture, before: usize) {
    wait_for("the server to close its connections", || descriptors(server.pid()) <= before);
}

/// Waits until the thread that serves is asleep, in whatever call: there is nothing left that it could do.
pub fn wait_until_asleep(server: &Fixture) {
    let path = format!("/proc/{}/task/{}/syscall", server.pid(), server.ready().tid);
    wait_for("the server's sleep", || std::fs::read_to_string(&path).is_ok_and(|call| call != "running\n"));
}

pub fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}
