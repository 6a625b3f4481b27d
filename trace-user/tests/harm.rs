//! Whatever happens to `trace`, nothing of it is left and its target lives; whatever its target does, it is not led
//! astray; and no target changes its result. CI runs short forms; `cargo xtask soak` (`TRACE_SOAK`) the long ones, whose
//! figures it takes from the lines that begin with `soak: `.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fixtures::Mode;
use fixtures::load::Pattern;
use fixtures::spawn::Fixture;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::machine::wait_for;
use support::programs::{heeds_signals, load, serve, trace, wait_until_in, words};
use support::real::are_installed;
use support::report::Report;
use support::test_alone;
use support::tracer::Tracer;

/// `short` in CI, `long` for `cargo xtask soak`.
fn length<T>(short: T, long: T) -> T {
    if std::env::var_os("TRACE_SOAK").is_some() { long } else { short }
}

/// One row of the page.
fn row(what: &str, figures: &str) {
    println!("soak: | {what} | {figures} |");
}

/// Ids of all programs, links and maps on the machine.
fn kernel_objects() -> [BTreeSet<u64>; 3] {
    ["prog", "link", "map"].map(|kind| {
        let output = Command::new("/usr/sbin/bpftool").args(["-j", kind, "show"]).output().unwrap();
        let list: Value = serde_json::from_slice(&output.stdout).unwrap();
        list.as_array().unwrap().iter().map(|object| object["id"].as_u64().unwrap()).collect()
    })
}

/// Numbers without a pattern that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A client whose server has to send back what it was sent, byte by byte.
struct Checker {
    stream: TcpStream,
    random: Random,
    /// Over all that came back.
    sum: u64,
    exchanges: u64,
}

impl Checker {
    fn new(server: &Fixture) -> Checker {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Checker { stream, random: Random(7), sum: 0, exchanges: 0 }
    }

    fn exchange(&mut self) {
        let size = 1 + self.random.below(4096) as usize;
        let sent: Vec<u8> = (0..size).map(|_| self.random.below(256) as u8).collect();
        self.stream.write_all(&sent).unwrap();
        let mut answer = vec![0; size];
        self.stream.read_exact(&mut answer).unwrap();
        assert!(sent == answer, "exchange {}: another answer", self.exchanges);
        self.sum = answer.iter().fold(self.sum, |sum, b| sum.rotate_left(5) ^ u64::from(*b));
        self.exchanges += 1;
    }
}

#[test]
fn whenever_it_is_killed_nothing_is_left_and_the_target_lives() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    let mut client = Checker::new(&server);
    let before = kernel_objects();
    let (times, mut random) = (length(8, 50), Random(1));
    for round in 0..times {
        let signals = [&[Signal::KILL][..], &[Signal::TERM], &[Signal::HUP], &[Signal::INT, Signal::INT]];
        let signals = signals[round % signals.len()];
        let mut command = Command::new(trace());
        command.args(words(&format!("attach --quiet --format json --pid {}", server.pid())));
        heeds_signals(&mut command);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(random.below(1_500)));
        for signal in signals {
            // A first interrupt may have been enough.
            let _ = kill_process(Pid::from_child(&child), *signal);
            std::thread::sleep(Duration::from_millis(30));
        }
        let status = child.wait().unwrap();
        use std::os::unix::process::ExitStatusExt as _;
        // Before it listens to signals, the first one ends it.
        let by_signal = status.signal().is_some_and(|s| signals.iter().any(|signal| signal.as_raw() == s));
        assert!(by_signal || matches!(status.code(), Some(0 | 130)), "{signals:?}: {status:?}");
        client.exchange();
    }
    wait_for("the end of all programs, links and maps", || {
        kernel_objects().iter().zip(&before).all(|(now, before)| now.is_subset(before))
    });
    assert_eq!(client.exchanges, times as u64);
    row(
        "kill -9, SIGTERM, SIGHUP, two SIGINT at random moments",
        &format!("{times} runs; nothing left; the target answered after each"),
    );
}

