//! A kernel without types of its own: with `--btf FILE` the probes are raw tracepoints, and nothing is lost.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::fs;
use std::process::{Command, Output, Stdio};

use clap::ValueEnum as _;
use fixtures::load::Pattern;
use fixtures::{Mode, SleepIn};
use object::write::Object;
use object::{Architecture, BinaryFormat, Endianness, SectionKind};
use serde_json::Value;
use support::asleep;
use support::built::{FIXTURES, is_surely};
use support::hidden::{self, hide_types};
use support::machine::is_guest;
use support::observe::Workload;
use support::programs::{load, serve, trace, words};
use support::report::Report;
use support::test_alone;
use tempfile::NamedTempFile;

/// Takes the machine for a test on which types are hidden; the value is the option that names a copy of them.
macro_rules! without_types {
    () => {{
        if !hidden::is_possible() {
            return;
        }
        hide_types()
    }};
}

fn naming(types: &NamedTempFile) -> String {
    format!("--btf {}", types.path().display())
}

/// The report says of which kind the probes are, and of nothing that is lost, but where the kernel has no such hook.
#[track_caller]
fn is_raw_and_whole(report: &Report) {
    let (raw, others): (Vec<_>, Vec<_>) =
        report.degraded.iter().partition(|text| text.starts_with("raw_tracepoints: "));
    assert_eq!(raw.len(), 1, "{:?}", report.degraded);
    let older = |text: &&String| !text.starts_with("sock_recv_length: ");
    assert_eq!(others.into_iter().find(older), None);
}

#[test]
fn every_fixture_is_recognised_and_counts_are_its_own() {
    test_alone!();
    let types = without_types!();
    for fixture in FIXTURES.iter().filter(|f| !is_guest() || f.depends_on_the_kernel()) {
        let observed = fixture.under_load(4, &naming(&types));
        is_surely(&observed.trace.verdict.io_model, fixture.model, fixture.qualifier);
        observed.told_as_often_as_it_says();
        is_raw_and_whole(&observed.trace);
    }
}

/// Receives that sleep, one by one, and connections of an epoll set.
const EXACT: [Workload; 2] = [
    Workload {
        mode: Mode::BlockingIterative,
        server: "--receives-only --connections 1 --calls",
        pattern: Pattern::SendOnly,
        clients: "--no-echo",
        tracer: "",
        clients_on: None,
    },
    Workload {
        mode: Mode::Epoll,
        server: "--connections 50",
        pattern: Pattern::PingPong,
        clients: "--connections 50 --requests 10",
        tracer: "",
        clients_on: None,
    },
];

#[test]
fn counts_are_exact_by_either_path_of_a_receive_and_in_the_lesser_tier() {
    test_alone!();
    let types = without_types!();
    // The tier rests on sock_recv_length, which 6.1 does not have; that is no matter of types.
    let ways = ["--calls 100", "--by-descriptor", "--tier sched"];
    for way in ways.into_iter().filter(|way| !is_guest() || *way != "--tier sched") {
        let [blocking, epoll] = EXACT.map(|w| w.observe(&format!("{way} {}", naming(&types))).trace);
        let seen = blocking.receives();
        assert_eq!((seen.calls, seen.with_data, seen.eof, seen.bytes), (24, 23, 1, 94_208), "{way}");
        assert_eq!(seen.slept, 23, "{way}");
        assert_eq!(epoll.verdict.io_model.name, "multiplexing", "{way}");
        assert_eq!(epoll.receives().bytes, 50 * 10 * 4096, "{way}");
        is_raw_and_whole(&blocking);
        if way == "--calls 100" {
            let calls = blocking.calls.unwrap();
            assert!(calls.len() == 24 && calls.iter().all(|call| call.sum_ns() > 0), "{calls:?}");
        }
    }
}

#[test]
fn who_was_asleep_before_the_window_is_known_to_have_been() {
    test_alone!();
    let types = without_types!();
    for (call, account) in asleep::sleeps(SleepIn::value_variants()) {
        asleep::throughout(call, account, &naming(&types));
    }
    for (call, account) in asleep::sleeps(&asleep::WAKEABLE) {
        asleep::woken_within(call, account, &naming(&types));
    }
}

/// As if it could not be learned where the kernel saves a task's registers.
const UNLEARNED: &str = "--without-hook saved_registers";

