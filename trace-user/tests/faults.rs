//! Faults on purpose: whatever is lost by them shows, lowers the confidence of what it touches, and fails `--strict`.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::process::{Command, Output, Stdio};

use fixtures::Mode;
use fixtures::load::Pattern;
use fixtures::spawn::Fixture;
use serde_json::Value;
use support::programs::{load, serve, trace, words};
use support::test_alone;

/// `trace attach` with these options for half a second, under a filter of bpf(2) or none.
fn attach(server: &Fixture, filter: Option<&str>, options: &str) -> Output {
    let mut command = Command::new(trace());
    if let Some(filter) = filter {
        command.args(words(&format!("fixture without-bpf {filter} --"))).arg(trace());
    }
    let attach = format!("attach --pid {} --duration 500ms --quiet --format json {options}", server.pid());
    command.args(words(&attach)).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(output)))
}

/// The exit code with `--strict`, and the report that is written all the same.
fn strictly(server: &Fixture, options: &str) -> (Option<i32>, Value, String) {
    let output = attach(server, None, &format!("--strict {options}"));
    (output.status.code(), report(&output), said(&output))
}

#[test]
fn what_the_kernel_refuses_is_one_clear_message_and_a_documented_exit_code() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    for (filter, code) in [
        ("--cmd prog-load", 6),
        ("--cmd map-create", 6),
        ("--cmd raw-tracepoint-open", 6),
        ("--cmd prog-load --errno EINVAL", 7),
        ("--cmd map-create --errno ENOMEM", 7),
        ("--cmd map-update-elem --errno ENOMEM", 7),
    ] {
        let output = attach(&server, Some(filter), "");
        let said = said(&output);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{filter}: {said}");
        assert_eq!(said.matches("trace: error: ").count(), 1, "{filter}: {said}");
        assert!(said.contains("\n  why: ") && !said.contains("panicked"), "{filter}: {said}");
    }
}

#[test]
fn without_the_kernels_statistics_only_the_cost_is_unknown() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    let output = attach(&server, Some("--cmd enable-stats"), "--strict");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let cost = &report(&output)["cost"];
    assert!(cost["bpf_run_ns"].is_null() && cost["map_bytes"].as_u64() > Some(0), "{cost}");
}

#[test]
fn threads_that_no_record_was_left_for_are_counted_and_cost_the_confidence() {
    test_alone!();
    let server = serve(Mode::Threads, "--threads 50");
    let (code, report, said) = strictly(&server, "--limit-maps 8");
    assert_eq!(code, Some(8), "{said}");
    assert!(report["loss"]["threads_missed"].as_u64().unwrap() >= 51 - 8, "{:#}", report["loss"]);
    assert!(said.contains("threads_missed"), "{said}");
    assert_ne!(report["verdict"]["io_model"]["confidence"], "high");
}

#[test]
fn connections_that_a_small_map_forgets_are_counted() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    let _clients = load(Pattern::PingPong, &server, "--connections 200 --think 5");
    let (code, limited, said) = strictly(&server, "--limit-maps 8");
    let lost = &limited["loss"];
    let forgotten = lost["connections_evicted"].as_u64().unwrap() + lost["map_full"].as_u64().unwrap();
    assert!(forgotten > 0, "{lost:#}");
    assert_eq!(code, Some(8), "{said}");
    // Episodes are counted by thread: what a forgotten connection did stays in the verdict.
    assert_eq!(
        limited["verdict"]["io_model"]["name"], "multiplexing",
        "{:#}",
        limited["verdict"]["io_model"]
    );
    let (code, whole, said) = strictly(&server, "");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(whole["verdict"]["io_model"]["confidence"], "high", "{:#}", whole["verdict"]["io_model"]);
}

/// Hooks that can be done without, and whether a verdict may depend on them.
const OPTIONAL: [(&str, bool); 11] = [
    ("io_uring_complete", true),
    ("io_uring_task_work_run", false),
    ("io_uring_queue_async_work", true),
    ("io_uring_poll_arm", true),
    ("io_uring_task_add", true),
    ("io_uring_submit", true),
    ("io_uring_create", true),
    ("signal_generate", true),
    ("signal_deliver", true),
    ("sock_recv_length", false),
    ("skb_copy_datagram_iovec", false),
];

#[test]
fn a_hook_that_is_not_there_is_named_and_fails_strict_but_never_the_run() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    let _clients = load(Pattern::PingPong, &server, "--connections 50 --think 5");
    for (hook, touches_the_verdict) in OPTIONAL {
        let (code, report, said) = strictly(&server, &format!("--without-hook {hook}"));
        let degraded = report["degraded"].as_array().unwrap();
        assert!(
            degraded.iter().any(|d| d.as_str().unwrap().starts_with(&format!("{hook}: "))),
            "{degraded:?}"
        );
        // Receives are counted another way.
        let complete = hook == "sock_recv_length";
        assert_eq!(code, Some(if complete { 0 } else { 8 }), "{hook}: {said}");
        assert!(complete || said.contains(hook), "{said}");
        let verdict = &report["verdict"]["io_model"];
        assert_eq!(verdict["name"], "multiplexing", "{hook}: {verdict:#}");
        let wanted = if touches_the_verdict { "medium" } else { "high" };
        assert_eq!(verdict["confidence"], wanted, "{hook}: {verdict:#}");
    }
}

#[test]
fn without_a_hook_that_everything_needs_nothing_is_measured() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    for hook in ["sched_switch", "sched_waking", "sys_enter", "sys_exit", "no_such_hook"] {
        let output = attach(&server, None, &format!("--without-hook {hook}"));
        let said = said(&output);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(7), 0), "{said}");
        assert!(said.contains(hook), "{said}");
    }
}
