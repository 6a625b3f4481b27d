//! The time ledger under made-up histories: conserved in any order, exact where nothing was lost.

#[path = "ledger/by_hand.rs"]
mod by_hand;
#[path = "ledger/found.rs"]
mod found;
#[path = "ledger/programs.rs"]
mod programs;
mod support;

use proptest::prelude::*;
use support::event::{Event, Traced};
use support::losses::{drop_arrivals, drop_some, patterns, recoveries};
use support::replay::{Recovery, Replay};
use support::script::{Script, scripts};
use support::story::{Story, count};
use support::teller::tell;
use support::{START, chaos};
use trace_common::account::{Account, SleepFacts, sleep_account, state};
use trace_common::ledger;
use trace_common::loss::Loss;
use trace_common::syscall::{CallClass, FileKind, class_from_u8};
use trace_common::thread::Sched;

/// The story of a script, replayed without loss up to `end` and closed there.
fn replayed(story: &Story, end: u64, recovery: Recovery) -> Replay {
    let mut replay = Replay::of(&story.until(end), recovery);
    replay.close(end, story.asleep(end));
    replay
}

fn assert_accounts(replay: &Replay, expected: &[u64; Account::SLOTS]) {
    for account in Account::ALL {
        assert_eq!(replay.account(account), expected[account.index()], "{}", account.name());
    }
}

/// A lived-through story and a moment in it at which the window ends.
fn told() -> impl Strategy<Value = (Story, u64)> {
    (scripts(), prop_oneof![Just(1.0), 0.0..1.0f64], 0..200u64).prop_map(|(script, share, bit)| {
        let story = tell(&script);
        let end = story.moment(share, bit);
        (story, end)
    })
}

