//! What may go wrong while measuring, what measuring may cost, and that nothing is left behind.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use aya::programs::loaded_programs;
use fixtures::Mode;
use fixtures::load::Pattern;
use fixtures::spawn::{Fixture, thread_ids};
use rustix::process::Signal;
use support::machine::{by_machine, once_of_three, wait_for};
use support::memory::own_high_water_kib;
use support::observe::Workload;
use support::programs::{load, serve};
use support::report::LOSSES;
use support::test_alone;
use support::tracer::Tracer;

#[test]
fn a_busy_server_has_its_first_verdict_within_two_seconds() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    let _clients = load(Pattern::PingPong, &server, "--connections 50 --think 5");
    once_of_three(|| {
        let mut tracer = Tracer::start(server.pid(), &["--duration=1s"]);
        let attached = tracer.wait_until_attached();
        let crowded = tracer.waited_for_cpu();
        let ended = tracer.wait();
        let verdict = ended.report().verdict.io_model;
        println!(
            "attached after {attached:?}, of which {crowded:?} without a CPU, reported after {:?}: {}",
            ended.took, verdict.name
        );
        assert_eq!(verdict.name, "multiplexing", "{verdict:#?}");
        if attached > Duration::from_secs(1) + crowded {
            return Err(format!("attached after {attached:?} only"));
        }
        let allowed = Duration::from_secs(2) + crowded;
        if ended.took > allowed { Err(format!("a verdict after {:?} only", ended.took)) } else { Ok(()) }
    });
}

#[test]
fn a_long_run_says_its_first_verdict_before_it_ends() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    let _clients = load(Pattern::PingPong, &server, "--connections 50 --think 5");
    once_of_three(|| {
        let mut tracer = Tracer::start(server.pid(), &[]);
        let so_far = tracer.wait_for_line("so far:");
        let crowded = tracer.waited_for_cpu();
        println!("a first verdict after {so_far:?}, of which {crowded:?} without a CPU");
        assert_eq!(tracer.interrupt().verdict.io_model.name, "multiplexing");
        if so_far < Duration::from_secs(2) + crowded { Ok(()) } else { Err(format!("{so_far:?}")) }
    });
}

