//! Tier `sched`: without hooks on system calls, the call in flight is what the thread's saved registers show at the events
//! that there are.
//!
//! A call is seen when it sleeps, or when a receive of it ends. So each sleep in a readiness call counts as one wait, and
//! a wait that did not sleep is not seen at all.

use crate::account::Account;
use crate::bounded;
use crate::call::{CallState, flag as call_flag};
use crate::conn::Cover;
use crate::ledger::Registers;
use crate::ready::WIDTHS;
use crate::syscall::{CallClass, NR_IO_URING_ENTER, class_of};
use crate::thread::Thread;

/// An event of the thread's own found it with these registers: in the call that is known, in another one, or in none.
/// `logged`: receives are logged one by one.
#[inline(always)]
pub fn shown(t: &mut Thread, regs: Registers, now: u64, logged: bool) {
    if !regs.is_call() {
        t.call.state = CallState::None as u8;
        return;
    }
    let known = t.call.state == CallState::Active as u8
        && t.call.nr == regs.nr
        && t.call.args[0] == regs.args[0]
        && t.call.args[1] == regs.args[1];
    if !known {
        t.call.begin(regs.nr, class_of(regs.nr), regs.args, now);
        if logged && t.call.active_class().may_receive() {
            t.mark = t.ledger;
        }
    }
}

/// The thread got onto a CPU after a sleep in `account`: accounts what the call waited for. Returns the event to mark the
/// waited-for descriptors with, if it was a readiness call.
#[inline(always)]
pub fn woke(t: &mut Thread, account: Account, now: u64) -> Option<Cover> {
    let class = t.call.active_class();
    if t.call.has(call_flag::SLEPT_DISK) {
        t.call.flags &= !call_flag::SLEPT_DISK;
        if matches!(class, CallClass::Read | CallClass::Write) {
            t.storage_slept += 1;
            t.storage_nr = u64::from(t.call.nr);
        }
    }
    match account {
        Account::WaitReady if class.is_ready() => Some(waited(t, class, now)),
        Account::WaitAccept => {
            t.accepts.calls += 1;
            t.accepts.slept += 1;
            t.accepts.accepted += 1;
            t.call.state = CallState::None as u8;
            None
        }
        Account::WaitCompletion if t.call.nr != NR_IO_URING_ENTER => {
            t.aio_completed += 1;
            None
        }
        _ => None,
    }
}

/// A sleeping readiness wait ended.
#[inline(always)]
fn waited(t: &mut Thread, class: CallClass, now: u64) -> Cover {
    let ready = &mut t.ready;
    ready.calls += 1;
    ready.slept += 1;
    ready.slept_end_at = now;
    if !matches!(class, CallClass::Epoll) {
        ready.polled_at = now;
    }
    let family = bounded::<4>(usize::from((class as u8).wrapping_sub(CallClass::Select as u8)));
    ready.by_call[family] = ready.by_call[family].wrapping_add(1);
    let w = bounded::<WIDTHS>(usize::from(ready.width));
    ready.by_width[w] = ready.by_width[w].wrapping_add(1);
    t.call.state = CallState::None as u8;
    Cover { at: now, width: ready.width, ..Cover::NONE }
}

