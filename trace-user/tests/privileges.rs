//! With which rights `trace` does what, and what is left of them while it looks at its target: docs/SECURITY.md.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fixtures::Mode;
use fixtures::spawn::Fixture;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::machine::wait_for;
use support::programs::{heeds_signals, serve, trace, wait_until_in, words};
use support::test_alone;
use support::tracer::Tracer;
use tempfile::TempDir;

/// Numbers of capabilities (`include/uapi/linux/capability.h`).
const DAC_OVERRIDE: u32 = 1;
const DAC_READ_SEARCH: u32 = 2;
const KILL: u32 = 5;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const BPF: u32 = 39;

/// Whether this is root, who can become somebody else.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("TRACE_REQUIRE_PRIVILEGED").is_none(), "no test may skip here");
        eprintln!("skipped: only root can give capabilities away");
    }
    root
}

/// A directory that everybody may enter.
fn directory() -> TempDir {
    let directory = TempDir::new_in("/tmp").unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// `trace` as nobody with these capabilities and no way to others.
struct Limited {
    _directory: TempDir,
    program: PathBuf,
}

impl Limited {
    fn new() -> Limited {
        let directory = directory();
        let program = directory.path().join("trace");
        std::fs::copy(trace(), &program).unwrap();
        Limited { _directory: directory, program }
    }

    fn run(&self, capabilities: &str, args: &str) -> Output {
        let added: String = capabilities.split_whitespace().map(|c| format!(",+{c}")).collect();
        let mut command = Command::new("setpriv");
        command.args(words("--reuid nobody --regid nogroup --clear-groups"));
        for set in ["inh-caps", "ambient-caps", "bounding-set"] {
            command.arg(format!("--{set}=-all{added}"));
        }
        command.arg(&self.program).args(words(args)).stdin(Stdio::null()).output().unwrap()
    }

    fn report(&self, capabilities: &str, args: &str) -> Value {
        let output = self.run(capabilities, &format!("{args} --format json"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{capabilities}: {said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// What each capability is worth, and that no other is needed: a row of the table in docs/SECURITY.md each.
#[test]
fn each_capability_buys_what_the_table_says_and_no_root_is_needed() {
    test_alone!();
    if !is_root() {
        return;
    }
    let (limited, server) = (Limited::new(), serve(Mode::Epoll, ""));
    wait_until_in(&server, &[libc::SYS_epoll_wait]);
    let attach = format!("attach --pid {} --duration 300ms", server.pid());
    for (capabilities, exe, asleep_in, cost) in [
        ("bpf perfmon", false, false, false),
        ("bpf perfmon sys_ptrace", true, false, false),
        ("bpf perfmon sys_ptrace dac_read_search", true, true, false),
        ("bpf perfmon sys_ptrace dac_read_search sys_admin", true, true, true),
    ] {
        let report = limited.report(capabilities, &attach);
        assert_eq!(report["calibration"]["measured"], report["calibration"]["done"], "{capabilities}");
        assert_eq!(!report["target"]["exe"].is_null(), exe, "{capabilities}");
        assert_eq!(!report["cost"]["bpf_run_ns"].is_null(), cost, "{capabilities}");
        let ledger = &report["processes"][0]["threads"][0]["ledger"];
        let account = if asleep_in { "wait_ready_ns" } else { "unknown_ns" };
        assert!(ledger[account].as_u64().unwrap() > 250_000_000, "{capabilities}: {ledger}");
    }
    let by_port = format!("attach --port {} --duration 300ms", server.port());
    assert_eq!(limited.run("bpf perfmon sys_ptrace", &by_port).status.code(), Some(6));
    let found = limited.report("bpf perfmon sys_ptrace dac_read_search", &by_port);
    assert_eq!(found["target"]["pids"][0], server.pid());
}

#[test]
fn what_is_missing_is_named() {
    test_alone!();
    if !is_root() {
        return;
    }
    let (limited, server) = (Limited::new(), serve(Mode::Epoll, ""));
    for (has, lacks) in [
        ("perfmon sys_ptrace", &["CAP_BPF"][..]),
        ("bpf sys_ptrace", &["CAP_PERFMON"]),
        ("sys_ptrace net_admin", &["CAP_BPF", "CAP_PERFMON"]),
    ] {
        let output = limited.run(has, &format!("attach --pid {}", server.pid()));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(6), 0), "{said}");
        let why = said.lines().find(|line| line.starts_with("  why: ")).unwrap();
        for name in ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE"] {
            assert_eq!(why.contains(name), lacks.contains(&name), "{has}: {why}");
        }
    }
}

/// What stands behind `name` in the status of each thread of a process.
fn of_threads(pid: u32, name: &str) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let value = |thread: std::fs::DirEntry| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap();
        status.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned())).unwrap()
    };
    threads.map(|thread| value(thread.unwrap())).collect()
}

