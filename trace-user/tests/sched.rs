//! Tier `sched`: nothing is attached to system calls, and what is left still counts, adds up and names the model.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::collections::BTreeSet;

use aya::programs::{loaded_links, loaded_programs};
use fixtures::Mode;
use support::built::FIXTURES;
use support::machine::is_guest;
use support::programs::serve;
use support::test_alone;
use support::tracer::Tracer;

const TIER: &str = "--tier=sched";

/// Names of the programs behind all links of this machine.
fn linked() -> Vec<String> {
    let ids: BTreeSet<u32> = loaded_links().filter_map(|link| Some(link.ok()?.program_id())).collect();
    let programs = loaded_programs().filter_map(Result::ok).filter(|p| ids.contains(&p.id()));
    programs.filter_map(|p| p.name_as_str().map(str::to_owned)).collect()
}

#[test]
fn nothing_is_attached_to_system_calls() {
    test_alone!();
    let of_calls = |names: &[String]| names.iter().filter(|n| n.starts_with("sys_")).count();
    let server = serve(Mode::Epoll, "");
    let before = of_calls(&linked());
    for (tier, expected) in [("--tier=full", 2), (TIER, 0)] {
        let tracer = Tracer::attach(server.pid(), &[tier]);
        let names = linked();
        assert_eq!(of_calls(&names) - before, expected, "{tier}: {names:?}");
        assert!(names.iter().any(|name| name == "sched_switch"), "{tier}: {names:?}");
        assert_eq!(tracer.interrupt().tool.tier, tier.trim_start_matches("--tier="));
    }
}

#[test]
fn every_fixture_under_load_is_recognised_with_medium_confidence() {
    test_alone!();
    for fixture in FIXTURES.iter().filter(|f| !is_guest() || f.depends_on_the_kernel()) {
        let observed = fixture.under_load(4, TIER);
        let verdict = &observed.trace.verdict.io_model;
        assert_eq!(
            (&*verdict.name, verdict.confidence.as_deref()),
            (fixture.model, Some("medium")),
            "{verdict:#?}"
        );
    }
}

#[test]
fn what_the_tier_lacks_is_null_and_what_it_has_adds_up() {
    test_alone!();
    let fixture = FIXTURES.iter().find(|f| f.mode == Mode::Blocking).unwrap();
    let observed = fixture.under_load(4, TIER);
    for thread in observed.trace.threads() {
        assert!(thread.ledger.lacks("user") && thread.ledger.lacks("kernel"), "{:?}", thread.ledger);
        assert_eq!(thread.accepts, None);
        assert_eq!(thread.ledger.sum(), thread.lived_ns, "{:?}", thread.ledger);
        assert!(thread.unsplit_ns > 0 && thread.unsplit_ns <= thread.ledger.ns("unknown"), "{thread:#?}");
    }
}
