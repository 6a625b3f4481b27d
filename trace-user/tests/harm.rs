//! Whatever happens to `trace`, nothing of it is left and its target lives; whatever its target does, it is not led
//! astray; and no target changes its result. CI runs short forms; `cargo xtask soak` (`TRACE_SOAK`) the long ones, whose
//! figures it takes from the lines that begin with `soak: `.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

#[path = "harm/killed.rs"]
mod killed;
#[path = "harm/nobody.rs"]
mod nobody;
mod support;
#[path = "harm/target.rs"]
mod target;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fixtures::Mode;
use fixtures::load::Pattern;
use fixtures::spawn::Fixture;
use rustix::process::Signal;
use serde_json::Value;
use support::memory::resident_kib;
use support::programs::{load, serve, trace, words};
use support::report::LOSSES;
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

/// Tracers that come and go at once: between them something is attached or detached about every 100 ms.
const TRACERS: usize = 3;

/// The same requests with and without tracers that come and go.
#[test]
fn no_answer_changes_while_tracers_come_and_go() {
    test_alone!();
    let span = length(Duration::from_secs(6), Duration::from_secs(300));
    let (server, over) = (serve(Mode::Epoll, ""), AtomicBool::new(false));
    let mut client = Checker::new(&server);
    let attach = format!("attach --quiet --format json --duration 100ms --pid {}", server.pid());
    let come_and_go = || {
        let mut attached = 0;
        // As many as the span has room for, and some where the machine is busy.
        while attached < 2 || !over.load(Ordering::Relaxed) {
            let output = Command::new(trace()).args(words(&attach)).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
            attached += 1;
        }
        attached
    };
    let begun = Instant::now();
    let attached: u64 = std::thread::scope(|scope| {
        let tracing = [(); TRACERS].map(|()| scope.spawn(come_and_go));
        while tracing.iter().any(|t| !t.is_finished()) {
            client.exchange();
            over.store(begun.elapsed() >= span, Ordering::Relaxed);
        }
        tracing.into_iter().map(|t| t.join().unwrap()).sum()
    });
    let (took, exchanges, sum) = (begun.elapsed(), client.exchanges, client.sum);
    let quiet = serve(Mode::Epoll, "");
    let mut alone = Checker::new(&quiet);
    (0..exchanges).for_each(|_| alone.exchange());
    assert_eq!(alone.sum, sum);
    drop((client, alone));
    // By the servers' own account, too: neither failed, and both got the same.
    let [traced, untraced] = [server, quiet].map(|server| server.end().unwrap().totals);
    assert_eq!((traced.receives.bytes, traced.receives.failed), (untraced.receives.bytes, 0));
    assert_eq!((traced.sends.bytes, traced.sends.failed), (untraced.sends.bytes, untraced.sends.failed));
    row(
        "answers while tracers come and go",
        &format!(
            "{exchanges} answers in {} s with something attached or detached every {} ms: the sum that they have without, no error",
            took.as_secs(),
            took.as_millis() / u128::from(2 * attached)
        ),
    );
}

/// Runs of probes a second that the long run must have.
const EVENTS: f64 = 200_000.0;
/// Connections with 1 ms between an answer and the next request, which make more than that here and leave both CPUs idle for
/// a part of the time.
const PACED: &str = "--connections 12 --think 1 --size 64";

#[test]
fn over_a_long_run_memory_stays_and_counts_are_exact() {
    test_alone!();
    let span = length(Duration::from_secs(8), Duration::from_secs(1_800));
    let mut server = serve(Mode::Epoll, "--connections 12 --linger");
    let tracer = Tracer::attach(server.pid(), &[]);
    let begun = Instant::now();
    let clients = load(Pattern::PingPong, &server, &format!("{PACED} --duration {}", span.as_secs()));
    // A quarter of the time to reach what then may not grow.
    let mut resident = Vec::new();
    while begun.elapsed() < span * 3 / 4 {
        std::thread::sleep(span / 16);
        if begun.elapsed() > span / 4 {
            resident.push(resident_kib(tracer.pid()).unwrap());
        }
    }
    let clients = clients.wait_within(span).unwrap();
    assert_eq!((clients.failures, &clients.error), (0, &None), "{clients:?}");
    let own = server.report().unwrap().totals.receives;
    let signalled = Instant::now();
    tracer.signal(Signal::INT);
    let ended = tracer.wait();
    let report = ended.report();
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    let events = document["cost"]["events"].as_u64().unwrap_or(0);
    let per_second = events as f64 / (report.window.duration_ns as f64 / 1e9);
    println!("{per_second:.0} events a second; reported after {:?}", signalled.elapsed());
    println!("resident KiB: {resident:?}; losses: {:?}", report.loss);
    let seen = report.receives();
    assert_eq!(
        (seen.calls, seen.with_data, seen.eagain, seen.bytes),
        (own.calls, own.with_data, own.eagain, own.bytes)
    );
    let lost: u64 = LOSSES.iter().map(|name| report.loss[*name]).sum();
    let (early, most) = (resident[0], *resident.iter().max().unwrap());
    // The allocator may still be filling up in the first seconds.
    assert!(most < early + length(4_096, 1_024), "{early} KiB became {most} KiB");
    row(
        "a long run",
        &format!(
            "{} s at {per_second:.0} events a second: {} receives, as many as the server counted, {lost} losses; \
             {early} KiB resident after a quarter of it, {most} KiB at most later",
            span.as_secs(),
            seen.calls
        ),
    );
    // What was seen is printed first: half an hour is long.
    assert!(length(true, per_second >= EVENTS), "{per_second:.0} events a second are no load");
}