#[test]
fn a_stopped_target_is_stopped_and_waits_for_nothing() {
    test_alone!();
    let server = serve(Mode::BlockingIterative, "");
    let _client = Checker::new(&server);
    wait_until_in(&server, &[libc::SYS_recvfrom, libc::SYS_read]);
    let tracer = Tracer::attach(server.pid(), &[]);
    let pid = Pid::from_raw(server.pid() as i32).unwrap();
    let begun = Instant::now();
    kill_process(pid, Signal::STOP).unwrap();
    std::thread::sleep(length(Duration::from_secs(1), Duration::from_secs(5)));
    let stopped_for = begun.elapsed();
    kill_process(pid, Signal::CONT).unwrap();
    let report = tracer.interrupt();
    let ledger = &report.threads().next().unwrap().ledger;
    let (stopped, waited) = (ledger.ns("stopped"), ledger.ns("wait_data"));
    let wanted = stopped_for.as_nanos() as u64;
    println!("{ledger:?}");
    assert!(stopped.abs_diff(wanted) < 100_000_000, "stopped {stopped} of {wanted}");
    assert!(waited + stopped <= report.window.duration_ns);
    row(
        "SIGSTOP",
        &format!("stopped for {:.3} s, `stopped` {:.3} s", stopped_for.as_secs_f64(), stopped as f64 / 1e9),
    );
}

/// `trace run` of a command, and the report on it.
fn traced(words: &[&str]) -> Report {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("r.json");
    let output = Command::new(trace())
        .args(["run", "--quiet", "--output"])
        .arg(&file)
        .arg("--")
        .args(words)
        .env_remove("SUDO_UID")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Report = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    report.check();
    report
}

#[test]
fn a_storm_of_forks_is_counted_to_the_last() {
    test_alone!();
    let forks = length(2_000, 20_000);
    let begun = Instant::now();
    let report = traced(&["sh", "-c", &format!("i=0; while [ $i -lt {forks} ]; do (:); i=$((i+1)); done")]);
    let seconds = report.window.duration_ns as f64 / 1e9;
    println!("{:?} in {:?}", report.loss, begun.elapsed());
    assert_eq!(report.target.processes, forks + 1);
    assert_eq!(report.target.threads, forks + 1);
    assert_eq!(report.loss["threads_missed"] + report.loss["slots_exhausted"], 0);
    row("fork storm", &format!("{forks} children at {:.0} a second, all counted", forks as f64 / seconds));
}

#[test]
fn thousands_of_threads_that_start_and_end_are_counted_to_the_last() {
    test_alone!();
    if !are_installed(&["python3"]) {
        return;
    }
    let report = traced(&[
        "/usr/bin/python3",
        "-c",
        "import threading\n\
         for i in range(50):\n    \
             ts = [threading.Thread(target=lambda: None) for _ in range(100)]\n    \
             [t.start() for t in ts]; [t.join() for t in ts]",
    ]);
    println!("{:?}", report.loss);
    assert_eq!((report.target.threads, report.target.processes), (5_001, 1));
    assert_eq!(report.loss["threads_missed"] + report.loss["slots_exhausted"], 0);
    row("threads that start and end", "5,000, all counted");
}

