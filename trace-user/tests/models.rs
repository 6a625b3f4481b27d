//! What each fixture is built to be, and what the tool says of it: under load, with one connection, and idle.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::time::Duration;

use fixtures::Mode;
use support::built::{FILES, FIXTURES, is_surely};
use support::machine::{is_guest, now_ns};
use support::observe::both_ways;
use support::programs::serve;
use support::test_alone;
use support::tracer::Tracer;

#[test]
fn every_fixture_under_load_is_recognised_with_high_confidence() {
    test_alone!();
    both_ways(|way| {
        for fixture in FIXTURES.iter().filter(|f| !is_guest() || f.depends_on_the_kernel()) {
            let observed = fixture.under_load(4, way);
            let verdict = &observed.trace.verdict.io_model;
            is_surely(verdict, fixture.model, fixture.qualifier);
            if fixture.mechanism.is_some() {
                assert_eq!(verdict.mechanism.as_deref(), fixture.mechanism);
            }
            observed.told_as_often_as_it_says();
        }
    });
}

/// How long readers of files are watched.
const FILES_WINDOW: Duration = Duration::from_millis(700);

#[test]
fn a_loop_that_spins_before_it_sleeps_is_said_to() {
    test_alone!();
    let spins = FIXTURES.iter().find(|f| f.mode == Mode::SpinEpoll).unwrap().under_load(4, "").trace;
    let codes: Vec<&str> = spins.findings.iter().map(|f| &*f.code).collect();
    assert!(codes.contains(&"spins-before-sleep"), "{codes:?}");
}

#[test]
fn readers_of_files_are_recognised_by_how_they_wait_for_the_disk() {
    test_alone!();
    // A guest has no disk: who blocks there never waits.
    for (fixture, most) in FILES.iter().filter(|(f, _)| !is_guest() || f.model != "blocking") {
        let server = serve(fixture.mode, "--calls");
        let early = now_ns();
        let tracer = Tracer::attach(server.pid(), &[]);
        let begun = now_ns();
        std::thread::sleep(FILES_WINDOW);
        let ended = now_ns();
        let report = tracer.interrupt();
        let late = now_ns();
        let verdict = &report.verdict.io_model;
        println!(
            "{}: {} {:?} {:?}",
            fixture.mode.name(),
            verdict.name,
            verdict.mechanism,
            verdict.confidence
        );
        assert_eq!(
            (&*verdict.name, verdict.qualifier.as_deref()),
            (fixture.model, Some("storage")),
            "{verdict:#?}"
        );
        assert_eq!(verdict.mechanism.as_deref(), fixture.mechanism);
        assert_eq!(verdict.confidence.as_deref(), Some(*most), "{verdict:#?}");
        if fixture.model == "blocking" {
            continue;
        }
        // The window lies between these moments; what is announced within it is counted.
        let own = server.end().unwrap().threads[0].calls.clone().unwrap().storage;
        let reaped = |from, to| own.iter().filter(|call| (from..to).contains(&call.end_ns)).count() as u64;
        let seen: u64 = report.threads().map(|t| t.storage.aio_completed + t.storage.aio_signals).sum();
        let (least, most) = (reaped(begun, ended), reaped(early, late));
        assert!((least..=most).contains(&seen), "{seen} completions, by its own count {least} to {most}");
    }
}

#[test]
fn a_single_connection_makes_no_verdict_wrong() {
    test_alone!();
    if is_guest() {
        println!("skipped in a guest: what is concluded from a measurement does not depend on the kernel");
        return;
    }
    for fixture in &FIXTURES {
        let verdict = fixture.under_load(1, "").trace.verdict.io_model;
        fixture.is_not_wrong(&verdict);
        // One descriptor that is polled: both are possible, and both are named.
        if fixture.mode == Mode::PollOne || fixture.waits_for_readiness() && verdict.name == "inconclusive" {
            assert_eq!(verdict.name, "inconclusive", "{verdict:#?}");
            let named = |name| verdict.alternatives.iter().any(|a| a.name == name);
            assert!(named("blocking") && named("multiplexing"), "{verdict:#?}");
        }
    }
}

#[test]
fn an_idle_server_gets_no_wrong_verdict() {
    test_alone!();
    if is_guest() {
        println!("skipped in a guest: what is concluded from a measurement does not depend on the kernel");
        return;
    }
    for fixture in &FIXTURES {
        let server = serve(fixture.mode, "");
        let report = Tracer::attach(server.pid(), &["--duration=300ms"]).wait().report();
        fixture.is_not_wrong(&report.verdict.io_model);
        let sure = report.verdict.io_model.confidence;
        assert!(sure.as_deref() != Some("high"), "without an episode at most medium: {sure:?}");
    }
}
