//! What `trace list` and `trace doctor` say is what `trace attach` then does; and the live line of a terminal.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use fixtures::Mode;
use fixtures::load::Pattern;
use serde_json::Value;
use support::programs::{load, serve, trace, words};
use support::test_alone;
use tempfile::TempDir;

/// What a rewritten line begins with.
const ERASE: &str = "\r\x1b[K";

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs it and reads the JSON on its stdout.
fn json(command: &mut Command) -> (Option<i32>, Value) {
    let output = run(command);
    let value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}{}", text(&output.stdout), text(&output.stderr)));
    (output.status.code(), value)
}

/// A copy of `trace` that nobody may run: not every target directory may be entered.
struct Copy {
    _dir: TempDir,
    program: PathBuf,
}

impl Copy {
    fn new() -> Copy {
        let dir = tempfile::Builder::new().prefix("trace-doctor").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = dir.path().join("trace");
        // By another process: a descriptor open for writing would be inherited by what tests beside this one start, and the
        // program be busy.
        assert!(Command::new("cp").arg(trace()).arg(&program).status().unwrap().success());
        Copy { _dir: dir, program }
    }

    fn as_nobody(&self, args: &str) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(words("--reuid nobody --regid nogroup --clear-groups"))
            .arg(&self.program)
            .args(words(args));
        command
    }
}

/// Whether this is root, who can become somebody else; prints why a test is skipped if not.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("TRACE_REQUIRE_PRIVILEGED").is_none(), "no test may skip here");
        eprintln!("skipped: only root can become nobody or make namespaces");
    }
    root
}