#[test]
fn an_exec_goes_on_under_the_same_id_and_loses_no_time() {
    test_alone!();
    let report = traced(&["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exec sleep 0.3"]);
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
fn a_target_under_strace_and_a_target_that_is_strace_are_counted_right() {
    test_alone!();
    if !are_installed(&["strace"]) {
        return;
    }
    let server = serve(Mode::BlockingIterative, "--connections 1 --linger");
    let mut server = server;
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
    let seen = tracer.interrupt().receives();
    strace.kill().unwrap();
    strace.wait().unwrap();
    assert_eq!((seen.calls, seen.with_data, seen.bytes), (own.calls, own.with_data, own.bytes));
    let report = traced(&["strace", "-f", "-o", "/dev/null", "sh", "-c", "/bin/true; /bin/true"]);
    // strace forks once to find out what ptrace can do.
    assert!(report.target.processes >= 4, "{}", report.target.processes);
}

/// The same requests with and without a tracer that comes and goes.
#[test]
fn no_answer_changes_while_tracers_come_and_go() {
    test_alone!();
    let span = length(Duration::from_secs(6), Duration::from_secs(300));
    let (server, over) = (serve(Mode::Epoll, ""), AtomicBool::new(false));
    let mut client = Checker::new(&server);
    let attached = std::thread::scope(|scope| {
        let tracing = scope.spawn(|| {
            let mut attached = 0;
            // As many as the span has room for, and some where the machine is busy.
            while attached < 3 || !over.load(Ordering::Relaxed) {
                let attach = format!("attach --quiet --format json --duration 100ms --pid {}", server.pid());
                let output = Command::new(trace()).args(words(&attach)).output().unwrap();
                assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
                attached += 1;
            }
            attached
        });
        let begun = Instant::now();
        while !tracing.is_finished() {
            client.exchange();
            over.store(begun.elapsed() >= span, Ordering::Relaxed);
        }
        tracing.join().unwrap()
    });
    let quiet = serve(Mode::Epoll, "");
    let mut alone = Checker::new(&quiet);
    (0..client.exchanges).for_each(|_| alone.exchange());
    assert_eq!(alone.sum, client.sum);
    assert!(attached >= 3, "{attached}");
    row(
        "answers while tracers come and go",
        &format!(
            "{} answers under {attached} attaches in {} s: the same sum as without",
            client.exchanges,
            span.as_secs()
        ),
    );
}

/// Memory in core, KiB.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn over_a_long_run_memory_stays_and_counts_are_exact() {
    test_alone!();
    let span = length(Duration::from_secs(8), Duration::from_secs(1_800));
    let mut server = serve(Mode::Epoll, "--connections 8 --linger");
    let tracer = Tracer::attach(server.pid(), &[]);
    let clients = load(
        Pattern::PingPong,
        &server,
        &format!("--connections 8 --think 0 --size 64 --duration {}", span.as_secs()),
    );
    std::thread::sleep(span / 4);
    let early = resident_kib(tracer.pid());
    std::thread::sleep(span / 2);
    let late = resident_kib(tracer.pid());
    clients.wait().unwrap();
    let own = server.report().unwrap().totals.receives;
    let signalled = Instant::now();
    tracer.signal(Signal::INT);
    let ended = tracer.wait();
    let report = ended.report();
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    let events = document["cost"]["events"].as_u64().unwrap_or(0);
    let per_second = events as f64 / (report.window.duration_ns as f64 / 1e9);
    println!(
        "{early} KiB, {late} KiB; {per_second:.0} events a second; reported after {:?}",
        signalled.elapsed()
    );
    let seen = report.receives();
    assert_eq!(
        (seen.calls, seen.with_data, seen.eagain, seen.bytes),
        (own.calls, own.with_data, own.eagain, own.bytes)
    );
    assert!(late < early + 1024, "{early} KiB became {late} KiB");
    row(
        "a long run",
        &format!(
            "{} s at {per_second:.0} events a second: {} receives, none lost; {early} KiB, later {late} KiB",
            span.as_secs(),
            seen.calls
        ),
    );
}

/// Every command as somebody without any right works, or exits with its documented code and one clear message.
#[test]
fn as_nobody_every_command_works_or_says_in_one_message_why_not() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("TRACE_REQUIRE_PRIVILEGED").is_none(), "no test may skip here");
        eprintln!("skipped: only root can become nobody");
        return;
    }
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::TempDir::new_in("/tmp").unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (program, saved) = (directory.path().join("trace"), directory.path().join("a.trace"));
    std::fs::copy(trace(), &program).unwrap();
    std::fs::copy("../truth/snapshots/redis-many.trace", &saved).unwrap();
    let server = serve(Mode::Epoll, "");
    let (pid, saved) = (server.pid(), saved.display().to_string());
    for (args, code) in [
        (format!("attach --pid {pid}"), 6),
        (format!("attach --port {}", server.port()), 6),
        ("attach --pid 4000000".to_owned(), 5),
        ("run -- true".to_owned(), 6),
        ("demo".to_owned(), 6),
        ("list".to_owned(), 0),
        (format!("report {saved}"), 0),
        (format!("report {saved} --output /root/r.json"), 2),
        (format!("diff {saved} {saved}"), 0),
        (format!("check {saved} --expect io_model=multiplexing"), 0),
        (format!("check {saved} --expect io_model=blocking"), 3),
        ("explain multiplexing".to_owned(), 0),
        (format!("redact {saved} --output /proc/x.trace"), 2),
        ("schema".to_owned(), 0),
        ("completions bash".to_owned(), 0),
        ("man".to_owned(), 0),
        ("doctor".to_owned(), 6),
    ] {
        let mut command = Command::new("setpriv");
        command.args(words("--reuid nobody --regid nogroup --clear-groups")).arg(&program).args(words(&args));
        let output = command.current_dir("/").stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args}: {said}");
        let (errors, told) = (said.matches("error: ").count(), !output.stdout.is_empty());
        // What doctor and check have to say is their result.
        let fails = code != 0 && !["doctor", "check"].iter().any(|c| args.starts_with(c));
        assert_eq!(errors, usize::from(fails), "{args}: {said}");
        assert_eq!(told, !fails, "{args}");
    }
}
