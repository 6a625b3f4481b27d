//! What the binary refuses, and how it says so: everything that is decided before a probe is loaded.
//!
//! Exit codes are the contract of DESIGN §6. Every error has a line that says what failed, one that says why,
//! and mostly one that says what to do.

use std::ffi::OsStr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const TRACE: &str = env!("CARGO_BIN_EXE_trace");

/// Runs `trace attach` with `args`.
fn attach<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    Command::new(TRACE).arg("attach").args(args).output().expect("trace starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Checks the exit code, that stdout is empty, and that stderr holds all of `texts`.
#[track_caller]
fn refused(output: &Output, code: i32, texts: &[&str]) {
    let stderr = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty(), "an error belongs to stderr");
    for text in texts {
        assert!(stderr.contains(text), "no {text:?} in: {stderr}");
    }
}

/// A process to name, which ends with its test.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Sleeper {
        Sleeper(Command::new("sleep").arg("600").spawn().expect("sleep starts"))
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether this process may load probes; prints why a test is skipped if not.
fn may_trace() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let effective = status.lines().find_map(|l| l.strip_prefix("CapEff:")).expect("CapEff");
    let effective = u64::from_str_radix(effective.trim(), 16).expect("hexadecimal");
    let may = effective & (1 << 21) != 0 || effective & (0b11 << 38) == 0b11 << 38;
    if !may {
        assert!(std::env::var_os("TRACE_REQUIRE_PRIVILEGED").is_none(), "no test may skip here");
        eprintln!("skipped: needs CAP_BPF and CAP_PERFMON (kernel/bpf/syscall.c, bpf_prog_load)");
    }
    may
}