/// Waits until every thread of the process has these capabilities and no others, and none can come back.
fn wait_until_left(pid: u32, capabilities: &[u32]) {
    let wanted = format!("{:016x}", capabilities.iter().fold(0_u64, |set, c| set | 1 << c));
    let all = |name: &str, wanted: &str| of_threads(pid, name).iter().all(|found| found == wanted);
    wait_for("rights to be given up", || all("NoNewPrivs:", "1"));
    // For an instant another one is effective: when the statistics of the kernel are switched on, or records are made.
    wait_for("the effective rights", || all("CapEff:", &wanted));
    let permitted = format!("{:016x}", u64::from_str_radix(&wanted, 16).unwrap() | 1 << SYS_ADMIN | 1 << BPF);
    assert!(all("CapPrm:", &permitted), "{:?}, not {permitted}", of_threads(pid, "CapPrm:"));
    for set in ["CapInh:", "CapAmb:"] {
        assert!(all(set, "0000000000000000"), "{set} {:?}", of_threads(pid, set));
    }
}

#[test]
fn once_attached_rights_are_given_up_and_the_report_lacks_nothing() {
    test_alone!();
    if !is_root() {
        return;
    }
    let server = serve(Mode::Epoll, "");
    wait_until_in(&server, &[libc::SYS_epoll_wait]);
    let tracer = Tracer::attach(server.pid(), &[]);
    wait_until_left(tracer.pid(), &[DAC_READ_SEARCH, SYS_PTRACE]);
    let ended = {
        tracer.signal(Signal::INT);
        tracer.wait()
    };
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(report["target"]["exe"].is_string() && report["cost"]["bpf_run_ns"].is_number(), "{report:#}");
    assert!(report["processes"][0]["threads"][0]["ledger"]["wait_ready_ns"].as_u64().unwrap() > 0);
}

/// A user's directory, where root without CAP_DAC_OVERRIDE may not take a file away.
#[test]
fn a_partial_file_in_somebodys_directory_is_taken_away_all_the_same() {
    test_alone!();
    if !is_root() {
        return;
    }
    let (server, directory) = (serve(Mode::Epoll, ""), directory());
    std::os::unix::fs::chown(directory.path(), Some(65534), Some(65534)).unwrap();
    // The report may be complete before the second interrupt: then it stays, and that was no test.
    let was_taken_away = |round: usize| {
        let file = directory.path().join(format!("{round}.json"));
        let code = interrupted_twice(&server, &file);
        if !file.exists() {
            assert_eq!(code, Some(130));
            return true;
        }
        assert!(complete(&file), "half a report, and exit code {code:?}");
        false
    };
    assert!((0..20).any(was_taken_away), "twenty reports were faster than two interrupts");
}

/// Attaches with this output file, and interrupts twice: it is stopped in between, so that it does not get far.
fn interrupted_twice(server: &Fixture, file: &Path) -> Option<i32> {
    let mut command = Command::new(trace());
    command.args(words(&format!("attach --quiet --pid {} --output", server.pid()))).arg(file);
    heeds_signals(&mut command);
    let mut child = command.env("SUDO_UID", "65534").stdout(Stdio::null()).spawn().unwrap();
    wait_until_left(child.id(), &[DAC_OVERRIDE, DAC_READ_SEARCH, SYS_PTRACE]);
    assert_eq!(file.metadata().unwrap().uid(), 65534);
    let pid = Pid::from_child(&child);
    for (signal, pause_ms) in [(Signal::INT, 2), (Signal::STOP, 40), (Signal::INT, 0), (Signal::CONT, 0)] {
        kill_process(pid, signal).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(pause_ms));
    }
    child.wait().unwrap().code()
}

fn complete(file: &Path) -> bool {
    serde_json::from_slice::<Value>(&std::fs::read(file).unwrap()).is_ok()
}

/// Signals to trace are passed on to a command of another user, which takes CAP_KILL.
#[test]
fn a_command_of_another_user_still_gets_the_signals() {
    test_alone!();
    if !is_root() {
        return;
    }
    let mut command = Command::new(trace());
    command.args(["run", "--quiet", "--", "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.02; done"]);
    heeds_signals(&mut command);
    command.env("SUDO_UID", "65534").env("SUDO_GID", "65534").stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_until_left(child.id(), &[DAC_READ_SEARCH, KILL, SYS_PTRACE]);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
