//! Who executes a program ends as one record and goes on as another.

use super::*;
use trace_common::account::Account;
use trace_common::ledger::{self, Ended, Registers};
use trace_common::loss::Nowhere;
use trace_common::thread::{Sched, Thread, flag};

const EXECVE: Registers = Registers { nr: 59, args: [1, 2, 3, 0] };

/// The record of a program that is about to begin.
fn zeroed() -> Thread {
    // SAFETY: a slot as user space hands it out: all zeroes are a valid record.
    unsafe { std::mem::zeroed() }
}

proptest! {
    #[test]
    fn an_exec_splits_a_life_at_one_instant_and_loses_none_of_it(
        ran in 0..1_000u64, prepared in 0..1_000u64, loaded in 0..1_000u64, after in 0..1_000u64,
        seen in any::<bool>(), split in any::<bool>(),
    ) {
        let (mut old, mut new) = (Thread::unseen(8, 7), zeroed());
        if !split {
            old.flags |= flag::UNSPLIT;
        }
        let execs = START + ran + prepared;
        if seen && split {
            ledger::enter(&mut old, START, START + ran, EXECVE, &mut Nowhere);
        }
        ledger::exec(&mut old, &mut new, START, execs, &mut Nowhere);
        new.tid = 7;
        prop_assert_eq!((old.sched(), old.died_at, old.tid), (Sched::Dead, execs, 8));
        prop_assert_eq!(ledger::total(&old), execs - START);
        if split {
            prop_assert_eq!(old.ledger[Account::Kernel.index()], if seen { prepared } else { ran + prepared });
            let ended = ledger::exit(&mut new, START, execs + loaded, Registers::NONE, 0, &mut Nowhere);
            prop_assert!(matches!(ended, Ended::Call(_)), "the call goes on in the new record");
            ledger::leave(&mut new);
        }
        ledger::close(&mut new, execs + loaded + after, None, &mut Nowhere);
        prop_assert_eq!((new.born_at, new.program_at, new.tgid), (execs, execs, 7));
        prop_assert_eq!(ledger::total(&new), loaded + after);
        if split {
            prop_assert_eq!(new.ledger[Account::User.index()], after);
        } else {
            prop_assert_eq!(new.unsplit, loaded + after);
        }
        prop_assert_eq!((new.flags & flag::EXECUTED != 0, new.on_at), (true, old.on_at));
    }
}

#[test]
fn a_new_process_gets_ready_until_it_serves_or_has_threads() {
    let born = || {
        let mut t = zeroed();
        ledger::birth(&mut t, START, false);
        t
    };
    assert!(born().is_preparing());
    assert!(!Thread::unseen(7, 7).is_preparing(), "what it did before the window is not known");
    let changes: [fn(&mut Thread); 4] = [
        |t| t.receives.calls = 1,
        |t| t.accepts.calls = 1,
        |t| t.ready.calls = 1,
        |t| t.flags |= flag::THREADED,
    ];
    for change in changes {
        let mut t = born();
        change(&mut t);
        assert!(!t.is_preparing());
    }
}