#[test]
fn list_shows_a_server_with_its_port_and_how_to_attach_to_it() {
    let server = serve(Mode::Epoll, "");
    let (code, listing) = json(Command::new(trace()).args(["list", "--json"]));
    assert_eq!(code, Some(0));
    assert_eq!(listing["schema_version"], "1.0");
    let ours = |s: &&Value| s["pid"] == server.pid();
    let found =
        listing["servers"].as_array().unwrap().iter().find(ours).unwrap_or_else(|| panic!("{listing:#}"));
    assert_eq!(found["listens"][0]["port"], server.port());
    assert_eq!(found["listens"][0]["protocol"], "tcp");
    assert_eq!(found["attach"]["port"], server.port());
    assert_eq!(found["threads"], 1);

    let output = run(Command::new(trace()).arg("list"));
    let (table, hint) = (text(&output.stdout), text(&output.stderr));
    assert!(table.contains(&format!("127.0.0.1:{}", server.port())), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(hint.starts_with("trace: attach with: sudo trace attach --pid "), "{hint}");
    assert!(!table.contains("sudo trace attach"), "{table}");
}

#[test]
fn list_collapses_workers_under_the_process_that_attach_by_port_takes() {
    // The shell opens nothing itself: a parent in Python shares its listener with two children.
    let script = "import os, socket, time\n\
                  s = socket.create_server(('127.0.0.1', 0))\n\
                  print(s.getsockname()[1], flush=True)\n\
                  os.fork() and os.fork()\n\
                  time.sleep(600)";
    let Ok(mut parent) = Command::new("python3").args(["-c", script]).stdout(Stdio::piped()).spawn() else {
        assert!(std::env::var_os("TRACE_REQUIRE_PRIVILEGED").is_none(), "no test may skip here");
        eprintln!("skipped: there is no python3");
        return;
    };
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(parent.stdout.take().unwrap()), &mut line)
        .unwrap();
    let port: u16 = line.trim().parse().unwrap();
    let mut processes = Vec::new();
    let mut found = Value::Null;
    support::machine::wait_for("two workers in the list", || {
        let (_, listing) = json(Command::new(trace()).args(["list", "--json"]));
        let with_port = |s: &&Value| s["listens"][0]["port"] == port;
        let rows: Vec<&Value> = listing["servers"].as_array().unwrap().iter().filter(with_port).collect();
        assert_eq!(rows.len(), 1, "{listing:#}");
        found = rows[0].clone();
        processes = found["processes"].as_array().unwrap().clone();
        processes.len() == 3
    });
    for pid in processes.iter().filter_map(Value::as_i64) {
        let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    let pid = parent.id();
    parent.wait().unwrap();
    assert_eq!(found["pid"], pid);
    assert_eq!(found["threads"], 3);
}

#[test]
fn list_as_nobody_counts_what_it_cannot_see() {
    if !is_root() {
        return;
    }
    let server = serve(Mode::Epoll, "");
    let copy = Copy::new();
    let (code, listing) = json(&mut copy.as_nobody("list --json"));
    assert_eq!(code, Some(0));
    let unseen = &listing["unseen"];
    let ports: Vec<_> = unseen["listens"].as_array().unwrap().iter().map(|l| l["port"].as_u64()).collect();
    assert!(ports.contains(&Some(server.port().into())), "{listing:#}");
    assert!(unseen["processes"].as_u64() > Some(0) && unseen["sockets"].as_u64() > Some(0), "{listing:#}");
    let table = text(&run(&mut copy.as_nobody("list")).stdout);
    let table = words(&table).join(" ");
    assert!(table.contains("without a visible owner") && table.contains("sudo trace list"), "{table}");
}

#[test]
fn doctor_is_content_where_attach_works() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    let (code, diagnosis) = json(Command::new(trace()).args(["doctor", "--json"]));
    assert_eq!(code, Some(0), "{diagnosis:#}");
    assert_eq!(diagnosis["outlook"]["tier"], "full");
    let checks = diagnosis["checks"].as_array().unwrap();
    let check = |code: &str| checks.iter().find(|c| c["code"] == code).unwrap_or_else(|| panic!("no {code}"));
    for code in ["sched_switch", "sys_enter", "canary", "PID namespace", "kernel types (BTF)"] {
        assert_eq!(check(code)["status"], "pass", "{:#}", check(code));
    }
    let attach = format!("attach --pid {} --duration 300ms --format json --quiet", server.pid());
    let (code, report) = json(Command::new(trace()).args(words(&attach)));
    assert_eq!(code, Some(0));
    assert_eq!(report["calibration"]["exact"], true);

    let page = text(&run(Command::new(trace()).arg("doctor")).stdout);
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    assert!(page.contains("What you will get: tier full"), "{page}");
}

#[test]
fn doctor_names_the_kernels_missing_types_as_attach_does() {
    test_alone!();
    let (code, diagnosis) = json(Command::new(trace()).args(words("doctor --json --btf /nonexistent")));
    assert_eq!((code, diagnosis["outlook"]["exit_code"].as_i64()), (Some(7), Some(7)), "{diagnosis:#}");
    assert!(diagnosis["outlook"]["blocked"]["why"].as_str().unwrap().contains("/nonexistent"));
}

#[test]
fn without_rights_doctor_and_attach_exit_alike() {
    if !is_root() {
        return;
    }
    let server = serve(Mode::Epoll, "");
    let copy = Copy::new();
    let (code, diagnosis) = json(&mut copy.as_nobody("doctor --json"));
    assert_eq!((code, diagnosis["outlook"]["exit_code"].as_i64()), (Some(6), Some(6)), "{diagnosis:#}");
    let attach = run(&mut copy.as_nobody(&format!("attach --pid {}", server.pid())));
    assert_eq!(attach.status.code(), Some(6), "{}", text(&attach.stderr));
    let why = diagnosis["outlook"]["blocked"]["why"].as_str().unwrap();
    assert!(why.contains("CAP_BPF") && text(&attach.stderr).contains(why), "{why}");
    let page = run(&mut copy.as_nobody("doctor"));
    assert!(text(&page.stdout).contains("✗ CAP_BPF") && page.stderr.is_empty(), "{}", text(&page.stdout));
}

