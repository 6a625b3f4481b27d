//! Exchanges: what they take, whom they wait for, how connections are handed over, what loops do between their waits.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use fixtures::load::{Pattern, Summary};
use fixtures::spawn::Fixture;
use fixtures::{Mode, record};
use support::machine::{DEADLINE, is_guest, kept_up, once_of_three};
use support::observe::{Observed, Workload, both_ways};
use support::programs::{descriptors, load, serve, wait_until_done};
use support::report::Report;
use support::test_alone;
use support::tracer::Tracer;

/// So long does the server think.
const THOUGHT_NS: u64 = 5_000_000;

const PING_PONG: Workload = Workload {
    mode: Mode::Epoll,
    server: "",
    pattern: Pattern::PingPong,
    clients: "--connections 3 --requests 20 --think 20",
    tracer: "",
    clients_on: None,
};

#[test]
fn each_request_and_its_answer_are_a_turn() {
    test_alone!();
    for mode in [Mode::Epoll, Mode::EpollEt, Mode::BlockingIterative, Mode::Poll, Mode::Nonblocking] {
        both_ways(|way| {
            let clients = if mode == Mode::BlockingIterative { Pattern::InTurn } else { Pattern::PingPong };
            let observed = Workload { mode, pattern: clients, ..PING_PONG }.observe(way);
            assert_eq!(observed.trace.turns.count, Some(observed.clients.answered), "{mode:?}");
        });
    }
}

#[test]
fn five_milliseconds_of_thought_are_five_milliseconds_of_build() {
    test_alone!();
    for (mode, pattern) in [(Mode::Epoll, Pattern::PingPong), (Mode::BlockingIterative, Pattern::InTurn)] {
        once_of_three(|| {
            let thinking = Workload { mode, pattern, server: "--delay 5 --calls", ..PING_PONG };
            let Observed { fixture, trace: Report { turns, .. }, .. } = thinking.observe("");
            let (build, own) = (turns.build_ns.unwrap(), own_build_ns(&fixture));
            println!("{mode:?}: {turns:?}, by its own clock {own} ns");
            assert!(turns.service_p50_ns.unwrap() >= THOUGHT_NS && build >= THOUGHT_NS);
            if build.abs_diff(own) > own / 10 && !is_guest() {
                return Err(format!("{build} ns of build, by its own clock {own}"));
            }
            Ok(())
        });
    }
}

/// From the end of a receive to the send of its echo, on average, by the fixture's own clock: where CPUs are short, five
/// milliseconds become more.
fn own_build_ns(fixture: &record::Report) -> u64 {
    let calls = fixture.threads[0].calls.as_ref().unwrap();
    let received = calls.receives.iter().filter(|call| call.result > 0);
    let built = received.zip(&calls.sends).map(|(receive, send)| send.start_ns - receive.end_ns);
    built.sum::<u64>() / calls.sends.len() as u64
}

#[test]
fn service_times_are_what_clients_see_less_the_way() {
    test_alone!();
    let observed = Workload { server: "--delay 5", ..PING_PONG }.observe("");
    let turns = &observed.trace.turns;
    let parts = turns.receive_ns.unwrap() + turns.build_ns.unwrap() + turns.send_ns.unwrap();
    assert!(parts >= THOUGHT_NS && turns.service_p99_ns >= turns.service_p50_ns, "{turns:?}");
    let own_ns = observed.clients.ended_ns - observed.clients.started_ns;
    assert!(
        parts * turns.count.unwrap() < own_ns * 3,
        "three clients, one exchange each at a time: {turns:?}"
    );
}

#[test]
fn a_worker_that_waits_for_its_database_shows_it() {
    test_alone!();
    let database = serve(Mode::Blocking, "--delay 20");
    let server = serve(Mode::Blocking, &format!("--upstream {}", database.port()));
    let idle = descriptors(server.pid());
    let tracer = Tracer::attach(server.pid(), &[]);
    let clients = load(Pattern::PingPong, &server, "--connections 3 --requests 30 --think 1");
    let clients = clients.wait().unwrap();
    wait_until_done(&server, idle);
    let report = tracer.interrupt();
    assert_eq!((clients.failures, clients.answered), (0, 90));
    let first = &report.peers[0];
    let address = format!("127.0.0.1:{}", database.port());
    assert_eq!((&*first.side, &first.address), ("client", &address), "{:#?}", report.peers);
    assert_eq!((first.connections, first.replies), (3, 90));
    let reply_ns = first.reply_ns / first.replies;
    // Each client waited for thirty of them, one after the other.
    let most = (clients.ended_ns - clients.started_ns) / 30;
    assert!((20_000_000..most).contains(&reply_ns), "{reply_ns} ns a reply, at most {most}");
    let io_model = &report.verdict.io_model;
    assert_eq!(
        (&*io_model.name, io_model.confidence.as_deref()),
        ("blocking", Some("high")),
        "{io_model:#?}"
    );
    assert_eq!(io_model.upstream.as_ref().unwrap().name, "blocking");
    assert_eq!(report.turns.count, Some(90));
    assert!(report.turns.build_ns.unwrap() > 20_000_000, "{:?}", report.turns);
}

