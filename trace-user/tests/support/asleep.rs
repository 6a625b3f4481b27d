//! Servers that were asleep before the window began.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use clap::ValueEnum as _;
use fixtures::{Mode, SleepIn};

use super::machine::{is_guest, now_ns};
use super::programs::{load, serve, wait_until_in, words};
use super::report::Report;
use super::tracer::Tracer;
use fixtures::load::Pattern;

/// The calls to sleep in, and the account of each.
const SLEEPS: [(SleepIn, &str); 8] = [
    (SleepIn::Accept, "wait_accept"),
    (SleepIn::Recv, "wait_data"),
    (SleepIn::Epoll, "wait_ready"),
    (SleepIn::Poll, "wait_ready"),
    (SleepIn::Select, "wait_ready"),
    (SleepIn::Futex, "wait_futex"),
    (SleepIn::Nanosleep, "wait_timer"),
    (SleepIn::Pause, "wait_signal"),
];

/// Those that a connection or its data ends.
pub const WAKEABLE: [SleepIn; 5] =
    [SleepIn::Accept, SleepIn::Recv, SleepIn::Epoll, SleepIn::Poll, SleepIn::Select];

/// Of the sleeps, those of `calls`; in a guest, where each run takes seconds, one of each account at the most.
pub fn sleeps(calls: &[SleepIn]) -> impl Iterator<Item = (SleepIn, &'static str)> {
    SLEEPS.into_iter().filter(|(call, _)| {
        calls.contains(call) && (!is_guest() || !matches!(call, SleepIn::Poll | SleepIn::Select))
    })
}

fn name_of(call: SleepIn) -> String {
    call.to_possible_value().unwrap().get_name().to_owned()
}

/// A thread that sleeps all the time, before the window and after it, sleeps all of the window in this account.
pub fn throughout(call: SleepIn, account: &str, way: &str) {
    let server = serve(Mode::Asleep, &format!("--in {}", name_of(call)));
    let _client = call.needs_client().then(|| load(Pattern::OpenIdle, &server, ""));
    server.wait_until_asleep(call).unwrap();
    let options = [words(way), vec!["--duration=300ms"]].concat();
    let report = Tracer::attach(server.pid(), &options).wait().report();
    let thread = report.thread(server.ready().tid);
    assert_eq!(thread.lived_ns, report.window.duration_ns, "{call:?}: {thread:#?}");
    assert_eq!(thread.ledger.ns(account), thread.lived_ns, "{call:?}: {thread:#?}");
    let in_flight = thread.in_flight.as_ref().unwrap_or_else(|| panic!("{call:?}: {thread:#?}"));
    assert!(in_flight.before_attach, "{call:?}: {in_flight:?}");
    assert_eq!((&*in_flight.account, in_flight.since_ns), (account, thread.lived_ns), "{call:?}");
}

/// Of a sleep that began before the window and ends within it, the part inside is in this account, and no more.
pub fn woken_within(call: SleepIn, account: &str, way: &str) -> Report {
    let mut server = serve(Mode::Asleep, &format!("--linger --in {}", name_of(call)));
    let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
    let mut client = call.needs_client().then(connect);
    server.wait_until_asleep(call).unwrap();
    let before = now_ns();
    let tracer = Tracer::attach(server.pid(), &words(way));
    let attached = now_ns();
    // The part inside.
    std::thread::sleep(Duration::from_millis(300));
    match &mut client {
        Some(client) => client.write_all(b"wake up").unwrap(),
        None => client = Some(connect()),
    }
    let slept_until = server.report().unwrap().asleep.unwrap().until_ns;
    wait_until_in(&server, SleepIn::Pause.syscalls());
    let report = tracer.interrupt();
    let thread = report.thread(server.ready().tid);
    let waited = thread.ledger.ns(account);
    println!("{call:?}: {waited} ns of {} inside, {} before", slept_until - attached, attached - before);
    let least = Duration::from_millis(300).as_nanos() as u64;
    assert!((least..slept_until - before).contains(&waited), "{call:?}: {waited}: {thread:#?}");
    assert!(thread.waited_before, "{call:?}: {thread:#?}");
    assert!(!thread.in_flight.as_ref().unwrap().before_attach, "{call:?}: {thread:#?}");
    drop(client);
    report
}
