//! What a kernel or its administrator takes away, by real attempts: what is lost by it is named and the rest works, or the
//! exit code says what is missing. Types: `raw.rs`; capabilities: `privileges.rs`; namespaces: `doctor.rs`.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use fixtures::Mode;
use fixtures::load::Pattern;
use fixtures::spawn::Fixture;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use serde_json::Value;
use support::hidden;
use support::programs::{load, serve, trace, words};
use support::test_alone;
use tempfile::NamedTempFile;

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

/// `trace attach --strict` with these options for half a second.
fn attach(server: &Fixture, options: &str) -> Command {
    let mut command = Command::new(trace());
    command.args(words(&format!("attach --pid {} --duration 500ms --quiet --strict", server.pid())));
    command.args(words(&format!("--format json {options}")));
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(output)))
}

fn check<'a>(diagnosis: &'a Value, code: &str) -> &'a Value {
    diagnosis["checks"].as_array().unwrap().iter().find(|check| check["code"] == code).unwrap()
}

/// The object that ships, with an instruction in one of its programs that there is not.
fn refused_in(hook: &str) -> NamedTempFile {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trace-ebpf/prebuilt/x86_64/trace.bpf.o");
    let mut bytes = std::fs::read(path).unwrap();
    let at = {
        let object = object::File::parse(&*bytes).unwrap();
        let program = object.symbols().find(|symbol| symbol.name() == Ok(hook)).unwrap();
        let section = object.section_by_index(program.section_index().unwrap()).unwrap();
        (section.file_range().unwrap().0 + program.address()) as usize
    };
    bytes[at] = 0xff;
    hidden::file(&bytes)
}

#[test]
fn a_hook_that_the_kernel_refuses_is_named_and_only_one_that_all_rests_on_ends_the_run() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    let _clients = load(Pattern::PingPong, &server, "--connections 5 --think 5");
    let without = |hook: &str| {
        let object = refused_in(hook);
        run(attach(&server, "").env("TRACE_OBJECT", object.path()))
    };
    for hook in ["signal_deliver", "skb_copy_datagram_iovec"] {
        let output = without(hook);
        assert_eq!(output.status.code(), Some(8), "{}", said(&output));
        assert!(said(&output).contains(hook), "{}", said(&output));
        let report = json(&output);
        let degraded = report["degraded"].as_array().unwrap();
        assert!(degraded.len() == 1 && degraded[0].as_str().unwrap().starts_with(hook), "{degraded:?}");
        assert_eq!(report["verdict"]["io_model"]["name"], "multiplexing", "{report:#}");
    }
    for hook in ["sched_switch", "sys_enter"] {
        let output = without(hook);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(7), 0), "{}", said(&output));
        assert!(said(&output).contains(hook), "{}", said(&output));
    }
}

#[test]
fn tracefs_is_not_missed() {
    test_alone!();
    if !hidden::is_possible() {
        return;
    }
    hidden::hide("/sys/kernel/tracing");
    hidden::hide("/sys/kernel/debug");
    let server = serve(Mode::Epoll, "");
    let _clients = load(Pattern::PingPong, &server, "--connections 5 --think 5");
    let output = run(&mut attach(&server, ""));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report = json(&output);
    assert_eq!((&report["degraded"], &report["calibration"]["exact"]), (&Value::Array(vec![]), &true.into()));
    let diagnosis = json(&run(Command::new(trace()).args(["doctor", "--json"])));
    assert_eq!(diagnosis["outlook"]["tier"], "full", "{:#}", diagnosis["outlook"]);
    assert_eq!(check(&diagnosis, "ftrace")["status"], "unknown");
}

/// The kernel's own answer stands in a file; what it does then cannot be had without booting it so.
#[test]
fn under_lockdown_confidentiality_nothing_is_measured_but_samples_are_taken() {
    test_alone!();
    if !hidden::is_possible() {
        return;
    }
    hidden::hide("/sys/kernel/security");
    std::fs::write("/sys/kernel/security/lockdown", "none integrity [confidentiality]\n").unwrap();
    let server = serve(Mode::Epoll, "");
    let output = run(&mut attach(&server, ""));
    assert_eq!((output.status.code(), output.stdout.len()), (Some(7), 0), "{}", said(&output));
    assert!(said(&output).contains("lockdown is confidentiality"), "{}", said(&output));
    let output = run(Command::new(trace()).args(["doctor", "--json"]));
    let diagnosis = json(&output);
    assert_eq!((output.status.code(), &diagnosis["outlook"]["auto"]), (Some(7), &"proc".into()));
    assert_eq!(check(&diagnosis, "lockdown")["status"], "fail");
    // Samples are no full measurement, which --strict says.
    let output = run(&mut attach(&server, "--tier auto"));
    assert_eq!(output.status.code(), Some(8), "{}", said(&output));
    let report = json(&output);
    assert_eq!(report["tool"]["tier"], "proc");
    assert!(report["degraded"][0].as_str().unwrap().contains("lockdown"), "{}", report["degraded"]);
}