proptest! {
    #[test]
    fn without_losses_the_ledger_is_the_truth((story, end) in told()) {
        let replay = replayed(&story, end, Recovery::True);
        if replay.thread.sched() == Sched::Unseen {
            assert_accounts(&replay, &[0; Account::SLOTS]);
        } else {
            assert_accounts(&replay, &story.accounts(end));
        }
    }

    #[test]
    fn without_losses_the_kernels_stamps_change_nothing((story, end) in told()) {
        let (with, without) = (replayed(&story, end, Recovery::True), replayed(&story, end, Recovery::Off));
        prop_assert_eq!(with.thread.ledger, without.thread.ledger);
        prop_assert_eq!(with.noted.losses.counts, without.noted.losses.counts);
    }

    #[test]
    fn without_losses_none_is_counted_and_every_switch_is((story, end) in told()) {
        let replay = replayed(&story, end, Recovery::True);
        prop_assert_eq!(replay.noted.real_losses(), 0);
        prop_assert_eq!(replay.noted.lost(Loss::RecoveredSwitches), 0);
        prop_assert_eq!(replay.noted.lost(Loss::RecoveredWakeups), 0);
        prop_assert_eq!(replay.noted.lost(Loss::EarlyWakeups), count(&story.early, end));
        prop_assert_eq!(replay.thread.sleeps, count(&story.sleeps, end));
        prop_assert_eq!(replay.thread.preemptions, count(&story.preemptions, end));
    }

    #[test]
    fn every_call_ends_with_its_own_two_phases((story, end) in told()) {
        let replay = replayed(&story, end, Recovery::True);
        prop_assert_eq!(&replay.ended, &story.ended(end));
    }

    #[test]
    fn a_restarted_call_is_one_logical_call((story, end) in told()) {
        let replay = replayed(&story, end, Recovery::True);
        prop_assert_eq!(replay.calls, count(&story.calls, end));
        let r = replay.thread.receives;
        prop_assert_eq!(r.calls, count(&story.receives, end));
        prop_assert_eq!(r.calls, r.with_data + r.eof + r.eagain + r.interrupted + r.failed);
    }

    #[test]
    fn a_stale_wake_up_changes_nothing(script in scripts()) {
        let story = tell(&script);
        let (with, without) = (story.events.clone(), story.without_stale_wakes());
        let (with, without) = (Replay::of(&with, Recovery::True), Replay::of(&without, Recovery::True));
        prop_assert_eq!(with.thread.ledger, without.thread.ledger);
        prop_assert_eq!(with.noted.losses.counts, without.noted.losses.counts);
        prop_assert_eq!(with.ended, without.ended);
    }

    #[test]
    fn the_kernels_stamps_make_up_for_switch_ins_and_wake_ups_that_were_not_traced(
        script in scripts(),
        pattern in patterns(),
    ) {
        let story = tell(&script);
        let traced = drop_arrivals(&story.without_stale_wakes(), &pattern);
        let end = story.last() + 50;
        let mut replay = Replay::of(&traced, Recovery::True);
        replay.close(end, story.asleep(end));
        prop_assert_eq!(replay.noted.real_losses(), 0);
        if replay.thread.sched() != Sched::Unseen {
            assert_accounts(&replay, &story.accounts(end));
        }
        prop_assert_eq!(&replay.ended, &story.ended(end));
    }

    #[test]
    fn what_was_lost_is_unknown_or_misplaced_but_never_missing(
        (story, end) in told(),
        pattern in patterns(),
        gone in prop::sample::select(&[Event::is_in, Event::is_out, Event::is_enter, Event::is_exit, Event::is_wake]
            as &[fn(&Event) -> bool]),
        recovery in recoveries(),
    ) {
        let mut replay = Replay::of(&drop_some(&story.until(end), &pattern, gone), recovery);
        replay.close(end, story.asleep(end));
        if replay.account(Account::Unknown) > 0 {
            prop_assert!(replay.noted.lost(Loss::MissedSwitches) > 0, "unknown time must say why");
        }
        assert_closed(&replay, end);
    }

    #[test]
    fn anything_may_be_lost_at_once(
        (story, end) in told(),
        pattern in patterns(),
        recovery in recoveries(),
        asleep in any::<Option<bool>>(),
    ) {
        let traced = drop_some(&story.until(end), &pattern, |e| !matches!(e, Event::Birth { .. }));
        let mut replay = Replay::of(&traced, recovery);
        replay.close(end, asleep);
        assert_closed(&replay, end);
    }

    #[test]
    fn events_in_any_order_conserve(
        events in prop_oneof![chaos::histories(), chaos::in_order()],
        recovery in recoveries(),
    ) {
        Replay::of(&events, recovery);
    }

    #[test]
    fn a_clock_that_never_runs_backwards_is_never_said_to(
        events in chaos::in_order(),
        recovery in recoveries(),
        bit in 0..100u64,
    ) {
        let mut replay = Replay::of(&events, recovery);
        let end = events.last().map_or(START, |e| e.at).saturating_add(bit);
        replay.close(end, None);
        prop_assert_eq!(replay.noted.lost(Loss::ClockBackwards), 0);
        assert_closed(&replay, end);
    }

    #[test]
    fn a_close_before_the_last_event_takes_nothing_back(
        events in chaos::histories(),
        recovery in recoveries(),
        end in START..START + 2_000,
    ) {
        let mut replay = Replay::of(&events, recovery);
        let clock = replay.thread.clock;
        replay.close(end, None);
        prop_assert!(replay.thread.clock >= clock);
    }
}

/// After the close, the accounts reach to the end of the window, or to death.
fn assert_closed(replay: &Replay, end: u64) {
    match replay.thread.sched() {
        Sched::Unseen => {}
        Sched::Dead => assert_eq!(replay.thread.clock, replay.thread.died_at),
        _ => assert_eq!(replay.thread.clock, end),
    }
}

#[test]
fn the_generator_reaches_every_account_and_every_start() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut sums = [0u64; Account::SLOTS];
    let (mut unseen, mut early, mut bounded) = (0, 0, 0);
    for _ in 0..256 {
        let script: Script = scripts().new_tree(&mut runner).expect("a script").current();
        let story = tell(&script);
        let replay = replayed(&story, story.last() + 1, Recovery::True);
        unseen += u64::from(replay.thread.born_at == 0);
        early += replay.noted.lost(Loss::EarlyWakeups);
        bounded += replay.thread.receives.copy_bounded;
        for account in Account::ALL {
            sums[account.index()] += replay.account(account);
        }
    }
    for account in Account::ALL.into_iter().filter(|a| *a != Account::Unknown) {
        assert!(sums[account.index()] > 0, "{} is never reached", account.name());
    }
    assert!(unseen > 100 && early > 20 && bounded > 20, "{unseen} {early} {bounded}");
}