#[test]
fn help_shows_examples_last_and_names_the_exit_codes() {
    let output = attach(["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (codes, examples) = (text.find("Exit codes:"), text.find("Examples:\n"));
    assert!(codes.is_some() && codes < examples, "{text}");
    assert!(text.contains("--btf <FILE>") && !text.contains("--by-descriptor"), "{text}");
}

#[test]
fn a_pid_that_does_not_exist_is_no_target() {
    let pid_max = std::fs::read_to_string("/proc/sys/kernel/pid_max").expect("/proc");
    let beyond: u32 = pid_max.trim().parse().expect("a number");
    refused(
        &attach(["--pid", &beyond.to_string()]),
        5,
        &["trace: error: ", "why: ", "does not exist", "try: "],
    );
}

#[test]
fn a_process_that_ended_is_no_target() {
    let mut child = Command::new("true").spawn().expect("true starts");
    let pid = child.id().to_string();
    let stat = format!("/proc/{pid}/stat");
    let is_zombie = || std::fs::read_to_string(&stat).is_ok_and(|s| s.contains(") Z "));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !is_zombie() {
        assert!(std::time::Instant::now() < deadline, "true does not end");
        std::thread::yield_now();
    }
    refused(&attach(["--pid", &pid]), 5, &["zombie"]);
    child.wait().expect("it ended");
    refused(&attach(["--pid", &pid]), 5, &["does not exist"]);
}

#[test]
fn a_kernel_thread_is_a_usage_error() {
    if !Path::new("/proc/2/stat").exists() {
        eprintln!("skipped: kernel threads are in the initial pid namespace, and this is another");
        return;
    }
    refused(&attach(["--pid", "2"]), 2, &["kernel thread"]);
}

#[test]
fn pid_0_is_a_usage_error() {
    refused(&attach(["--pid", "0"]), 2, &["trace: error: ", "idle task"]);
}

#[test]
fn what_is_no_number_is_a_usage_error() {
    refused(&attach(["--pid", "abc"]), 2, &["abc", "--pid"]);
    refused(&attach(["--pid", "-1"]), 2, &["-1"]);
    refused(&attach(["--port", "65536"]), 2, &["65536"]);
}

#[test]
fn no_target_and_two_kinds_of_target_are_usage_errors() {
    refused(&attach([""; 0]), 2, &["--pid", "--port", "--name"]);
    refused(&attach(["--pid", "1", "--name", "x"]), 2, &["cannot be used with"]);
}

#[test]
fn a_window_of_no_length_is_a_usage_error() {
    for duration in ["0", "0s", "0ms", "0.0h", "soon", "-1s", ""] {
        refused(&attach(["--pid", "1", &format!("--duration={duration}")]), 2, &["--duration"]);
    }
}

#[test]
fn trace_does_not_trace_itself() {
    // The shell becomes trace, with its own pid as the argument.
    let output = Command::new("sh").args(["-c", "exec \"$0\" attach --pid $$", TRACE]).output().expect("sh");
    refused(&output, 2, &["trace itself"]);
}

#[test]
fn a_thread_id_names_its_process() {
    // SAFETY: gettid has no arguments and cannot fail.
    let tid = unsafe { libc::gettid() }.to_string();
    let pid = std::process::id().to_string();
    if tid == pid {
        eprintln!("skipped: the test harness runs its tests on the first thread");
        return;
    }
    refused(&attach(["--pid", &tid]), 2, &[&format!("trace attach --pid {pid}")]);
}

#[test]
fn a_name_or_port_that_nobody_has_is_no_target() {
    refused(&attach(["--name", "no-such-name-at-all"]), 5, &["no process named", "try: "]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    drop(listener);
    refused(&attach(["--port", &port]), 5, &["no server on port", "try: "]);
}

#[test]
fn unrelated_processes_of_one_name_are_listed() {
    let name = format!("dup{}", std::process::id());
    let dir = tempfile::tempdir().expect("a directory");
    let program = dir.path().join(&name);
    let sleep = std::fs::canonicalize("/bin/sleep").expect("sleep");
    std::fs::copy(sleep, &program).expect("a copy");
    let start = || Sleeper(Command::new(&program).arg("600").spawn().expect("starts"));
    let (one, two) = (start(), start());
    refused(&attach(["--name", &name]), 2, &["ambiguous", &one.pid(), &two.pid()]);
}

#[test]
fn without_rights_the_missing_capabilities_and_the_command_are_named() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become nobody");
        assert!(std::env::var_os("TRACE_REQUIRE_PRIVILEGED").is_none(), "no test may skip here");
        return;
    }
    // Nobody may not enter every target directory.
    let dir = tempfile::Builder::new().prefix("trace-cli").tempdir_in("/tmp").expect("a directory");
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mode");
    let program = dir.path().join("trace");
    std::fs::copy(TRACE, &program).expect("a copy");
    let sleeper = Sleeper::start();
    let nobody = |args: &[&str]| {
        let drop = ["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"];
        let mut command = Command::new("setpriv");
        command.args(drop).arg(&program).arg("attach").args(args).output().expect("setpriv starts")
    };
    let sudo = format!("try: sudo {} attach --pid {}", program.display(), sleeper.pid());
    refused(&nobody(&["--pid", &sleeper.pid()]), 6, &["CAP_BPF", "CAP_PERFMON", &sudo]);
    refused(&nobody(&["--pid", "0"]), 2, &["idle task"]);
    refused(&nobody(&["--pid", &sleeper.pid(), "--output", "/root/r.json"]), 2, &["cannot create"]);
}

#[test]
fn a_kernel_without_types_is_named() {
    if !may_trace() {
        return;
    }
    let sleeper = Sleeper::start();
    for btf in ["/nonexistent/vmlinux", "/tmp"] {
        refused(&attach(["--pid", &sleeper.pid(), "--btf", btf]), 7, &[btf, "why: ", "--btf FILE"]);
    }
}

/// `--btf` names a file that is not there: were the outputs looked at later, the exit code would be 7.
#[test]
fn an_output_that_cannot_be_written_is_found_before_measuring() {
    let dir = tempfile::tempdir().expect("a directory");
    let (old, link) = (dir.path().join("old.json"), dir.path().join("link.json"));
    std::fs::write(&old, "old").expect("written");
    symlink(&old, &link).expect("linked");
    std::fs::create_dir(dir.path().join("dir.json")).expect("created");
    let sleeper = Sleeper::start();
    for (file, why) in [
        ("no/such/directory.json", "does not exist"),
        ("old.json", "--force"),
        ("link.json", "symbolic link"),
        ("dir.json", "directory"),
        ("report.xml", ".folded, .prom, .timeline.json or .trace"),
        ("report", ".folded, .prom, .timeline.json or .trace"),
    ] {
        let path = dir.path().join(file);
        let path = path.to_str().expect("UTF-8");
        let good = dir.path().join("good.json");
        let output = attach([
            "--pid",
            &sleeper.pid(),
            "--btf",
            "/nonexistent",
            "--output",
            good.to_str().expect("UTF-8"),
            path,
        ]);
        refused(&output, 2, &["trace: error: cannot", why]);
        assert!(!good.exists(), "what was created before is taken away");
    }
    assert_eq!(std::fs::read_to_string(&old).expect("text"), "old");
}

#[test]
fn an_output_of_a_run_that_fails_is_taken_away() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("r.json");
    let sleeper = Sleeper::start();
    let output =
        attach(["--pid", &sleeper.pid(), "--btf", "/nonexistent", "--output", path.to_str().expect("UTF-8")]);
    assert_ne!(output.status.code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn a_closed_stdout_is_no_error() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let child = Command::new(TRACE).args(["attach", "--help"]).stdout(writer).stderr(Stdio::piped()).spawn();
    let output = child.and_then(Child::wait_with_output).expect("trace starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
}

#[test]
fn names_of_processes_cannot_draw_on_the_terminal() {
    let output = attach(["--name", "\x1b[2Jx\u{202e}"]);
    refused(&output, 5, &["\\x1b[2Jx\\u{202e}"]);
    assert!(!stderr(&output).contains('\x1b'));
}
