//! A command that was held until the window was open: that time is trace's doing and no wait of its own.

use trace_common::account::Account;

use crate::snapshot::Thread;

/// Corrects the thread that was held for so long. All that its first event shows is a sleep in execve, which is some other
/// sleep, begun before the window; it was stopped there.
pub fn correct(thread: &mut Thread, held_ns: u64) {
    thread.waited_before = false;
    let other = thread.ledger.entry(Account::WaitOther).or_default();
    let held = held_ns.min(*other);
    *other -= held;
    *thread.ledger.entry(Account::Stopped).or_default() += held;
}