#[test]
fn a_thread_born_for_each_of_forty_thousand_connections_is_counted_once() {
    test_alone!();
    // 2,000 connections a second and more, for 20 s; a guest is 20 times as slow.
    let seconds = if is_guest() { 2 } else { 20 };
    let (server, clients, report) = churned(seconds);
    let rate = clients.opened / seconds;
    println!("{} connections, {rate} a second", clients.opened);
    each_is_counted_once(&server, &clients, &report);
    if is_guest() {
        return; // Too slow for thirty waits.
    }
    let server_model = &report.verdict.server_model;
    assert_eq!(
        (&*server_model.name, server_model.units.as_deref(), server_model.confidence.as_deref()),
        ("thread-per-connection", Some("thread"), Some("high")),
        "{server_model:#?}"
    );
    // How fast the machine is without a tracer is not the same from one second to the next.
    once_of_three(|| kept_up(rate, 2_000, || churn(&serve(Mode::Blocking, ""), 2).opened / 2));
}

/// As many short connections as four clients make, one after another each.
fn churn(server: &Fixture, seconds: u64) -> Summary {
    let spec = format!("--connections 4 --duration {seconds}");
    load(Pattern::Churn, server, &spec).wait_within(DEADLINE).unwrap()
}

/// The same under a tracer.
fn churned(seconds: u64) -> (record::Report, Summary, Report) {
    let server = serve(Mode::Blocking, "");
    let tracer = Tracer::attach(server.pid(), &[]);
    let clients = churn(&server, seconds);
    let own = server.end().unwrap();
    (own, clients, tracer.wait().report())
}

fn each_is_counted_once(own: &record::Report, clients: &Summary, report: &Report) {
    let threads = own.threads.len() as u64 + own.folded.threads;
    assert_eq!((clients.failures, threads), (0, clients.opened + 1));
    nothing_is_lost(report);
    assert_eq!(report.target.threads, threads);
    let seen = report.receives();
    assert_eq!((seen.with_data, seen.bytes), (own.totals.receives.with_data, own.totals.receives.bytes));
    assert_eq!(report.handovers.get("new_thread"), Some(&clients.opened), "{:?}", report.handovers);
    let served: u64 = report.peers.iter().filter(|p| p.side == "server").map(|p| p.connections).sum();
    assert_eq!(served, clients.opened, "peers count short connections, too");
}

fn nothing_is_lost(report: &Report) {
    for name in ["slots_exhausted", "map_full", "threads_missed", "torn_reads"] {
        assert_eq!(report.loss[name], 0, "{name}");
    }
}

#[test]
fn a_loop_that_sleeps_within_an_iteration_says_in_which_call() {
    test_alone!();
    let observed = Workload { server: "--delay 5", ..PING_PONG }.observe("");
    let main = observed.trace.threads().find(|t| t.tid == observed.fixture.tid).unwrap();
    let event_loop = main.event_loop.as_ref().unwrap();
    println!("{event_loop:#?}");
    assert!(event_loop.iterations >= 20 && event_loop.longest.ns >= THOUGHT_NS);
    assert!(event_loop.longest.sleep_ns >= 4_000_000, "{event_loop:#?}");
    assert!(event_loop.longest.sleep_syscall.as_deref().unwrap().contains("nanosleep"));
    assert_eq!(event_loop.without_work, 0);
    let busy = Workload { server: "--work 5", ..PING_PONG }.observe("");
    let main = busy.trace.threads().find(|t| t.tid == busy.fixture.tid).unwrap();
    let longest = &main.event_loop.as_ref().unwrap().longest;
    assert!(longest.cpu_ns >= 4_500_000 && longest.sleep_ns < 1_000_000, "{longest:#?}");
}
