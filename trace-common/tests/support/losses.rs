//! Histories with gaps.

use proptest::prelude::*;
use trace_common::ledger::Stamps;

use super::START;
use super::event::{Event, Traced};
use super::replay::Recovery;

/// Drops the events that `may_go` where the pattern says so.
pub fn drop_some(events: &[Traced], pattern: &[bool], may_go: impl Fn(&Event) -> bool) -> Vec<Traced> {
    let stays = |(i, e): &(usize, &Traced)| !(pattern[i % pattern.len()] && may_go(&e.event));
    events.iter().enumerate().filter(stays).map(|(_, e)| *e).collect()
}

/// Drops wake-ups and switch-ins between the first switch-out and the last switch-in, but no switch-in whose thread is
/// woken early from its next sleep before any other event of its own: the mailbox holds one wake-up only.
pub fn drop_arrivals(events: &[Traced], pattern: &[bool]) -> Vec<Traced> {
    let first = events.iter().position(|e| e.event.is_out()).unwrap_or(events.len());
    let last = events.iter().rposition(|e| e.event.is_in()).unwrap_or(0);
    let next_is_wake = |i: usize| events.get(i + 1).is_some_and(|e| e.event.is_wake());
    let goes = |i: usize, event: &Event| {
        let arrives = event.is_wake() || (event.is_in() && !next_is_wake(i));
        arrives && first < i && i < last && pattern[i % pattern.len()]
    };
    events.iter().enumerate().filter(|(i, e)| !goes(*i, &e.event)).map(|(_, e)| *e).collect()
}

/// Which events go.
pub fn patterns() -> impl Strategy<Value = Vec<bool>> {
    (0.05..0.9f64).prop_flat_map(|p| prop::collection::vec(prop::bool::weighted(p), 1..40))
}

/// Stamps that mean nothing.
pub fn stamps() -> impl Strategy<Value = Stamps> {
    let stamp = || prop_oneof![Just(0u64), START - 50..START + 20_000, any::<u64>()];
    (stamp(), stamp(), stamp()).prop_map(|(last_arrival, last_queued, run_delay)| Stamps {
        last_arrival,
        last_queued,
        run_delay,
    })
}

/// Whatever the kernel's stamps may say.
pub fn recoveries() -> impl Strategy<Value = Recovery> {
    let offset = || prop_oneof![Just(0u64), 0..1_000u64, any::<u64>()];
    prop_oneof![
        Just(Recovery::Off),
        Just(Recovery::True),
        prop::collection::vec((stamps(), offset()), 1..20).prop_map(Recovery::Garbage),
    ]
}
