//! Workloads that record by their own clock what they did: the tool must agree.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use clap::ValueEnum as _;
use fixtures::load::Pattern;
use fixtures::record::Call as OwnCall;
use fixtures::{Mode, SleepIn};
use support::asleep;
use support::built::{Built, FIXTURES, is_surely};
use support::machine::{by_machine, is_guest, last_cpu, median, once_of_three, slope};
use support::observe::{Observed, Workload, both_ways};
use support::programs::serve;
use support::test_alone;
use support::tracer::Tracer;

/// 23 receives of 4096 bytes, 50 ms apart, by one thread that sleeps in each of them.
const TWENTY_THREE: Workload = Workload {
    mode: Mode::BlockingIterative,
    server: "--receives-only --connections 1 --calls",
    pattern: Pattern::SendOnly,
    clients: "--no-echo",
    tracer: "--calls 100",
    clients_on: None,
};

#[test]
fn twenty_three_receives_are_twenty_three_and_each_of_them_slept() {
    test_alone!();
    both_ways(|way| {
        let seen = TWENTY_THREE.observe(way).trace.receives();
        assert_eq!((seen.calls, seen.with_data, seen.eof, seen.bytes), (24, 23, 1, 94_208));
        assert_eq!(seen.slept, 23);
    });
}

#[test]
fn each_receive_takes_as_long_as_the_fixtures_own_clock_says() {
    test_alone!();
    both_ways(|way| once_of_three(|| clocks_agree(&TWENTY_THREE.observe(way))));
}

fn clocks_agree(observed: &Observed) -> Result<(), String> {
    let calls = observed.trace.calls.as_ref().unwrap();
    let own = &observed.fixture.threads[0].calls.as_ref().unwrap().receives;
    assert_eq!(calls.len(), own.len());
    let clock_ns = |own: &OwnCall| own.end_ns - own.start_ns;
    for (call, own) in calls.iter().zip(own) {
        assert_eq!(call.result, own.result);
        let off = call.sum_ns().abs_diff(clock_ns(own));
        let allowed = by_machine(20_000, 5_000_000) + clock_ns(own) / by_machine(100, 5);
        if off > allowed {
            return Err(format!("differs by {off} ns, allowed are {allowed}: {call:?} {own:?}"));
        }
    }
    let with_data = || calls.iter().zip(own).filter(|(call, _)| call.result > 0);
    let share = median(with_data().map(|(call, own)| call.wait_data_ns as f64 / clock_ns(own) as f64));
    let worst = with_data().map(|(call, own)| call.sum_ns().abs_diff(clock_ns(own))).max();
    println!("wait_data is {share:.4} of the median call; the greatest difference is {worst:?} ns");
    if share < by_machine(0.95, 0.5) {
        Err(format!("wait_data is {share:.4} of the median call"))
    } else {
        Ok(())
    }
}

#[test]
fn poll_over_one_connection_after_another_is_blocking_in_disguise() {
    test_alone!();
    both_ways(|way| {
        let observed = Workload {
            mode: Mode::PollOne,
            server: "--connections 3",
            pattern: Pattern::InTurn,
            clients: "--connections 3 --requests 20 --think 10",
            tracer: "",
            clients_on: None,
        }
        .observe(way);
        let verdict = &observed.trace.verdict.io_model;
        assert_eq!(
            (&*verdict.name, verdict.qualifier.as_deref()),
            ("blocking", Some("emulated")),
            "{verdict:#?}"
        );
        let seen = observed.trace.receives();
        assert_eq!((seen.with_data, seen.eof, seen.slept), (60, 3, 0));
    });
}

#[test]
fn epoll_over_fifty_connections_is_multiplexing() {
    test_alone!();
    both_ways(|way| {
        let observed = Workload {
            mode: Mode::Epoll,
            server: "--connections 50",
            pattern: Pattern::PingPong,
            clients: "--connections 50 --requests 10",
            tracer: "",
            clients_on: None,
        }
        .observe(way);
        is_surely(&observed.trace.verdict.io_model, "multiplexing", None);
        assert_eq!(observed.trace.receives().bytes, 50 * 10 * 4096);
    });
}

