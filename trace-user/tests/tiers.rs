//! Tiers: what is measured without probes and by whom, how a measurement goes down when it costs too much, and what its
//! cost is said to be.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use fixtures::Mode;
use fixtures::load::Pattern;
use fixtures::spawn::{Fixture, Program};
use serde_json::Value;
use support::programs::{load, serve, trace, words};
use support::test_alone;
use tempfile::TempDir;

const AS_NOBODY: &str = "--reuid nobody --regid nogroup --clear-groups";

/// Whether this is root, who can become nobody; prints why a test is skipped if not.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("TRACE_REQUIRE_PRIVILEGED").is_none(), "no test may skip here");
        eprintln!("skipped: only root can become nobody");
    }
    root
}

/// A copy of `trace` that nobody may run: not every target directory may be entered.
struct Copy {
    _dir: TempDir,
    program: PathBuf,
}

impl Copy {
    fn new() -> Copy {
        let dir = tempfile::Builder::new().prefix("trace-tiers").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = dir.path().join("trace");
        // By another process: a descriptor open for writing would be inherited by what tests beside this one start, and the
        // program be busy.
        assert!(Command::new("cp").arg(trace()).arg(&program).status().unwrap().success());
        Copy { _dir: dir, program }
    }

    /// Nobody's server.
    fn serve(&self, mode: Mode) -> Fixture {
        let mut program = Program::new("setpriv");
        for word in words(AS_NOBODY) {
            program = program.arg(word);
        }
        program.arg(self.program.to_str().unwrap()).arg("fixture").serve(mode, &[""; 0]).unwrap()
    }