/// The canary was not seen there, and trace exited with 0 all the same.
#[test]
fn in_another_namespace_doctor_and_attach_refuse_alike_instead_of_being_blind() {
    test_alone!();
    if !is_root() {
        return;
    }
    let server = serve(Mode::Epoll, "");
    let host_id = server.pid().to_string();
    for (unshare, what, target) in [
        ("--pid --fork --mount-proc", "PID namespace", "$!"),
        ("--pid --fork", "PID namespace", &host_id),
        ("--time --fork --monotonic 1000", "time namespace", &host_id),
        ("--user --map-root-user", "user namespace", &host_id),
    ] {
        let inside = |script: &str| {
            let mut command = Command::new("unshare");
            command.args(words(unshare)).args(["sh", "-c", script]).arg(trace());
            run(&mut command)
        };
        let doctor = inside("\"$0\" doctor --json");
        let diagnosis: Value = serde_json::from_slice(&doctor.stdout).unwrap();
        let blocked = &diagnosis["outlook"]["blocked"];
        assert!(blocked.to_string().contains(what), "{unshare}: {blocked:#}");
        let canary = diagnosis["checks"].as_array().unwrap().iter().find(|c| c["code"] == "canary").unwrap();
        assert_ne!(canary["status"], "pass", "{canary}");
        let attach = inside(&format!(
            "sleep 600 & \"$0\" attach --pid {target} --duration 300ms; code=$?; kill $!; exit $code"
        ));
        let said = text(&attach.stderr);
        assert_eq!(doctor.status.code(), attach.status.code(), "{unshare}: {said}");
        assert_eq!(attach.status.code(), Some(6), "{unshare}: {said}");
        assert!(said.contains(what) && attach.stdout.is_empty(), "{unshare}: {said}");
    }
}

/// stdout and stderr of `trace` on a terminal.
fn on_a_terminal(args: &str, term: &str) -> String {
    let command = format!("stty cols 80; exec {} {args}", trace().display());
    text(&run(Command::new("script").args(["-qec", &command, "/dev/null"]).env("TERM", term)).stdout)
}

#[test]
fn on_a_terminal_one_line_is_rewritten_and_cleared_before_the_report() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    let _clients = load(Pattern::PingPong, &server, "--connections 20 --think 5");
    let said = on_a_terminal(&format!("attach --pid {} --duration 3s", server.pid()), "xterm");
    let (live, report) = said.rsplit_once(ERASE).unwrap();
    assert!(live.contains(&format!("{ERASE}trace: 0:01 ")), "{said:?}");
    let last = live.rsplit(ERASE).next().unwrap();
    assert!(last.starts_with("trace: 0:02 multiplexing (epoll)"), "{last:?}");
    assert!(last.contains("loss") && last.contains("CPU") && last.chars().count() < 80, "{last:?}");
    assert!(!last.contains('\n'), "{last:?}");
    assert!(report.contains("I/O model: multiplexing") && !report.contains('\x1b'), "{report:?}");
}

#[test]
fn a_terminal_that_can_do_nothing_and_a_quiet_run_get_no_escape() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    let attach = format!("attach --pid {} --duration 1200ms", server.pid());
    let dumb = on_a_terminal(&attach, "dumb");
    assert!(dumb.contains("\ntrace: so far:") && !dumb.contains('\x1b'), "{dumb:?}");
    let quiet = on_a_terminal(&format!("{attach} --quiet"), "xterm");
    assert!(!quiet.contains("trace: ") && !quiet.contains('\x1b'), "{quiet:?}");
}

#[test]
fn in_a_pipe_progress_is_plain_lines() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    let attach = format!("attach --pid {} --duration 1200ms", server.pid());
    let output = run(Command::new(trace()).args(words(&attach)).env("TERM", "xterm"));
    let said = text(&output.stderr);
    assert!(said.lines().any(|line| line.starts_with("trace: so far:")), "{said}");
    assert!(!said.contains(['\x1b', '\r']) && !output.stdout.contains(&0x1b), "{said:?}");
}