#[test]
fn a_server_asleep_all_the_time_waits_the_whole_window_in_the_right_account() {
    test_alone!();
    for (call, account) in asleep::sleeps(SleepIn::value_variants()) {
        asleep::throughout(call, account, "");
    }
}

#[test]
fn of_a_sleep_that_began_before_the_window_only_the_part_inside_counts() {
    test_alone!();
    both_ways(|way| {
        for (call, account) in asleep::sleeps(&asleep::WAKEABLE) {
            asleep::woken_within(call, account, way);
        }
    });
}

#[test]
fn a_busy_loop_is_user_time_and_nothing_is_unknown() {
    test_alone!();
    let server = serve(Mode::Spin, &format!("--cpu {}", last_cpu()));
    let report = Tracer::attach(server.pid(), &["--duration=2s"]).wait().report();
    let thread = report.thread(server.ready().tid);
    let (user, on_cpu) = (thread.ledger.ns("user"), thread.on_cpu_ns());
    println!("user {user} ns of {on_cpu} on a CPU, {} waiting for it", thread.runnable_ns());
    assert!(user as f64 >= 0.98 * thread.check.unwrap().run_ns as f64, "{thread:#?}");
    assert!(user as f64 >= 0.98 * on_cpu as f64, "{thread:#?}");
    assert_eq!(thread.ledger.ns("unknown"), 0);
}

#[test]
fn run_time_and_run_queue_delay_agree_with_the_kernels_own() {
    test_alone!();
    // Of thread-per-connection the workers end within the window, and the kernel forgets them. A spinning SQPOLL thread
    // competes for the CPUs with whatever is hidden from tracing, and then more switches are hidden than seen.
    let has_threads = |fixture: &&Built| !matches!(fixture.mode, Mode::Blocking | Mode::UringSqpoll);
    let most = by_machine(FIXTURES.len(), 3);
    for fixture in FIXTURES.iter().filter(has_threads).take(most) {
        once_of_three(|| fixture.under_load(4, "").main().agrees_with_the_kernel());
    }
}

/// Works so long on each request that the CPU is given to others meanwhile, if there are others.
fn working_server_on(cpu: usize, way: &str) -> Observed {
    Workload {
        mode: Mode::BlockingIterative,
        server: &format!("--connections 1 --cpu {cpu} --work 8"),
        pattern: Pattern::PingPong,
        clients: "--requests 40",
        tracer: "",
        clients_on: None,
    }
    .observe(way)
}

#[test]
fn busy_loops_on_the_targets_cpu_are_waiting_for_the_cpu_and_not_for_data() {
    test_alone!();
    let cpu = last_cpu();
    both_ways(|way| {
        once_of_three(|| {
            let alone = working_server_on(cpu, way);
            let loops = [(); 2].map(|()| serve(Mode::Spin, &format!("--cpu {cpu}")));
            let crowded = working_server_on(cpu, way);
            drop(loops);
            let ns = |account| (alone.main().ledger.ns(account), crowded.main().ledger.ns(account));
            println!(
                "runqueue {:?}, preempted {:?}, wait_data {:?}",
                ns("runqueue"),
                ns("preempted"),
                ns("wait_data")
            );
            for account in ["runqueue", "preempted"] {
                let (alone, crowded) = ns(account);
                if crowded < 2 * alone + 5_000_000 {
                    return Err(format!(
                        "{account} does not grow: {alone} ns alone, {crowded} ns in a crowd"
                    ));
                }
            }
            let (alone, crowded_wait) = ns("wait_data");
            if crowded_wait > alone + alone / 10 + 5_000_000 {
                return Err(format!("wait_data grows: {alone} ns alone, {crowded_wait} ns in a crowd"));
            }
            let delay = crowded.main().check.unwrap().delay_ns;
            let runnable = crowded.main().runnable_ns();
            if !is_guest() && runnable > delay + delay / 10 + 5_000_000 {
                return Err(format!("waited for its CPU {runnable} ns, by the kernel's account {delay} ns"));
            }
            crowded.main().agrees_with_the_kernel()
        });
    });
}

