//! Faults on purpose: whatever is lost by them shows, lowers the confidence of what it touches, and fails `--strict`.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output, Stdio};

use fixtures::Mode;
use fixtures::load::Pattern;
use fixtures::spawn::Fixture;
use serde_json::Value;
use support::programs::{load, serve, trace, words};
use support::real::are_installed;
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

/// The commands of bpf(2) that `trace` uses, with an error that the kernel could answer, and the exit code that follows: none
/// where the measurement is whole all the same.
const REFUSALS: [(&str, &str, Option<i32>); 22] = [
    ("map-create", "EPERM", Some(6)),
    ("map-create", "ENOMEM", Some(7)),
    ("map-lookup-elem", "EPERM", Some(6)),
    ("map-lookup-elem", "ENOMEM", Some(1)),
    ("map-update-elem", "EPERM", Some(6)),
    ("map-update-elem", "ENOMEM", Some(7)),
    ("map-update-batch", "EPERM", Some(6)),
    ("map-update-batch", "ENOMEM", Some(1)),
    ("map-delete-elem", "EPERM", Some(6)),
    ("map-get-next-key", "EPERM", Some(6)),
    ("map-get-next-key", "EINVAL", Some(1)),
    ("prog-load", "EPERM", Some(6)),
    ("prog-load", "EINVAL", Some(7)),
    ("raw-tracepoint-open", "EPERM", Some(6)),
    ("raw-tracepoint-open", "EINVAL", Some(7)),
    ("btf-load", "EPERM", Some(7)),
    ("map-lookup-and-delete-elem", "EPERM", Some(6)),
    ("map-lookup-and-delete-elem", "EINVAL", Some(1)),
    ("map-freeze", "EPERM", Some(6)),
    // Of maps, for an estimate of their memory that is not needed.
    ("obj-get-info-by-fd", "EPERM", None),
    // The loader's question whether the kernel has it.
    ("link-create", "EPERM", None),
    // What is missing then is tested by itself.
    ("enable-stats", "EPERM", None),
];

#[test]
fn what_the_kernel_refuses_is_one_clear_message_and_a_documented_exit_code() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    let _clients = load(Pattern::PingPong, &server, "--connections 20 --think 5");
    for (cmd, errno, code) in REFUSALS {
        let output = attach(&server, Some(&format!("--cmd {cmd} --errno {errno}")), "--strict");
        match is_answered(&output) {
            Ok(answered) => assert_eq!(answered, code, "{cmd}, {errno}: {}", said(&output)),
            Err(why) => panic!("{cmd}, {errno}: {why}: {}", said(&output)),
        }
    }
}

/// How a strict run answered to a fault: by a whole report (none), or by one message and this exit code.
fn is_answered(output: &Output) -> Result<Option<i32>, String> {
    let (said, code) = (said(output), output.status.code());
    if said.contains("panicked") {
        return Err("it panicked".to_owned());
    }
    if code == Some(0) {
        let report = report(output);
        let model = &report["verdict"]["io_model"];
        let whole = report["calibration"]["exact"] == true
            && (&model["name"], &model["confidence"]) == (&"multiplexing".into(), &"high".into())
            && report["target"]["threads"] == 1;
        return if whole && said.is_empty() { Ok(None) } else { Err(format!("silence: {report:#}")) };
    }
    let is_clear = said.matches("trace: error: ").count() == 1 && said.contains("\n  why: ");
    let has_report = !output.stdout.is_empty();
    match code {
        Some(1 | 6 | 7) if is_clear && !has_report => Ok(code),
        Some(8) if is_clear && has_report => Ok(code),
        _ => Err(format!("{code:?}, and {} bytes of report", output.stdout.len())),
    }
}

/// Runs `trace attach` under strace with these options, and slots for few threads: each takes a call.
fn straced(options: &[&str], server: &Fixture) -> Output {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=bpf"]).args(options).arg(trace());
    let attach = "--duration 1s --quiet --format json --strict --limit-maps 64";
    command.args(words(&format!("attach --pid {} {attach}", server.pid())));
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn each_call_of_bpf_may_fail_once_without_silence_or_panic() {
    test_alone!();
    if !are_installed(&["strace"]) {
        return;
    }
    let server = serve(Mode::Epoll, "");
    let _clients = load(Pattern::PingPong, &server, "--connections 20 --think 5");
    let log = tempfile::NamedTempFile::new().unwrap();
    let output = straced(&["-o", log.path().to_str().unwrap()], &server);
    assert_eq!(is_answered(&output), Ok(None), "{}", said(&output));
    let log = std::fs::read_to_string(log.path()).unwrap();
    let called = |line: &str| {
        line.split_once("bpf(BPF_").map(|(_, rest)| words(&rest.replace(',', " "))[0].to_owned())
    };
    let commands: BTreeSet<String> = log.lines().filter_map(called).collect();
    let known: BTreeSet<String> = REFUSALS.map(|(cmd, ..)| cmd.to_uppercase().replace('-', "_")).into();
    assert!(commands.is_subset(&known), "each is refused by the test above, but {commands:?}");
    // strace counts the calls of each thread by themselves.
    let first = words(log.lines().next().unwrap())[0];
    let calls = log.lines().filter(|line| words(line)[0] == first).filter_map(called).count();
    let step = if std::env::var_os("TRACE_SOAK").is_some() { 1 } else { calls / 8 };
    let (mut answers, mut tried) = (BTreeMap::new(), 0);
    for nth in (1..=calls).step_by(step) {
        let fault = format!("inject=bpf:error=ENOMEM:when={nth}");
        let output = straced(&["-o", "/dev/null", "-e", &fault], &server);
        let answered =
            is_answered(&output).unwrap_or_else(|why| panic!("call {nth}: {why}: {}", said(&output)));
        *answers.entry(answered).or_insert(0) += 1;
        tried += 1;
    }
    println!("{tried} of {calls} calls: {answers:?}");
    assert!(answers.len() > 1, "no fault was seen: {answers:?}");
    let count = |answer| answers.get(&answer).copied().unwrap_or(0);
    println!(
        "soak: | one call of bpf(2) fails with ENOMEM | {tried} runs of which each lacked another one: {} whole all the same, \
         {} exit code 7, {} exit code 1, {} incomplete (8), each with one message |",
        count(None),
        count(Some(7)),
        count(Some(1)),
        count(Some(8))
    );
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
