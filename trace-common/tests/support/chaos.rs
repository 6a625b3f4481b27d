//! Events in any order, at any time from the start of the window on, also backwards.

use proptest::prelude::*;
use trace_common::account::Account;
use trace_common::ledger::{Off, Registers, Seed};

use super::START;
use super::event::{Event, Traced};
use super::losses::stamps;

fn times() -> impl Strategy<Value = u64> {
    prop_oneof![4 => START..START + 1_000, 4 => START..START + 10_000_000_000, 1 => START..=u64::MAX]
}

fn registers() -> impl Strategy<Value = Registers> {
    let common = prop::sample::select(&[0u32, 45, 299, 7, 232, 288, 15, 219, 202, 56][..]);
    (prop_oneof![4 => common, 1 => 0..600u32, 1 => any::<u32>()], prop::array::uniform4(0..2u64))
        .prop_map(|(nr, args)| Registers { nr, args })
}

fn seed_calls() -> impl Strategy<Value = Registers> {
    prop_oneof![registers(), Just(Registers::NONE)]
}

fn results() -> impl Strategy<Value = i64> {
    prop_oneof![2 => -520..20i64, 1 => Just(-512), 1 => Just(1), 1 => any::<i64>()]
}

fn seeds() -> impl Strategy<Value = Seed> {
    (seed_calls(), accounts()).prop_map(|(call, account)| Seed { call, account })
}

fn accounts() -> impl Strategy<Value = Account> {
    prop_oneof![Just(Account::WaitData), prop::sample::select(&Account::ALL[..])]
}

fn offs() -> impl Strategy<Value = Off> {
    prop_oneof![Just(Off::Preempted), accounts().prop_map(Off::Asleep)]
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => registers().prop_map(Event::Enter),
        4 => (registers(), results()).prop_map(|(regs, ret)| Event::Exit(regs, ret)),
        3 => registers().prop_map(Event::FirstByte),
        1 => Just(Event::RingCopied),
        1 => Just(Event::WorkDone),
        4 => (offs(), seed_calls()).prop_map(|(off, seed)| Event::Out(off, seed)),
        4 => seeds().prop_map(Event::In),
        3 => prop_oneof![times(), any::<u64>()].prop_map(Event::Wake),
        1 => Just(Event::Die),
    ]
}

fn traced(event: impl Strategy<Value = Event>) -> impl Strategy<Value = Traced> {
    (times(), event, stamps()).prop_map(|(at, event, stamps)| Traced { at, event, stamps })
}

/// Any events; a birth, if any, comes first, since it makes the record.
pub fn histories() -> impl Strategy<Value = Vec<Traced>> {
    let birth = any::<bool>().prop_map(|kernel_io| Event::Birth { kernel_io });
    (prop::option::of(traced(birth)), prop::collection::vec(traced(events()), 0..60))
        .prop_map(|(birth, rest)| birth.into_iter().chain(rest).collect())
}

/// The same events, put in the order of their times.
pub fn in_order() -> impl Strategy<Value = Vec<Traced>> {
    histories().prop_map(|mut events| {
        if let Some(Traced { at, event: Event::Birth { .. }, .. }) = events.first_mut() {
            *at = START;
        }
        events.sort_by_key(|e| e.at);
        events
    })
}