/// The first size of mode `copy`: it warms up client, caches and page pools, and is not looked at.
const WARM_UP: u64 = 8 << 10;

#[test]
fn copying_takes_the_longer_the_more_there_is_to_copy() {
    test_alone!();
    // Client and server on one CPU: what another one wrote would first have to leave that one's caches.
    let cpu = last_cpu();
    let sizes = (WARM_UP.trailing_zeros()..=20).map(|bits| (1_u64 << bits).to_string());
    let sizes = sizes.collect::<Vec<_>>().join(",");
    let server = format!("--connections 1 --repeat 100 --sizes {sizes} --cpu {cpu}");
    let copies = Workload {
        mode: Mode::Copy,
        server: &server,
        pattern: Pattern::CopyClient,
        clients: "",
        tracer: "--calls 1000",
        clients_on: Some(cpu),
    };
    both_ways(|way| once_of_three(|| copies_grow(&copies.observe(way))));
}

fn copies_grow(observed: &Observed) -> Result<(), String> {
    let copy = observed.fixture.copy.as_ref().unwrap();
    let calls = observed.trace.calls.as_ref().unwrap();
    assert_eq!(calls.len(), copy.calls.len());
    let pairs = || calls.iter().zip(&copy.calls);
    for (call, own) in pairs() {
        assert_eq!(call.result, own.result);
        let clock_ns = own.end_ns - own.start_ns;
        assert!(call.copy_ns <= clock_ns, "copy exceeds the clock around the call: {call:?} {own:?}");
    }
    let median_of =
        |size: u64| median(pairs().filter(|(_, own)| own.size == size).map(|(call, _)| call.copy_ns));
    let sizes = || copy.sizes.iter().filter(|s| s.size > WARM_UP);
    let copied: Vec<_> = sizes().map(|s| (s.size as f64, median_of(s.size) as f64)).collect();
    // From memory that has left the near caches, or may have: the pages of a queue are fresh ones each time.
    let memory: Vec<_> = sizes().map(|s| (s.size as f64, s.memcpy_median_ns as f64)).collect();
    // Bytes per nanosecond.
    let (rate, own_rate) = (1.0 / slope(&copied), 1.0 / slope(&memory));
    println!("{rate:.1} GB/s, by memcpy {own_rate:.1} GB/s; medians in ns: {copied:?}");
    // An emulated processor copies by `rep movs` at a fraction of its memcpy's rate, and with more noise.
    let grown: Vec<_> = copied.iter().step_by(by_machine(1, 2)).collect();
    if let Some(pair) = grown.windows(2).find(|pair| pair[0].1 >= pair[1].1) {
        return Err(format!("the median does not grow: {pair:?}"));
    }
    if !is_guest() && !(own_rate / 2.0..own_rate * 2.0).contains(&rate) {
        return Err(format!("copies run at {rate} GB/s, memcpy at {own_rate} GB/s"));
    }
    Ok(())
}

#[test]
fn datagrams_without_a_copy_event_are_bounded_and_counted_as_such() {
    test_alone!();
    both_ways(|way| {
        let observed = Workload {
            mode: Mode::UdpSizes,
            server: "--datagrams 300",
            pattern: Pattern::UdpSizes,
            clients: "--requests 300",
            tracer: "--calls 600",
            clients_on: None,
        }
        .observe(way);
        let seen = observed.trace.receives();
        assert_eq!((seen.with_data, seen.bytes, seen.copy_bounded), (600, 300 * 9100, 600));
        assert!(observed.trace.ns("copy") > 0);
        let calls = observed.trace.calls.unwrap();
        assert_eq!(calls.len(), 600);
        assert!(calls.iter().all(|call| call.copy_ns > 0));
    });
}