#[test]
fn without_saved_registers_an_earlier_sleep_is_unknown_and_that_is_said() {
    test_alone!();
    let types = without_types!();
    let report = asleep::woken_within(SleepIn::Recv, "unknown", &format!("{UNLEARNED} {}", naming(&types)));
    assert!(report.degraded.iter().any(|d| d.starts_with("saved_registers: ")), "{:?}", report.degraded);
    let server = serve(Mode::Epoll, "");
    for (tier, code) in [("full", 8), ("sched", 7)] {
        let output = attach(server.pid(), &format!("--strict {UNLEARNED} --tier {tier} {}", naming(&types)));
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains("registers"), "{}", said(&output));
    }
}

fn run(args: &str) -> Output {
    Command::new(trace()).args(words(args)).stdin(Stdio::null()).output().unwrap()
}

fn attach(pid: u32, options: &str) -> Output {
    run(&format!("attach --pid {pid} --duration 300ms --quiet --format json {options}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(output)))
}

#[test]
fn nothing_is_lost_that_strict_would_mind_whichever_command_it_is() {
    test_alone!();
    let types = without_types!();
    let server = serve(Mode::Epoll, "");
    let _clients = load(Pattern::PingPong, &server, "--connections 5 --think 5");
    let output = attach(server.pid(), &format!("--strict {}", naming(&types)));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report = json(&output);
    assert_eq!(report["verdict"]["io_model"]["confidence"], "high", "{report:#}");
    let output = run(&format!("run --strict --quiet --format json {} -- true", naming(&types)));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let output = run(&format!("demo --model multiplexing --quiet {}", naming(&types)));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(run("list").status.code(), Some(0));
}

#[test]
fn doctor_says_which_way_it_would_take() {
    test_alone!();
    let types = without_types!();
    let programs = |output: &Output| {
        let diagnosis = json(output);
        let check = diagnosis["checks"].as_array().unwrap().iter().find(|c| c["code"] == "programs");
        (diagnosis["outlook"].clone(), check.unwrap().clone())
    };
    let (outlook, check) = programs(&run(&format!("doctor --json {}", naming(&types))));
    assert_eq!((outlook["exit_code"].as_u64(), outlook["tier"].as_str()), (Some(0), Some("full")));
    assert!(check["found"].as_str().unwrap().contains("raw tracepoints"), "{check:#}");
    let output = run("doctor --json");
    let (outlook, _) = programs(&output);
    assert_eq!((output.status.code(), outlook["exit_code"].as_u64()), (Some(7), Some(7)), "{outlook:#}");
    assert!(outlook["blocked"]["fix"].as_str().unwrap().contains("--btf FILE"), "{outlook:#}");
}

#[test]
fn without_the_option_the_error_names_it_and_auto_takes_samples() {
    test_alone!();
    let _types = without_types!();
    let server = serve(Mode::Epoll, "");
    let output = attach(server.pid(), "");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(7), 0), "{}", said(&output));
    assert!(said(&output).contains("--btf FILE"), "{}", said(&output));
    let report = json(&attach(server.pid(), "--tier auto"));
    assert_eq!(report["tool"]["tier"], "proc");
    assert!(report["degraded"][0].as_str().unwrap().contains("BTF"), "{}", report["degraded"]);
}

/// An image with this kernel's types and these notes.
fn image(notes: &[u8]) -> NamedTempFile {
    let mut image = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    for (name, kind, bytes) in
        [(".BTF", SectionKind::ReadOnlyData, hidden::types()), (".notes", SectionKind::Note, notes)]
    {
        let section = image.add_section(Vec::new(), name.as_bytes().to_vec(), kind);
        image.append_section_data(section, bytes, 4);
    }
    hidden::file(&image.write().unwrap())
}

/// The bytes of the build id, which is the note of type 3 (`NT_GNU_BUILD_ID`) and name `GNU`.
fn build_id(notes: &[u8]) -> std::ops::Range<usize> {
    let begin = b"\x03\0\0\0GNU\0";
    let at = notes.windows(begin.len()).position(|bytes| bytes == begin).unwrap();
    let length = u32::from_le_bytes(notes[at - 4..at].try_into().unwrap());
    at + begin.len()..at + begin.len() + length as usize
}

#[test]
fn an_image_of_this_kernel_will_do_and_one_of_another_is_refused() {
    test_alone!();
    let _types = without_types!();
    let server = serve(Mode::Epoll, "");
    let mut notes = fs::read("/sys/kernel/notes").unwrap();
    let of_image = |notes: &[u8]| {
        let image = image(notes);
        attach(server.pid(), &format!("--strict {}", naming(&image)))
    };
    let output = of_image(&notes);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let own = hex(&notes[build_id(&notes)]);
    let id = build_id(&notes);
    notes[id.start] ^= 1;
    let output = of_image(&notes);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(7), 0), "{}", said(&output));
    for id in [own, hex(&notes[id])] {
        assert!(said(&output).contains(&id), "{id}: {}", said(&output));
    }
}