    fn as_nobody(&self, args: &str) -> Output {
        let mut command = Command::new("setpriv");
        run(command.args(words(AS_NOBODY)).arg(&self.program).args(words(args)))
    }
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

fn as_root(args: &str) -> Output {
    run(Command::new(trace()).args(words(args)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The JSON report of a run that went well.
#[track_caller]
fn report(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn threads(report: &Value) -> impl Iterator<Item = &Value> {
    report["processes"].as_array().unwrap().iter().flat_map(|p| p["threads"].as_array().unwrap())
}

/// What holds for every report on samples: conservation, CPU time as the scheduler has it, and `null` for what takes
/// probes.
#[track_caller]
fn check_sampled(report: &Value) {
    assert_eq!(report["tool"]["tier"], "proc");
    assert!(report["sampling"]["rounds"].as_u64().unwrap() > 0, "{}", report["sampling"]);
    for thread in threads(report) {
        let ledger = thread["ledger"].as_object().unwrap();
        let sum: u64 = ledger.values().filter_map(Value::as_u64).sum();
        assert_eq!(thread["lived_ns"].as_u64(), Some(sum), "{thread:#}");
        assert_eq!(ledger.len(), 17);
        let on_cpu = ["kernel_ns", "user_ns"].iter().map(|a| ledger[*a].as_u64().unwrap()).sum::<u64>();
        assert!(on_cpu <= thread["check"]["run_ns"].as_u64().unwrap(), "{thread:#}");
        for name in ["copy_ns", "preempted_ns"] {
            assert!(ledger[name].is_null(), "{name}: {thread:#}");
        }
        for name in
            ["receives", "accepts", "readiness", "episodes", "announced", "storage", "sends", "sent_bytes"]
        {
            assert!(thread[name].is_null(), "{name}: {thread:#}");
        }
    }
    for at in ["/tool/object_sha256", "/turns/count", "/cost/bpf_run_ns", "/cost/events", "/residual/share"] {
        assert!(report.pointer(at).unwrap().is_null(), "{at}");
    }
    assert!(report["cost"]["own_cpu_ns"].as_u64().unwrap() > 0);
    let confidence = report["verdict"]["io_model"]["confidence"].as_str();
    assert_ne!(confidence, Some("high"));
}

fn evidence<'a>(report: &'a Value, code: &str) -> &'a str {
    let all = report["verdict"]["io_model"]["evidence"].as_array().unwrap();
    let found = all.iter().find(|e| e["code"] == code);
    found.unwrap_or_else(|| panic!("no {code}: {all:#?}"))["text"].as_str().unwrap()
}

#[test]
fn nobody_gets_a_sampled_verdict_on_processes_of_its_own() {
    test_alone!();
    if !is_root() {
        return;
    }
    let copy = Copy::new();
    let cases = [
        (Mode::Epoll, "multiplexing", Some("epoll")),
        (Mode::Poll, "multiplexing", Some("poll")),
        (Mode::Select, "multiplexing", Some("select")),
        (Mode::Blocking, "blocking", None),
    ];
    for (mode, model, mechanism) in cases {
        let server = copy.serve(mode);
        let _clients = load(Pattern::PingPong, &server, "--connections 4 --think 20");
        let report = report(&copy.as_nobody(&format!(
            "attach --tier proc --pid {} --duration 1500ms --format json",
            server.pid()
        )));
        check_sampled(&report);
        let verdict = &report["verdict"]["io_model"];
        println!("{mode:?}: {}", evidence(&report, "sampled"));
        assert_eq!(verdict["name"], model, "{mode:?}: {verdict:#}");
        if let Some(mechanism) = mechanism {
            assert_eq!(verdict["mechanism"], mechanism);
        }
        assert!(evidence(&report, "sampled").contains(" samples thread "), "{verdict:#}");
        assert_eq!(report["sampling"]["threads_denied"], 0);
    }
}

#[test]
fn who_asks_without_sleeping_is_not_named_by_samples() {
    test_alone!();
    let server = serve(Mode::Nonblocking, "");
    let _clients = load(Pattern::PingPong, &server, "--connections 4 --think 20");
    let output = as_root(&format!("attach --tier proc --pid {} --duration 1s --format json", server.pid()));
    let report = report(&output);
    check_sampled(&report);
    assert_eq!(report["verdict"]["io_model"]["name"], "inconclusive", "{:#}", report["verdict"]);
}

#[test]
fn of_anothers_process_samples_say_what_permission_is_missing() {
    if !is_root() {
        return;
    }
    let copy = Copy::new();
    let server = serve(Mode::Epoll, "");
    let output =
        copy.as_nobody(&format!("attach --tier proc --pid {} --duration 300ms --format json", server.pid()));
    let report = report(&output);
    check_sampled(&report);
    assert_eq!(report["verdict"]["io_model"]["name"], "inconclusive");
    let why = evidence(&report, "sampled-denied");
    assert!(why.contains("PTRACE_MODE_ATTACH") && why.contains("CAP_SYS_PTRACE"), "{why}");
    assert_eq!(report["sampling"]["threads_denied"], 1);
    // It slept, and in what is not known.
    let thread = threads(&report).next().unwrap();
    assert!(thread["ledger"]["unknown_ns"].as_u64() > Some(0), "{thread:#}");
}

#[test]
fn where_proc_hides_its_files_nothing_is_permitted() {
    if !is_root() {
        return;
    }
    let copy = Copy::new();
    let server = serve(Mode::Epoll, "");
    let script = format!(
        "mount -t proc -o hidepid=1 proc /proc && exec setpriv {AS_NOBODY} {} attach --tier proc --pid {} --duration 300ms",
        copy.program.display(),
        server.pid()
    );
    let output = run(Command::new("unshare").args(["--mount", "sh", "-c", &script]));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("hidepid"), "{said}");
}

#[test]
fn auto_takes_samples_where_probes_are_not_permitted_and_says_why() {
    if !is_root() {
        return;
    }
    let copy = Copy::new();
    let server = copy.serve(Mode::Epoll);
    let attach = |tier: &str| {
        copy.as_nobody(&format!("attach --tier {tier} --pid {} --duration 300ms --format json", server.pid()))
    };
    let output = attach("auto");
    let said = text(&output.stderr);
    assert!(said.contains("tier proc: ") && said.contains("CAP_BPF"), "{said}");
    let report = report(&output);
    check_sampled(&report);
    assert!(report["degraded"][0].as_str().unwrap().contains("CAP_BPF"), "{}", report["degraded"]);
    for tier in ["full", "sched"] {
        assert_eq!(attach(tier).status.code(), Some(6), "{tier}");
    }
    let doctor: Value = serde_json::from_slice(&copy.as_nobody("doctor --json").stdout).unwrap();
    assert_eq!((&doctor["outlook"]["tier"], &doctor["outlook"]["auto"]), (&Value::Null, &"proc".into()));
    // What is measured by samples is not complete.
    let strict =
        copy.as_nobody(&format!("attach --tier proc --pid {} --duration 300ms --strict", server.pid()));
    assert_eq!(strict.status.code(), Some(8), "{}", text(&strict.stderr));
}

#[test]
fn nobody_can_run_a_command_under_samples() {
    if !is_root() {
        return;
    }
    let output = Copy::new().as_nobody("run --tier proc -- sleep 0.5");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("tier proc") && said.contains("a sleep in clock_nanosleep"), "{said}");
}

#[test]
fn what_costs_too_much_goes_down_and_ends_with_each_step_told() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    let _clients = load(Pattern::PingPong, &server, "--connections 50 --think 2");
    let attach =
        format!("attach --tier auto --pid {} --duration 8s --format json --max-overhead", server.pid());
    let output = as_root(&format!("{attach} 0.01%"));
    let said = text(&output.stderr);
    let report = report(&output);
    let steps = report["tool"]["steps"].as_array().unwrap();
    println!("{steps:#?}\n{said}");
    assert_eq!(steps[0]["from"], "full");
    assert!(steps[0]["cost_share"].as_f64() > steps[0]["limit_share"].as_f64());
    assert_eq!(steps.last().unwrap()["to"], Value::Null, "the last step ends it");
    assert!(steps.iter().all(|step| step["io_model"].is_string()), "what each window showed is told");
    assert_eq!(report["window"]["ended_by"], "overhead");
    assert!(said.contains("tier full costs") && said.contains("more than 0.010%"), "{said}");
    assert_eq!(report["verdict"]["io_model"]["name"], "multiplexing");

