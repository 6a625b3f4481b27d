//! Ten thousand threads, fifteen thousand connections, births and calls in masses: nothing is lost, every nanosecond is in
//! an account, and what `trace` itself takes stays small. How long it takes is measured by `cargo xtask bench --scale`,
//! on a machine with nothing else to do; the limits here only tell growth in proportion from worse.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use fixtures::Mode;
use serde::Deserialize;
use support::machine::{is_guest, once_of_three, wait_for};
use support::memory::own_high_water_kib;
use support::programs::{descriptors, serve, trace, wait_until_done, words};
use support::report::{LOSSES, Report};
use support::test_alone;
use support::tracer::Tracer;

/// Resident set of `trace` that no target may make it exceed, KiB.
const MOST_KIB: u64 = 150 << 10;
/// The bench measures 30 s.
const SECONDS: u64 = 10;

#[test]
fn ten_thousand_threads_are_all_measured() {
    test_alone!();
    let many = Much::of("scale threads --count 10000");
    let mut tracer = Tracer::start(many.child.id(), &[]);
    let attached = tracer.wait_until_attached();
    std::thread::sleep(Duration::from_secs(2));
    let (report, ended, kib) = end(tracer);
    println!("attached after {attached:?}, ended within {ended:?}, {kib} KiB resident at most");
    assert_eq!(report.target.threads, 10_001);
    lost_nothing(&report);
    let asleep = report.threads().filter(|t| t.ledger.ns("wait_data") == t.lived_ns).count();
    assert_eq!(asleep, 9_001, "nine of ten, and the first thread, which reads its stdin");
    let napping = report.threads().filter(|t| t.ledger.ns("wait_timer") > t.lived_ns / 4).count();
    assert!(napping > 990, "{napping} of 1000 napped");
    assert!(kib < MOST_KIB, "{kib} KiB");
    assert!(attached < Duration::from_secs(15) && ended < Duration::from_secs(15), "{attached:?}, {ended:?}");
}

#[test]
fn threads_that_come_after_the_attach_all_get_a_record() {
    test_alone!();
    once_of_three(|| {
        let mut much = Much::of("scale threads --count 1 --more 12000");
        let tracer = Tracer::attach(much.child.id(), &[]);
        let Done { count, wall_ns, .. } = much.go();
        let (report, ended, kib) = end(tracer);
        println!("{count} threads within {wall_ns} ns; ended within {ended:?}, {kib} KiB resident at most");
        assert!(kib < MOST_KIB, "{kib} KiB");
        // On a crowded machine they may come faster than trace gets a CPU to make room; then the rest is counted.
        let missed = report.loss["slots_exhausted"];
        assert_eq!(report.target.threads, count + 2 - missed);
        if missed > 0 {
            return Err(format!("{missed} threads came too fast"));
        }
        lost_nothing(&report);
        assert!(report.threads().all(|t| t.ledger.ns("unknown") == 0));
        Ok(())
    });
}

#[test]
fn fifteen_thousand_connections_are_all_kept() {
    test_alone!();
    if is_guest() {
        println!("not on an emulated processor");
        return;
    }
    let server = serve(Mode::Epoll, "--size 64");
    let idle = descriptors(server.pid());
    let clients = format!(
        "press --connections 7500 --duration 4000 --reply 64 --port {} --send {}",
        server.port(),
        "x".repeat(64)
    );
    let mut clients = [Much::of(&clients), Much::of(&clients)];
    let tracer = Tracer::attach(server.pid(), &[]);
    clients.iter_mut().for_each(|c| drop(c.child.stdin.take()));
    let requests: u64 = clients.iter_mut().map(|c| c.line::<Pressed>().requests).sum();
    // They close their connections as they end, and the server answers to that.
    clients
        .iter_mut()
        .for_each(|c| wait_for("the end of the clients", || c.child.try_wait().unwrap().is_some()));
    wait_until_done(&server, idle);
    let (report, ended, kib) = end(tracer);
    let server = server.end().unwrap().totals;
    println!("{requests} requests; ended within {ended:?}, {kib} KiB resident at most");
    lost_nothing(&report);
    assert_eq!(report.loss["connections_evicted"], 0);
    assert_eq!(report.peers.iter().map(|p| p.connections).sum::<u64>(), 15_000);
    let seen = report.receives();
    assert_eq!(
        (seen.calls, seen.with_data, seen.bytes),
        (server.receives.calls, server.receives.with_data, server.receives.bytes)
    );
    assert!(seen.with_data >= requests, "{} of {requests}", seen.with_data);
    assert_eq!(report.verdict.io_model.name, "multiplexing");
    assert!(kib < MOST_KIB, "{kib} KiB");
}

