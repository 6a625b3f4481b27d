//! Bugs found, each as small as it gets. They fail until they are mended.

use super::*;
use support::sink::Noted;
use trace_common::ledger::{Off, Registers, Seed, Stamps};
use trace_common::thread::Thread;

const RECV: Registers = Registers { nr: 45, args: [3, 0, 0, 0] };
const ASLEEP: Off = Off::Asleep(Account::WaitData);

/// A thread that entered a receive at 10, in a window that began at 1.
fn receiving(sink: &mut Noted) -> Thread {
    let mut t = Thread::unseen(7, 7);
    ledger::enter(&mut t, 1, 10, RECV, sink);
    t
}

#[test]
fn a_window_that_ends_before_the_last_switch_out_does_not_panic() {
    let mut sink = Noted::nothing();
    let mut t = receiving(&mut sink);
    t.woken_at = 15;
    ledger::switch_out(&mut t, 1, 20, ASLEEP, RECV, Stamps::default(), &mut sink);
    ledger::close(&mut t, 18, Some(false), &mut sink);
    assert_eq!(ledger::total(&t), 19);
}

#[test]
fn a_wake_up_after_a_recovered_arrival_does_not_end_the_sleep_before_it() {
    let mut sink = Noted::nothing();
    let mut t = receiving(&mut sink);
    let stamps = |last_arrival, run_delay| Stamps { last_arrival, last_queued: 0, run_delay };
    ledger::switch_out(&mut t, 1, 20, ASLEEP, RECV, stamps(5, 0), &mut sink);
    // truth: woken at 100, on a CPU at 150 (the switch was not traced); at 160 a waker meets it running
    t.woken_at = 160;
    ledger::arrive_unseen(&mut t, 1, 170, stamps(149, 50), 1, Seed::NONE, &mut sink);
    assert_eq!(t.ledger[Account::WaitData.index()], 80);
    assert_eq!(t.ledger[Account::Runqueue.index()], 50);
}

#[test]
fn a_receive_that_a_handler_ended_with_eintr_is_interrupted_although_it_is_asked_again() {
    let mut sink = Noted::nothing();
    let mut t = receiving(&mut sink);
    t.call.flags |= trace_common::call::flag::RECEIVED;
    ledger::exit(&mut t, 1, 20, RECV, -512, &mut sink);
    ledger::leave(&mut t);
    ledger::enter(&mut t, 1, 30, Registers { nr: 15, args: [0; 4] }, &mut sink);
    // the saved registers hold what the call returned: EINTR, and not its number as before a restart
    ledger::exit(&mut t, 1, 31, Registers::NONE, -4, &mut sink);
    ledger::leave(&mut t);
    assert!(ledger::enter(&mut t, 1, 40, RECV, &mut sink), "the program asks anew");
    assert_eq!((t.receives.calls, t.receives.interrupted), (1, 1));
}

#[test]
fn what_a_ring_copies_while_a_receive_is_interrupted_is_not_the_receives_copy() {
    let at = |at: u64, event| Traced { at: START + at, event, stamps: Stamps::default() };
    let replay = Replay::of(
        &[
            at(10, Event::Enter(RECV)),
            at(20, Event::Exit(RECV, -512)),
            at(30, Event::FirstByte(Registers::NONE)),
            at(35, Event::RingCopied),
            at(36, Event::WorkDone),
            at(40, Event::Enter(RECV)),
            at(50, Event::Exit(RECV, -11)),
        ],
        Recovery::Off,
    );
    assert_eq!(replay.account(Account::Copy), 5);
    assert_eq!(replay.noted.observed[Account::Copy.index()], 5);
    assert_eq!(replay.ended.iter().map(|call| call.copy_ns).sum::<u64>(), 0);
}