    let report = self::report(&as_root(&format!("{} 1000%", attach.replace("8s", "1s"))));
    assert_eq!(report["tool"]["steps"], Value::Array(Vec::new()));
    assert_eq!(
        (&report["tool"]["tier"], &report["window"]["ended_by"]),
        (&"full".into(), &"duration".into())
    );
}

#[test]
fn a_bound_that_no_tier_can_keep_is_a_usage_error() {
    let code = |args: &str| as_root(&format!("attach --pid 1 --duration 1s {args}")).status.code();
    assert_eq!(code("--tier auto --max-overhead 2"), Some(2));
    assert_eq!(code("--tier full --max-overhead 2%"), Some(2));
    assert_eq!(code("--max-overhead 2%"), Some(2));
}

#[test]
fn the_cost_is_sampled_over_the_window_and_maps_are_what_the_kernel_charges() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    let _clients = load(Pattern::PingPong, &server, "--connections 10 --think 5");
    let tracer = support::tracer::Tracer::attach(server.pid(), &["--duration=3s"]);
    let charged = memlock(tracer.pid());
    let ended = tracer.wait();
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let cost = &report["cost"];
    println!("{cost}, the kernel charges {charged} B for maps");
    // Samples of 50 ms, two a second: of 3 s at least five were whole, on a machine that is not stuck.
    assert!((200_000_000..=1_500_000_000).contains(&cost["sampled_ns"].as_u64().unwrap()), "{cost}");
    assert!(cost["bpf_run_ns"].as_u64() > Some(0) && cost["own_cpu_ns"].as_u64() > Some(0), "{cost}");
    let maps = cost["map_bytes"].as_u64().unwrap();
    assert!(maps.abs_diff(charged) * 20 <= charged, "{maps} B said, {charged} B charged");
}

/// Memory of the maps that a process holds, by the kernel's own account (`fdinfo`, kernel/bpf/syscall.c).
fn memlock(pid: u32) -> u64 {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let texts = entries.filter_map(|e| std::fs::read_to_string(e.unwrap().path()).ok());
    let maps: std::collections::BTreeMap<String, u64> = texts
        .filter(|text| text.contains("map_type:"))
        .filter_map(|text| {
            let value = |key: &str| text.lines().find_map(|l| Some(l.strip_prefix(key)?.trim().to_owned()));
            Some((value("map_id:")?, value("memlock:")?.parse().ok()?))
        })
        .collect();
    maps.values().sum()
}