/// The readiness event that covers a receive which did not sleep, on a connection that is in an epoll set which somebody of
/// the target was seen to wait on: the wait before this very receive need not have slept.
#[inline(always)]
pub fn in_a_set(event: Cover, now: u64) -> Cover {
    if event.at == 0 { Cover::NONE } else { Cover { at: now, ..event } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;
    use crate::call::EAGAIN;
    use crate::conn::{Conn, Side};
    use crate::ledger::{self, Off, Seed, Stamps};
    use crate::loss::Nowhere;
    use crate::ready::Width;
    use crate::receive::{self, ReceiveEnd};
    use crate::thread::flag;

    const READ: Registers = Registers { nr: 0, args: [5, 0x1000, 64, 0] };
    const EPOLL: Registers = Registers { nr: 232, args: [4, 0x2000, 64, 0] };

    /// A thread on a CPU since 0.
    fn running() -> Thread {
        let mut t = Thread::unseen(7, 7);
        t.flags |= flag::UNSPLIT;
        ledger::in_call(&mut t, 0, 0, Registers::NONE, false, &mut Nowhere);
        t
    }

    /// Sleeps in `call` from `from` on, is woken at `woken`, and runs again 1 ns later.
    fn sleep(t: &mut Thread, call: Registers, account: Account, from: u64, woken: u64) -> Option<Cover> {
        shown(t, call, from, false);
        let off = Off::Asleep(account);
        ledger::switch_out(t, 0, from, off, Registers::NONE, Stamps::default(), &mut Nowhere);
        t.woken_at = woken;
        ledger::switch_in(t, 0, woken + 1, Seed::NONE, 0, &mut Nowhere);
        woke(t, account, woken + 1)
    }

    fn receive(t: &mut Thread, conn: &mut Conn, now: u64, ret: i64, cover: Cover) {
        ledger::in_call(t, 0, now, READ, false, &mut Nowhere);
        let end = ReceiveEnd { now, ret, msg_flags: 0, datagram: false, cover };
        receive::finish(t, Some(conn), end, &mut Nowhere);
        ledger::leave(t);
    }

    #[test]
    fn a_receive_that_slept_is_known_by_its_registers_and_its_end() {
        let (mut t, mut conn) = (running(), Conn { side: Side::Server as u8, ..Conn::default() });
        assert_eq!(sleep(&mut t, READ, Account::WaitData, 10, 30), None);
        receive(&mut t, &mut conn, 35, 64, Cover::NONE);
        assert_eq!((t.receives.calls, t.receives.slept, conn.waits, conn.wait_ns), (1, 1, 1, 20));
        receive(&mut t, &mut conn, 40, 64, Cover::NONE);
        assert_eq!((t.receives.calls, t.receives.immediate), (2, 1), "the next call has not slept");
    }

    #[test]
    fn on_a_cpu_only_copying_is_told_apart_and_the_ledger_adds_up() {
        let (mut t, mut conn) = (running(), Conn::default());
        sleep(&mut t, READ, Account::WaitData, 10, 30);
        ledger::first_byte(&mut t, 0, 33, READ, &mut Nowhere);
        receive(&mut t, &mut conn, 40, 64, Cover::NONE);
        ledger::close(&mut t, 50, None, &mut Nowhere);
        let of = |account: Account| t.ledger[account.index()];
        assert_eq!((of(Account::WaitData), of(Account::Runqueue), of(Account::Copy)), (20, 1, 7));
        assert_eq!((of(Account::Kernel), of(Account::User), t.unsplit), (0, 0, 22));
        assert_eq!(of(Account::Unknown), t.unsplit);
        assert_eq!(ledger::total(&t), 50);
    }

    #[test]
    fn a_sleep_in_a_readiness_call_covers_what_is_received_after_it() {
        let (mut t, mut conn) = (running(), Conn { side: Side::Server as u8, ..Conn::default() });
        t.ready.width = Width::Many as u8;
        let cover = sleep(&mut t, EPOLL, Account::WaitReady, 10, 30).expect("it waited");
        assert_eq!((t.ready.calls, t.ready.slept, cover.at), (1, 1, 31));
        receive(&mut t, &mut conn, 35, 64, cover);
        receive(&mut t, &mut conn, 36, EAGAIN, cover);
        assert_eq!((t.receives.after_ready, t.receives.eagain), (1, 1));
        let saturated = in_a_set(cover, 50);
        receive(&mut t, &mut conn, 50, 64, saturated);
        assert_eq!(t.receives.after_ready, 2, "the wait between did not sleep");
    }
}
