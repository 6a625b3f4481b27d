//! Timelines: what `--timeline` records adds up to the ledgers and turns of the same run, to the last nanosecond, and a
//! strict reader finds nothing in it that a viewer would have to guess (`tests/timeline/read.py`).
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use fixtures::load::Pattern;
use fixtures::{Mode, SleepIn};
use serde_json::Value;
use support::machine::is_guest;
use support::programs::{descriptors, load, serve, trace, wait_until_done, words};
use support::test_alone;
use support::tracer::Tracer;
use tempfile::TempDir;

/// Debian's Python.
const PYTHON: &str = "/usr/bin/python3";

/// What the strict reader saw in a timeline, which it compared with its report. A guest has no Python: there, what the
/// report says.
fn read(timeline: &Path, report: &Path) -> Value {
    if is_guest() {
        return read_in_guest(timeline, report);
    }
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/timeline/read.py");
    let output = Command::new(PYTHON).arg("-I").arg(reader).arg(timeline).arg(report).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn read_in_guest(timeline: &Path, report: &Path) -> Value {
    let read = |path: &Path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    let (timeline, report) = (read(timeline), read(report));
    let mut seen = report["timeline"].clone();
    let turns = timeline["traceEvents"].as_array().unwrap().iter().filter(|e| e["name"] == "turn").count();
    seen["turns"] = turns.into();
    let ns = |micros: &Value| (micros.as_f64().unwrap() * 1_000.0).round() as u64;
    let of_threads = |e: &&Value| e["ph"] == "X" && e["pid"].as_u64() < Some(1 << 22);
    let events = timeline["traceEvents"].as_array().unwrap().iter().filter(of_threads);
    let spent: u64 = events.map(|e| ns(&e["dur"])).sum();
    let lived = |p: &Value| {
        let living: u64 =
            p["threads"].as_array().unwrap().iter().map(|t| t["lived_ns"].as_u64().unwrap()).sum();
        living + p["exited"]["lived_ns"].as_u64().unwrap()
    };
    if seen["dropped"] == 0 {
        assert_eq!(spent, report["processes"].as_array().unwrap().iter().map(lived).sum::<u64>());
    }
    seen
}

/// The files of one run.
struct Files(TempDir);

impl Files {
    fn new() -> Files {
        Files(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Arguments that write all of them.
    fn args(&self) -> Vec<String> {
        let output = ["report.json", "saved.trace"].map(|name| self.path(name));
        [vec!["--timeline".to_owned(), self.path("out.json"), "--output".to_owned()], output.into()].concat()
    }

    /// What the strict reader saw.
    fn read(&self) -> Value {
        read(self.path("out.json").as_ref(), self.path("report.json").as_ref())
    }

    fn report(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path("report.json")).unwrap()).unwrap()
    }
}

fn attached(pid: u32, files: &Files, more: &str) -> Tracer {
    let args = files.args();
    let args: Vec<&str> = args.iter().map(String::as_str).chain(words(more)).collect();
    Tracer::attach(pid, &args)
}

/// A server that is driven while its timeline is recorded, and what the strict reader saw.
fn recorded(mode: Mode, server: &str, pattern: Pattern, clients: &str, tracer: &str) -> Value {
    let files = Files::new();
    let server = serve(mode, server);
    let idle = descriptors(server.pid());
    let tracer = attached(server.pid(), &files, tracer);
    let clients = load(pattern, &server, clients).wait().unwrap();
    assert_eq!(clients.failures, 0, "{clients:?}");
    wait_until_done(&server, idle);
    tracer.interrupt();
    let seen = files.read();
    println!("{mode:?}: {seen}");
    assert_eq!(seen["dropped"], 0);
    seen
}

#[test]
fn the_tracks_of_threads_and_connections_add_up_to_the_ledgers_and_turns() {
    test_alone!();
    let clients = "--connections 5 --requests 40 --think 2";
    for mode in [Mode::Blocking, Mode::Epoll, Mode::Nonblocking, Mode::Uring] {
        if is_guest() && matches!(mode, Mode::Nonblocking) {
            continue; // It leaves an emulated processor to nobody else.
        }
        let seen = recorded(mode, "", Pattern::PingPong, clients, "");
        assert_eq!(seen["turns"], 5 * 40, "{mode:?}");
        assert_eq!(seen["connections"], 5, "{mode:?}");
    }
    let seen = recorded(Mode::Blocking, "", Pattern::PingPong, clients, "--by-descriptor");
    assert_eq!((&seen["turns"], &seen["threads"]), (&Value::from(200), &Value::from(6)), "born and ended");
}

#[test]
fn a_copy_that_no_event_shows_is_one_in_the_timeline_as_well() {
    test_alone!();
    let seen = recorded(Mode::Udp, "", Pattern::Udp, "--connections 2 --requests 50", "");
    assert!(seen["spans"].as_u64() > Some(100), "{seen}");
}

#[test]
fn who_was_asleep_before_and_still_is_has_one_span() {
    test_alone!();
    let files = Files::new();
    let server = serve(Mode::Asleep, "--in pause");
    server.wait_until_asleep(SleepIn::Pause).unwrap();
    attached(server.pid(), &files, "--duration 200ms").wait().report();
    let seen = files.read();
    assert_eq!((&seen["spans"], &seen["threads"]), (&Value::from(1), &Value::from(1)));
    let text = std::fs::read_to_string(files.path("out.json")).unwrap();
    assert!(text.contains("\"ts\":0.000") && text.contains("wait_signal"), "{text}");
}

#[test]
fn a_command_that_was_held_was_stopped_and_descendants_have_tracks() {
    test_alone!();
    let files = Files::new();
    let script = "for i in 1 2 3; do sleep 0.05 & done; wait";
    let mut command = Command::new(trace());
    command.arg("run").args(files.args()).args(["--", "sh", "-c", script]);
    assert!(command.output().unwrap().status.success());
    let seen = files.read();
    println!("{seen}");
    assert_eq!((&seen["threads"], &seen["dropped"]), (&Value::from(4), &Value::from(0)));
}

#[test]
fn beyond_its_limit_a_timeline_counts_what_it_drops_and_strict_says_so() {
    test_alone!();
    let files = Files::new();
    let server = serve(Mode::Epoll, "");
    let tracer = attached(server.pid(), &files, "--timeline-limit 20 --strict");
    load(Pattern::PingPong, &server, "--connections 2 --requests 50").wait().unwrap();
    tracer.signal(rustix::process::Signal::INT);
    let ended = tracer.wait();
    assert_eq!(ended.status.code(), Some(8), "{}", ended.stderr);
    assert!(ended.stderr.contains("timeline_dropped"), "{}", ended.stderr);
    let (seen, report) = (files.read(), files.report());
    // What was in progress at the end is kept beyond the limit.
    assert!((20..=22).contains(&seen["spans"].as_u64().unwrap()), "{seen}");
    assert!(report["loss"]["timeline_dropped"].as_u64() > Some(100), "{report}");
    assert_eq!(report["verdict"]["io_model"]["name"], "multiplexing", "no verdict depends on it");
}

#[test]
fn what_was_saved_makes_the_same_timeline_and_without_the_option_there_is_none() {
    test_alone!();
    let files = Files::new();
    let server = serve(Mode::Epoll, "");
    let map_bytes = |report: &Value| report["cost"]["map_bytes"].as_u64().unwrap();
    attached(server.pid(), &files, "--duration 100ms").wait().report();
    let saved = files.path("saved.trace");
    let report = |args: &[&str]| Command::new(trace()).arg("report").args(args).output().unwrap();
    let same = report(&[&saved, "--format", "timeline"]);
    assert_eq!(
        String::from_utf8(same.stdout).unwrap(),
        std::fs::read_to_string(files.path("out.json")).unwrap()
    );
    let without = files.path("without.trace");
    let ended = Tracer::attach(server.pid(), &["--duration=100ms", "--output", &without]).wait();
    let off: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&off["timeline"], &off["loss"]["timeline_dropped"]), (&Value::Null, &Value::from(0)));
    // The kernel also charges for the list of a ring's pages, twice.
    let more = map_bytes(&files.report()) - map_bytes(&off);
    let (least, most) = ((8 << 20) - (4 << 10), (8 << 20) + (64 << 10));
    assert!((least..most).contains(&more), "a ring of one page, {more}");
    let Output { status, stderr, .. } = report(&[&without, "--format", "timeline"]);
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(status.code() == Some(2) && stderr.contains("--timeline --output FILE.trace"), "{stderr}");
}