#[test]
fn two_thousand_births_a_second_are_all_counted() {
    test_alone!();
    let mut much = Much::of(&format!("scale births --rate 2000 --seconds {SECONDS}"));
    let tracer = Tracer::attach(much.child.id(), &[]);
    let Done { count, wall_ns, failures } = much.go();
    wait_for("the end of the last thread", || threads(much.child.id()) == 1);
    let (report, ended, kib) = end(tracer);
    println!("{count} births in {wall_ns} ns, {failures} refused; ended within {ended:?}, {kib} KiB");
    lost_nothing(&report);
    assert_eq!(report.target.threads, count + 1);
    let exited = &report.process(much.child.id()).exited;
    assert_eq!(exited.threads, count);
    assert!(exited.lived_ns > 0 && exited.ledger.ns("unknown") == 0, "{exited:?}");
    assert!(kib < MOST_KIB, "{kib} KiB");
}

#[test]
fn a_million_calls_a_second_are_all_counted() {
    test_alone!();
    let mut much = Much::of(&format!("scale calls --rate 1000000 --seconds {SECONDS}"));
    let tracer = Tracer::attach(much.child.id(), &[]);
    let Done { count, wall_ns, .. } = much.go();
    let (report, ended, kib) = end(tracer);
    let rate = count as f64 * 1e9 / wall_ns as f64;
    println!("{count} calls, {rate:.0} a second on this machine; ended within {ended:?}, {kib} KiB");
    lost_nothing(&report);
    let receives = report.receives();
    assert_eq!((receives.calls, receives.eagain), (count, count));
    assert_eq!(count, 1_000_000 * SECONDS);
    assert!(kib < MOST_KIB, "{kib} KiB");
}

/// Ends the window; returns the report, the time that took, and the most memory that `trace` had, KiB.
fn end(tracer: Tracer) -> (Report, Duration, u64) {
    let (pid, asked) = (tracer.pid(), Instant::now());
    let watch = std::thread::spawn(move || {
        let mut most = 0;
        while let Some(kib) = own_high_water_kib(pid) {
            most = kib;
            std::thread::sleep(Duration::from_millis(2));
        }
        most
    });
    let report = tracer.interrupt();
    (report, asked.elapsed(), watch.join().unwrap())
}

fn threads(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count()
}

/// That no loss was counted. Conservation was checked when the report was read.
fn lost_nothing(report: &Report) {
    let lost: Vec<_> = LOSSES.iter().map(|name| (name, report.loss[*name])).filter(|(_, n)| *n > 0).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

/// A workload of `trace fixture` that begins at a word on its stdin; dropping it ends it.
struct Much {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

/// What it says at its end.
#[derive(Deserialize)]
struct Done {
    count: u64,
    wall_ns: u64,
    failures: u64,
}

/// What clients say at their end.
#[derive(Deserialize)]
struct Pressed {
    requests: u64,
}

impl Much {
    /// Starts it, and waits until it is ready.
    fn of(args: &str) -> Self {
        let mut command = Command::new(trace());
        command.arg("fixture").args(words(args)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut much = Self { child, said };
        much.said.next().unwrap().unwrap();
        much
    }

    fn line<T: for<'a> Deserialize<'a>>(&mut self) -> T {
        serde_json::from_str(&self.said.next().unwrap().unwrap()).unwrap()
    }

    /// Says the word, and waits until the work is done.
    fn go(&mut self) -> Done {
        writeln!(self.child.stdin.as_mut().unwrap()).unwrap();
        self.line()
    }
}

impl Drop for Much {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
