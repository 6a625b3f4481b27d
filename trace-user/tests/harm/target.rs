//! Whatever the target does, `trace` is not led astray.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fixtures::Mode;
use fixtures::load::Pattern;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::machine::{kept_up, once_of_three, wait_for};
use crate::support::programs::{load, serve, trace, wait_until_in, words};
use crate::support::real::are_installed;
use crate::support::report::Report;
use crate::support::test_alone;
use crate::support::tracer::Tracer;
use crate::{Checker, length, row};

#[test]
fn a_stopped_target_is_stopped_and_waits_for_nothing() {
    test_alone!();
    let span = length(Duration::from_secs(1), Duration::from_secs(5));
    let mut seen = String::new();
    // A crowded machine takes its time to stop, and to go on.
    once_of_three(|| {
        let (stopped, told) = stopped_for(span);
        seen = format!("stopped for {:.3} s, `stopped` {:.3} s", stopped.as_secs_f64(), told.as_secs_f64());
        let off = stopped.abs_diff(told);
        if off < Duration::from_millis(100) { Ok(()) } else { Err(format!("off by {off:?}: {seen}")) }
    });
    row("SIGSTOP", &seen);
}

/// Stops a server that waits for data: how long that was, and what the report says.
fn stopped_for(span: Duration) -> (Duration, Duration) {
    let server = serve(Mode::BlockingIterative, "");
    let _client = Checker::new(&server);
    wait_until_in(&server, &[libc::SYS_recvfrom, libc::SYS_read]);
    let tracer = Tracer::attach(server.pid(), &[]);
    let pid = Pid::from_raw(server.pid() as i32).unwrap();
    let begun = Instant::now();
    kill_process(pid, Signal::STOP).unwrap();
    std::thread::sleep(span);
    let stopped_for = begun.elapsed();
    kill_process(pid, Signal::CONT).unwrap();
    wait_until_in(&server, &[libc::SYS_recvfrom, libc::SYS_read]);
    let report = tracer.interrupt();
    let ledger = &report.threads().next().unwrap().ledger;
    let (stopped, waited) = (ledger.ns("stopped"), ledger.ns("wait_data"));
    println!("{ledger:?}");
    assert!(waited + stopped <= report.window.duration_ns);
    (stopped_for, Duration::from_nanos(stopped))
}

/// `trace run` of a command with `input` on its stdin; the report on it, and what the command printed.
fn traced(words: &[&str], input: &str) -> (Report, String) {
    let directory = tempfile::tempdir().unwrap();
    let (file, stdin) = (directory.path().join("r.json"), directory.path().join("stdin"));
    std::fs::write(&stdin, input).unwrap();
    let output = Command::new(trace())
        .args(["run", "--quiet", "--output"])
        .arg(&file)
        .arg("--")
        .args(words)
        .env_remove("SUDO_UID")
        .stdin(File::open(&stdin).unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Report = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    report.check();
    (report, String::from_utf8(output.stdout).unwrap())
}

/// Children a second that the fixture aims at: a thousand must come of it.
const FORKS: u64 = 1_100;

#[test]
fn a_thousand_forks_a_second_are_counted_to_the_last() {
    test_alone!();
    let seconds: u64 = length(3, 20);
    let trace = trace();
    let fixture = |seconds: u64| format!("fixture scale forks --rate {FORKS} --seconds {seconds}");
    once_of_three(|| {
        let args = fixture(seconds);
        let words = [&[trace.to_str().unwrap()][..], &words(&args)].concat();
        let (report, said) = traced(&words, "go\n");
        let (count, rate) = forked(&said);
        println!("{count} children, {rate} a second; {:?}", report.loss);
        assert_eq!(count, FORKS * seconds);
        assert_eq!((report.target.processes, report.target.threads), (count + 1, count + 1));
        assert_eq!(report.loss["threads_missed"] + report.loss["slots_exhausted"], 0);
        row("forks", &format!("{count} children, {rate} a second, all counted"));
        kept_up(rate, 1_000, || {
            let mut alone = Command::new(&trace);
            alone
                .args(crate::support::programs::words(&fixture(2)))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped());
            let mut alone = alone.spawn().unwrap();
            std::io::Write::write_all(&mut alone.stdin.take().unwrap(), b"go\n").unwrap();
            forked(&String::from_utf8(alone.wait_with_output().unwrap().stdout).unwrap()).1
        })
    });
}

/// How many children the fixture had, and how many a second.
fn forked(said: &str) -> (u64, u64) {
    let done: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let (count, wall_ns) = (done["count"].as_u64().unwrap(), done["wall_ns"].as_u64().unwrap());
    assert_eq!(done["failures"], 0);
    (count, count * 1_000_000_000 / wall_ns)
}

#[test]
fn thousands_of_threads_that_start_and_end_are_counted_to_the_last() {
    test_alone!();
    if !are_installed(&["python3"]) {
        return;
    }
    let script = "import threading\n\
                  for i in range(50):\n    \
                      ts = [threading.Thread(target=lambda: None) for _ in range(100)]\n    \
                      [t.start() for t in ts]; [t.join() for t in ts]";
    let (report, _) = traced(&["/usr/bin/python3", "-c", script], "");
    println!("{:?}", report.loss);
    assert_eq!((report.target.threads, report.target.processes), (5_001, 1));
    assert_eq!(report.loss["threads_missed"] + report.loss["slots_exhausted"], 0);
    row("threads that start and end", "5,000, all counted");
}

