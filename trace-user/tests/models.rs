//! What each fixture is built to be, and what the tool says of it: under load, with one connection, and idle.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use fixtures::Mode;
use support::built::{FIXTURES, is_surely};
use support::machine::is_guest;
use support::observe::both_ways;
use support::programs::serve;
use support::test_alone;
use support::tracer::Tracer;

#[test]
fn every_fixture_under_load_is_recognised_with_high_confidence() {
    test_alone!();
    both_ways(|way| {
        for fixture in &FIXTURES {
            let observed = fixture.under_load(4, way);
            let verdict = &observed.trace.verdict.io_model;
            is_surely(verdict, fixture.model, fixture.qualifier);
            if fixture.mechanism.is_some() {
                assert_eq!(verdict.mechanism.as_deref(), fixture.mechanism);
            }
        }
    });
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
