//! Findings: each with a workload that shows it and one that does not.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use fixtures::Mode;
use fixtures::load::Pattern;
use fixtures::spawn::thread_ids;
use support::machine::{favour, is_guest, once_of_three, wait_for};
use support::observe::Workload;
use support::programs::{load, serve};
use support::report::Report;
use support::test_alone;
use support::tracer::Tracer;

const CALM: Workload = Workload {
    mode: Mode::Epoll,
    server: "",
    pattern: Pattern::PingPong,
    clients: "--connections 4 --requests 50 --think 5 --size 1000",
    tracer: "",
    clients_on: None,
};

fn codes(report: &Report) -> BTreeSet<&str> {
    report.findings.iter().map(|f| &*f.code).collect()
}

fn shows(code: &str, workload: Workload) {
    let report = workload.observe("").trace;
    assert!(codes(&report).contains(code), "{:?}", report.findings);
}

#[test]
fn a_calm_loop_has_nothing_to_find() {
    test_alone!();
    // On crowded CPUs it may be starved, and rightly say so.
    once_of_three(|| {
        let report = CALM.observe("").trace;
        let found = codes(&report);
        if found.is_empty() { Ok(()) } else { Err(format!("{:?}", report.findings)) }
    });
}

#[test]
fn a_nap_in_a_loop_is_a_blocking_call_in_a_reactor() {
    test_alone!();
    shows("blocking-call-in-reactor", Workload { server: "--delay 5", ..CALM });
}

#[test]
fn buffers_that_are_always_full_are_too_small() {
    test_alone!();
    let clients = "--connections 4 --requests 50 --think 5 --size 8192";
    shows("receive-buffers-filled", Workload { server: "--size 1024", clients, ..CALM });
}

#[test]
fn who_asks_a_slow_server_for_each_answer_waits_for_it() {
    test_alone!();
    let database = serve(Mode::Blocking, "--delay 10");
    let server = serve(Mode::Blocking, &format!("--upstream {}", database.port()));
    let tracer = Tracer::attach(server.pid(), &[]);
    load(Pattern::PingPong, &server, "--connections 3 --requests 30 --think 1").wait().unwrap();
    let report = tracer.interrupt();
    assert!(codes(&report).contains("workers-wait-for-upstream"), "{:?}", report.findings);
}

#[test]
fn a_loop_that_asks_for_one_event_at_a_time_under_load_says_so() {
    test_alone!();
    if is_guest() {
        return; // Too slow to be loaded.
    }
    once_of_three(|| {
        let server = serve(Mode::Epoll, "--events 1");
        let tracer = Tracer::attach(server.pid(), &["--duration=2s"]);
        let clients = load(Pattern::PingPong, &server, "--connections 8 --think 0 --size 64");
        // It is the load that shows it, and not a CPU that others have.
        [server.pid(), clients.ready().pid].into_iter().for_each(favour);
        let report = tracer.wait().report();
        let main = report.threads().find(|t| t.tid == server.pid()).unwrap();
        assert_eq!(main.readiness.events, main.readiness.returned);
        println!("{} waits, {:?}", main.readiness.returned, codes(&report));
        let found = codes(&report).contains("one-event-per-wakeup");
        if found { Ok(()) } else { Err(format!("{:?}, {:?}", codes(&report), main.ledger)) }
    });
}

#[test]
fn a_server_that_shares_its_cpu_with_spinners_is_starved() {
    test_alone!();
    once_of_three(|| {
        let cpu = support::machine::last_cpu();
        let spinners: Vec<_> = (0..3).map(|_| serve(Mode::Spin, &format!("--cpu {cpu}"))).collect();
        let report = Workload { server: &format!("--cpu {cpu} --work 2"), ..CALM }.observe("").trace;
        drop(spinners);
        let found = codes(&report);
        if found.contains("cpu-starved") { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

#[test]
fn more_than_a_thousand_workers_are_too_many() {
    test_alone!();
    if is_guest() {
        return; // Too slow for so many.
    }
    let server = serve(Mode::Blocking, "");
    let tracer = Tracer::attach(server.pid(), &[]);
    let clients = load(Pattern::PingPong, &server, "--connections 1100 --think 500 --size 64");
    wait_for("a thread for each connection", || thread_ids(server.pid()).len() > 1100);
    // Each has its first request by now, or soon; more than one is needed by none.
    std::thread::sleep(Duration::from_secs(3));
    let report = tracer.interrupt();
    drop(clients);
    assert!(codes(&report).contains("thousand-workers"), "{:?}", report.verdict.server_model);
}