#[test]
fn a_thousand_threads_take_less_than_64_mib() {
    test_alone!();
    let server = serve(Mode::Threads, "--threads 1000");
    let mut tracer = Tracer::start(server.pid(), &["--duration=2s"]);
    let mut peak_kib = 0;
    while tracer.is_running() {
        peak_kib = peak_kib.max(own_high_water_kib(tracer.pid()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    let report = tracer.wait().report();
    println!("{} threads, at most {peak_kib} KiB resident", report.target.threads);
    assert_eq!(report.target.threads, 1001);
    assert!(peak_kib > 0 && peak_kib < 64 << 10, "{peak_kib} KiB");
    // The main thread sleeps in pause.
    let asleep_in_recv = |account: &str| {
        report.threads().filter(|t| t.ledger.ns(account) == t.lived_ns && t.lived_ns > 0).count()
    };
    assert_eq!((asleep_in_recv("wait_data"), asleep_in_recv("wait_signal")), (1000, 1));
}

#[test]
fn a_killed_tracer_leaves_no_program_and_the_target_lives() {
    test_alone!();
    let server = serve(Mode::BlockingIterative, "");
    assert!(answers(&server));
    let tracer = Tracer::attach(server.pid(), &[]);
    let programs = programs_of(tracer.pid());
    assert!(!programs.is_empty() && programs.is_subset(&all_programs()), "{programs:?}");
    tracer.signal(Signal::KILL);
    let ended = tracer.wait();
    assert!(!ended.status.success() && ended.stdout.is_empty());
    wait_for("the end of its programs", || programs.is_disjoint(&all_programs()));
    println!("{} programs are gone", programs.len());
    assert!(answers(&server));
    assert_eq!(server.end().unwrap().totals.receives.bytes, 10);
}

/// Ids of the programs that a process holds (`fdinfo` of its descriptors, kernel/bpf/syscall.c).
fn programs_of(pid: u32) -> BTreeSet<u32> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let texts = entries.filter_map(|e| std::fs::read_to_string(e.unwrap().path()).ok());
    let id = |text: String| text.lines().find_map(|l| l.strip_prefix("prog_id:")?.trim().parse().ok());
    texts.filter_map(id).collect()
}

/// Ids of all programs on the machine; one that ends meanwhile cannot be looked at any more.
fn all_programs() -> BTreeSet<u32> {
    loaded_programs().filter_map(|program| Some(program.ok()?.id())).collect()
}

/// Five bytes there and back.
fn answers(server: &Fixture) -> bool {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut echo = [0; 5];
    stream.read_exact(&mut echo).unwrap();
    echo == *b"hello"
}

#[test]
fn a_killed_target_is_reported() {
    test_alone!();
    let server = serve(Mode::Blocking, "");
    let clients = load(Pattern::PingPong, &server, "--connections 4 --think 5");
    wait_for("a thread for each connection", || thread_ids(server.pid()).len() == 5);
    let tracer = Tracer::attach(server.pid(), &["--duration=60s"]);
    // Dropping a fixture kills it.
    drop(server);
    let report = tracer.wait().report();
    assert_eq!(report.window.ended_by, "target-exit");
    assert_eq!(report.target.threads, 5);
    drop(clients);
}

#[test]
fn each_of_the_signals_closes_the_window_and_reports() {
    test_alone!();
    let server = serve(Mode::Spin, "");
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let tracer = Tracer::attach(server.pid(), &["--duration=60s"]);
        tracer.signal(signal);
        let ended = tracer.wait();
        assert_eq!(ended.report().window.ended_by, "interrupt", "{signal:?}");
        assert!(ended.took < Duration::from_secs(30), "{signal:?}: {:?}", ended.took);
    }
}

/// Threads that are born and end within both windows, so that both tracers see the whole of them.
#[test]
fn two_tracers_of_one_process_count_the_same_and_agree_on_times() {
    test_alone!();
    once_of_three(|| {
        let mut server = serve(Mode::Blocking, "--connections 8 --linger");
        let tracers = [(); 2].map(|()| Tracer::attach(server.pid(), &[]));
        load(Pattern::PingPong, &server, "--connections 8 --requests 200 --think 5").wait().unwrap();
        let own = server.report().unwrap().totals.receives;
        let [one, other] = tracers.map(Tracer::interrupt);
        let seen = one.receives();
        assert_eq!(seen, other.receives());
        assert_eq!(
            (seen.calls, seen.with_data, seen.eof, seen.bytes),
            (own.calls, own.with_data, own.eof, own.bytes)
        );
        // A probe of the one runs within what the other measures, at every event.
        let probes_ns = one.cost.bpf_run_ns.unwrap().max(other.cost.bpf_run_ns.unwrap());
        let [one, other] = [&one, &other].map(|report| &report.process(server.pid()).exited);
        assert_eq!((one.threads, other.threads), (8, 8));
        for (account, ns) in &one.ledger.0 {
            let (ns, others) = (ns.unwrap(), other.ledger.0[account].unwrap());
            let allowed = ns.max(others) / 20 + probes_ns;
            println!("{account}: {ns}, {others}, allowed {allowed}");
            if ns.abs_diff(others) > allowed {
                return Err(format!("{account}: {ns} ns and {others} ns, and probes ran for {probes_ns} ns"));
            }
        }
        Ok(())
    });
}

#[test]
fn a_quiet_run_loses_nothing_and_is_complete_under_strict() {
    test_alone!();
    let report = Workload {
        mode: Mode::BlockingIterative,
        server: "--connections 1",
        pattern: Pattern::InTurn,
        clients: "--requests 40 --think 5",
        tracer: "--strict",
        clients_on: None,
    }
    .observe("")
    .trace;
    println!("{:?}", report.loss);
    let lost: Vec<_> = LOSSES.into_iter().filter(|l| report.loss[*l] > 0).collect();
    assert!(lost.is_empty(), "{lost:?}: {:?}", report.loss);
    assert_eq!(report.tool.tier, "full");
    assert!(report.window.duration_ns < by_machine(30, 300) * 1_000_000_000);
}