#[test]
fn an_exec_goes_on_under_the_same_id_and_loses_no_time() {
    test_alone!();
    let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exec sleep 0.3";
    let (report, _) = traced(&["sh", "-c", script], "");
    assert_eq!((report.target.processes, report.target.threads), (1, 1));
    let [shell, sleep] = &report.processes[..] else { panic!("{:#?}", report.processes) };
    assert_eq!((shell.pid, &*shell.comm, &*sleep.comm), (sleep.pid, "sh", "sleep"));
    let (before, after) = (&shell.exited, &sleep.exited);
    assert!(before.ledger.ns("user") > 0 && before.ledger.ns("wait_timer") == 0, "{before:?}");
    assert!(after.ledger.ns("wait_timer") >= 300_000_000, "{after:?}");
    // One ends when the other begins, and together they are as long as the process lived.
    assert_eq!(Some(before.lived_ns), sleep.began_ns);
    let (lived, window) = (before.lived_ns + after.lived_ns, report.window.duration_ns);
    assert!((300_000_000..=window).contains(&lived), "{lived} of {window}");
    row(
        "exec",
        &format!(
            "two programs under one id, {:.3} s and {:.3} s",
            before.lived_ns as f64 / 1e9,
            after.lived_ns as f64 / 1e9
        ),
    );
}

#[test]
fn a_target_under_strace_is_counted_right() {
    test_alone!();
    if !are_installed(&["strace"]) {
        return;
    }
    let mut server = serve(Mode::BlockingIterative, "--connections 1 --linger");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "/dev/null", "-p", &server.pid().to_string()]).stderr(Stdio::null());
    let mut strace = strace.spawn().unwrap();
    wait_for("strace", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        status.contains(&format!("TracerPid:\t{}\n", strace.id()))
    });
    let tracer = Tracer::attach(server.pid(), &[]);
    load(Pattern::InTurn, &server, "--requests 40 --think 5").wait().unwrap();
    let own = server.report().unwrap().totals.receives;
    let report = tracer.interrupt();
    strace.kill().unwrap();
    strace.wait().unwrap();
    let seen = report.receives();
    assert_eq!((seen.calls, seen.with_data, seen.bytes), (own.calls, own.with_data, own.bytes));
    assert!(report.ns("stopped") > 0, "at each of its calls");
}

/// It forks to find out what ptrace can do, waits for its tracees in wait4, and they are stopped at each of their calls.
#[test]
fn a_target_that_is_a_tracer_itself_is_reported_with_its_tracees() {
    test_alone!();
    if !are_installed(&["strace"]) {
        return;
    }
    let script = "/bin/true; /bin/true; sleep 0.2; exit 0";
    let (report, _) = traced(&["strace", "-f", "-o", "/dev/null", "sh", "-c", script], "");
    let called = |name: &str| report.processes.iter().filter(|p| p.comm == name).collect::<Vec<_>>();
    let names: Vec<_> = report.processes.iter().map(|p| &p.comm).collect();
    assert_eq!((called("true").len(), called("sh").len()), (2, 1), "{names:?}");
    assert_eq!(report.processes.len() as u64, report.target.processes, "{names:?}");
    for tracee in [called("true"), called("sh")].concat() {
        assert!(tracee.exited.ledger.ns("stopped") > 0, "{:?}", tracee.exited);
    }
    // For its tracee's sleep, if for nothing else.
    let waited = called("strace").iter().map(|p| p.exited.ledger.ns("wait_other")).max();
    assert!(waited > Some(100_000_000), "{:?}", called("strace"));
    let lost: Vec<_> = ["threads_missed", "slots_exhausted"].map(|name| report.loss[name]).into();
    assert_eq!(lost, [0, 0]);
}

/// Of thirty seconds.
#[test]
fn a_target_that_ends_after_a_second_of_thirty_ends_the_window() {
    test_alone!();
    let server = serve(Mode::BlockingIterative, "--connections 1");
    let tracer = Tracer::attach(server.pid(), &["--duration=30s"]);
    let begun = Instant::now();
    let clients = load(Pattern::InTurn, &server, "--requests 100 --think 10");
    let own = server.wait().unwrap().totals.receives;
    let lived = begun.elapsed();
    assert_eq!(clients.wait().unwrap().answered, 100);
    let ended = tracer.wait();
    let report = ended.report();
    let window = Duration::from_nanos(report.window.duration_ns);
    println!("lived for {lived:?}, a window of {window:?}");
    assert_eq!(report.window.ended_by, "target-exit");
    assert!(ended.took < Duration::from_secs(25), "it waited for the duration: {:?}", ended.took);
    let seen = report.receives();
    assert_eq!((seen.calls, seen.with_data, seen.bytes), (own.calls, own.with_data, own.bytes));
    assert_eq!((report.threads().count(), report.target.threads), (0, 1));
    assert_eq!(report.processes[0].exited.ledger.ns("unknown"), 0);
    assert_eq!(report.verdict.io_model.name, "blocking", "{:#?}", report.verdict);
}
