//! The time ledger as a state machine: every event of a thread books the time since the event before.
//!
//! Inner conservation holds by construction: [`book`] is the only function that adds to a ledger, it moves the
//! thread's clock by exactly what it adds, and the clock starts at the window's start or at the thread's birth.

use crate::account::Account;
use crate::call::{CallState, EINTR, flag as call_flag, is_restart};
use crate::event_loop;
use crate::inferred;
use crate::loss::{Loss, Sink};
pub use crate::stamps::Stamps;
use crate::syscall::{CallClass, class_of};
use crate::thread::{Mode, Sched, Thread, flag};
use crate::timeline::Entry;

/// A system call as its registers show it.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    /// Number.
    pub nr: u32,
    /// First four arguments.
    pub args: [u64; 4],
}

impl Registers {
    /// No system call. A sentinel and no `Option`: what an absent payload would leave undefined, the verifier refuses.
    pub const NONE: Registers = Registers { nr: u32::MAX, args: [0; 4] };

    /// Whether these are the registers of a system call.
    #[inline(always)]
    pub const fn is_call(&self) -> bool {
        self.nr != u32::MAX
    }
}

/// How a thread left the CPU.
#[derive(Clone, Copy, Debug)]
pub enum Off {
    /// Still runnable.
    Preempted,
    /// Asleep, in this account.
    Asleep(Account),
}

/// Books the time up to `until` to `account`.
#[inline(always)]
pub fn book(t: &mut Thread, account: Account, until: u64, sink: &mut impl Sink) -> u64 {
    book_at(t, crate::bounded::<{ Account::SLOTS }>(account as usize), account, until, sink)
}

/// [`book`] to the `i`-th place of the ledger, that of `account`.
#[inline(always)]
fn book_at(t: &mut Thread, i: usize, account: Account, until: u64, sink: &mut impl Sink) -> u64 {
    if until < t.clock {
        sink.lose(Loss::ClockBackwards);
        return 0;
    }
    let nanos = until - t.clock;
    sink.mark(Entry::booked(t, account, until));
    t.ledger[i] = t.ledger[i].wrapping_add(nanos);
    t.clock = until;
    nanos
}

/// Books a running thread's time up to `now`.
#[inline(always)]
fn settle(t: &mut Thread, now: u64, sink: &mut impl Sink) {
    let account = t.account();
    let nanos = book(t, account, now, sink);
    match account {
        // What a ring copies while a call is interrupted is not that call's.
        Account::Copy if t.call.state == CallState::Active as u8 => t.call.copy_ns += nanos,
        Account::Kernel => t.call.kernel_ns += nanos,
        Account::Unknown => t.unsplit += nanos,
        _ => {}
    }
}

/// The first event of a thread that was not born in the window: its clock starts with the window.
#[inline(always)]
fn open(t: &mut Thread, start: u64) {
    t.flags &= !flag::ARRIVAL_SEEN;
    if t.flags & flag::KERNEL_IO != 0 {
        t.mode = Mode::Kernel as u8;
    }
    t.clock = start;
    t.on_at = start;
    t.off_at = start;
    t.sched = Sched::Running as u8;
}

/// Before an event of a thread's own: it must be running. Books up to `now`.
#[inline(always)]
fn running(t: &mut Thread, now: u64, sink: &mut impl Sink) {
    // By far the most events are of a thread that was in user mode, or in a call that is no receive; the account is known.
    if t.sched == Sched::Running as u8 && t.mode == Mode::User as u8 && t.flags & flag::UNSPLIT == 0 {
        book_at(t, Account::User.index(), Account::User, now, sink);
        return;
    }
    if t.sched == Sched::Running as u8 {
        settle(t, now, sink);
        return;
    }
    sink.lose(Loss::MissedSwitches);
    book(t, Account::Unknown, now, sink);
    t.sched = Sched::Running as u8;
    t.on_at = now;
    t.flags &= !flag::ARRIVAL_SEEN;
}

/// A record for a thread born at `now`; it leaves the kernel by the exit of the call that made it.
#[inline(always)]
pub fn birth(t: &mut Thread, now: u64, kernel_io: bool) {
    t.sched = Sched::Newborn as u8;
    t.mode = Mode::Kernel as u8;
    t.born_at = now;
    t.clock = now;
    t.off_at = now;
    if kernel_io {
        t.flags |= flag::KERNEL_IO;
    } else {
        t.call.begin(NR_CLONE, CallClass::Other, [0; 4], now);
    }
}

/// The number that a newborn's first exit carries; any of the clone family will do.
const NR_CLONE: u32 = 56;
/// The number of the call that a program begins in, where its entry was not seen.
const NR_EXECVE: u32 = 59;

/// The thread executes a program: its record ends here, and `fresh`, which is all zeroes, goes on as that of the program,
/// on the same CPU and in the same call.
#[inline(always)]
pub fn exec(t: &mut Thread, fresh: &mut Thread, start: u64, now: u64, sink: &mut impl Sink) {
    if t.sched == Sched::Unseen as u8 {
        open(t, start);
        t.mode = Mode::Kernel as u8;
    }
    die(t, start, now, sink);
    fresh.tgid = t.tgid;
    fresh.sched = Sched::Running as u8;
    fresh.mode = Mode::Kernel as u8;
    fresh.sleep = Account::Unknown as u8;
    fresh.flags = t.flags & (flag::ARRIVAL_SEEN | flag::UNSPLIT) | flag::EXECUTED;
    fresh.born_at = now;
    fresh.program_at = now;
    fresh.clock = now;
    fresh.on_at = t.on_at;
    fresh.off_at = t.off_at;
    fresh.rq_offset = t.rq_offset;
    fresh.run_delay = t.run_delay;
    fresh.call.state = CallState::None as u8;
    if t.flags & flag::UNSPLIT == 0 {
        fresh.call.begin(NR_EXECVE, CallClass::Other, [0; 4], now);
    }
}

/// A system call is entered. Returns whether it is a new logical call (not a continued one).
#[inline(always)]
pub fn enter(t: &mut Thread, start: u64, now: u64, regs: Registers, sink: &mut impl Sink) -> bool {
    if t.sched == Sched::Unseen as u8 {
        open(t, start);
    } else if t.call.state == CallState::Active as u8 && !t.call.has(call_flag::BEFORE_ATTACH) {
        // What was taken from saved registers may have ended before: they keep the number on the way to user mode.
        sink.lose(Loss::EnterWithoutExit);
    }
    running(t, now, sink);
    t.mode = Mode::Kernel as u8;
    let class = class_of(regs.nr);
    if t.call.continues(regs.nr, class, &regs.args) {
        t.call.state = CallState::Active as u8;
        t.call.flags |= call_flag::RESTARTED;
        t.call.kernel_ns = 0;
        return false;
    }
    if t.call.state == CallState::Pending as u8 {
        if matches!(class, CallClass::SigReturn) {
            return false; // the interrupted call may continue after it
        }
        crate::receive::interrupted(t);
    }
    t.call.begin(regs.nr, class, regs.args, now);
    true
}

/// What the end of a system call means to the caller of [`exit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing to account: it will continue, or it ended a signal handler.
    Nothing,
    /// A logical call of this class ended.
    Call(CallClass),
}

/// A system call ends with `ret`; to be followed by [`leave`] once the caller has accounted the call.
#[inline(always)]
pub fn exit(t: &mut Thread, start: u64, now: u64, regs: Registers, ret: i64, sink: &mut impl Sink) -> Ended {
    if t.sched == Sched::Unseen as u8 {
        open(t, start);
        t.mode = Mode::Kernel as u8;
        in_flight_since(t, start, regs);
    }
    running(t, now, sink);
    if t.call.state != CallState::Active as u8 {
        if t.call.state == CallState::None as u8 {
            sink.lose(Loss::ExitWithoutEnter);
        } else if ret == EINTR {
            // The end of a handler without SA_RESTART: rt_sigreturn restores the result of the interrupted call.
            crate::receive::interrupted(t);
            t.call.state = CallState::None as u8;
        }
        return Ended::Nothing;
    }
    if is_restart(ret) {
        t.call.state = CallState::Pending as u8;
        return Ended::Nothing;
    }
    Ended::Call(t.call.active_class())
}

/// The thread is back in user mode.
#[inline(always)]
pub fn leave(t: &mut Thread) {
    if t.call.state == CallState::Active as u8 {
        t.call.state = CallState::None as u8;
    }
    t.mode = Mode::User as u8;
}

/// The call in flight began before the window.
#[inline(always)]
fn in_flight_since(t: &mut Thread, start: u64, regs: Registers) {
    t.call.begin(regs.nr, class_of(regs.nr), regs.args, start);
    t.call.flags |= call_flag::BEFORE_ATTACH;
}

/// The first byte of a receive is copied.
#[inline(always)]
pub fn first_byte(t: &mut Thread, start: u64, now: u64, regs: Registers, sink: &mut impl Sink) {
    if t.sched == Sched::Unseen as u8 {
        open(t, start);
        t.mode = Mode::Kernel as u8;
        in_flight_since(t, start, regs);
    }
    if t.mode == Mode::Copy as u8 {
        return;
    }
    if t.call.active_class().may_receive() {
        running(t, now, sink);
        t.mode = Mode::Copy as u8;
        t.call.flags |= call_flag::COPIED;
    } else if copies_for_a_ring(t) {
        running(t, now, sink);
        t.mode = Mode::Copy as u8;
        t.ring_copy_from = t.ledger[Account::Copy.index()];
    }
}

/// An event of the thread's own within the call that `regs` show, where calls are not traced; see [`inferred::shown`].
#[inline(always)]
pub fn in_call(t: &mut Thread, start: u64, now: u64, regs: Registers, logged: bool, sink: &mut impl Sink) {
    if t.sched == Sched::Unseen as u8 {
        open(t, start);
    }
    running(t, now, sink);
    inferred::shown(t, regs, now, logged);
}

/// Whether a copy outside a receive call is the work of an io_uring: in `io_uring_enter`, in task work on the way back to
/// user mode, or in a worker of the kernel.
#[inline(always)]
fn copies_for_a_ring(t: &Thread) -> bool {
    matches!(t.call.active_class(), CallClass::None | CallClass::Completion)
}

/// A receive of an io_uring has copied what it received.
#[inline(always)]
pub fn ring_copied(t: &mut Thread, now: u64, sink: &mut impl Sink) {
    if t.mode != Mode::Copy as u8 || !copies_for_a_ring(t) {
        return;
    }
    running(t, now, sink);
    t.mode = Mode::Kernel as u8;
    let copied = t.ledger[Account::Copy.index()].wrapping_sub(t.ring_copy_from);
    sink.observe(Account::Copy, copied);
}

/// Task work has been done; outside a call its thread goes on in user mode.
#[inline(always)]
pub fn work_done(t: &mut Thread, now: u64, sink: &mut impl Sink) {
    if t.sched != Sched::Running as u8
        || t.call.state == CallState::Active as u8
        || t.flags & flag::KERNEL_IO != 0
    {
        return;
    }
    running(t, now, sink);
    t.mode = Mode::User as u8;
}

/// The thread leaves the CPU. `seed` is the call that its saved registers show, used when nothing was seen before.
#[inline(always)]
pub fn switch_out(
    t: &mut Thread,
    start: u64,
    now: u64,
    off: Off,
    seed: Registers,
    stamps: Stamps,
    sink: &mut impl Sink,
) {
    if t.sched == Sched::Unseen as u8 {
        open(t, start);
        if seed.is_call() {
            t.mode = Mode::Kernel as u8;
            in_flight_since(t, start, seed);
        }
    }
    running(t, now, sink);
    if t.flags & flag::ARRIVAL_SEEN != 0 && stamps.last_arrival != 0 {
        let away = t.on_at.saturating_sub(t.off_at);
        note_offset(t, t.on_at.wrapping_sub(stamps.last_arrival), away);
    }
    t.run_delay = stamps.run_delay;
    t.off_at = now;
    match off {
        Off::Preempted => {
            t.sched = Sched::Preempted as u8;
            t.preemptions += 1;
        }
        Off::Asleep(account) => {
            t.sched = Sched::Asleep as u8;
            t.sleep = account as u8;
            t.sleeps += 1;
            fall_asleep(t, account);
        }
    }
}

/// How far the two clocks may be apart from what they were at the switch before, ns. A larger step means that the thread left
/// and came back once more without being seen, and its last arrival is not the one that was seen.
const MAX_DRIFT: u64 = 100_000;
/// … and one part in so many (as a power of two) of the time since: `CLOCK_MONOTONIC` is slewed by at most 500 ppm (adjtimex(2)).
const DRIFT_SHIFT: u32 = 10;

/// Notes the distance of the clocks that was seen when a thread came onto a CPU, having been `away` for so long.
#[inline(always)]
fn note_offset(t: &mut Thread, offset: u64, away: u64) {
    let ahead = offset.wrapping_sub(t.rq_offset);
    let most = MAX_DRIFT + (away >> DRIFT_SHIFT);
    if t.rq_offset == 0 || ahead <= most || ahead.wrapping_neg() <= most {
        t.rq_offset = offset;
    }
}

/// What a sleep says about the call it happens in: it ends a copy, and names how the call waited.
#[inline(always)]
fn fall_asleep(t: &mut Thread, account: Account) {
    t.call.kernel_ns = 0;
    if t.mode == Mode::Copy as u8 {
        t.mode = Mode::Kernel as u8;
    }
    if matches!(account, Account::WaitData | Account::WaitAccept | Account::WaitReady)
        && !t.call.has(call_flag::COPIED)
    {
        t.call.flags |= call_flag::SLEPT;
    }
    if matches!(account, Account::WaitDisk) {
        t.call.flags |= call_flag::SLEPT_DISK;
    }
}

/// What is known when a thread of which nothing was seen gets onto a CPU.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    /// The call that its saved registers show.
    pub call: Registers,
    /// The account of its sleep, if it slept.
    pub account: Account,
}

impl Seed {
    /// Nothing is known, or nothing needs to be.
    pub const NONE: Seed = Seed { call: Registers::NONE, account: Account::WaitOther };
}

/// The thread gets onto a CPU. `seed` is asked for only when nothing was seen before.
#[inline(always)]
pub fn switch_in(t: &mut Thread, start: u64, now: u64, seed: Seed, queued_at: u64, sink: &mut impl Sink) {
    match t.sched() {
        Sched::Unseen => {
            if t.flags & flag::UNSPLIT != 0 {
                note_waking(t, queued_at, now, sink);
            }
            first_switch_in(t, start, now, seed, sink);
        }
        Sched::Asleep => wake(t, now, queued_at, sink),
        Sched::Preempted | Sched::Newborn => {
            let account = t.account();
            let nanos = book(t, account, now, sink);
            sink.observe(account, nanos);
        }
        Sched::Running | Sched::Dead => {
            sink.lose(Loss::MissedSwitches);
            book(t, Account::Unknown, now, sink);
        }
    }
    t.sched = Sched::Running as u8;
    t.on_at = now;
    t.flags |= flag::ARRIVAL_SEEN;
}

/// An event of a thread's own although it was not seen to get onto a CPU. Some switches are not traced: on machines whose
/// supervisor hides its own threads from tracing, every switch *from* such a thread, and every wake-up by an interrupt
/// that hits one. The kernel's own stamps say when it arrived, and how long it had been queued.
#[inline(always)]
pub fn arrive_unseen(
    t: &mut Thread,
    start: u64,
    now: u64,
    stamps: Stamps,
    default_offset: u64,
    seed: Seed,
    sink: &mut impl Sink,
) {
    let arrival = Stamps::in_our_clock(stamps.last_arrival, t, default_offset);
    if t.sched == Sched::Unseen as u8 {
        if arrival > start && arrival <= now {
            sink.lose(Loss::RecoveredSwitches);
            if t.flags & flag::UNSPLIT != 0 {
                t.woken_at = arrival;
            }
            first_switch_in(t, start, arrival, seed, sink);
            t.sched = Sched::Running as u8;
            t.on_at = arrival;
        }
        return;
    }
    if arrival == 0 || t.sched == Sched::Dead as u8 {
        return; // `running` books the time to `unknown`
    }
    sink.lose(Loss::RecoveredSwitches);
    let arrival = if arrival < t.clock { t.clock } else { arrival };
    let arrival = if arrival > now { now } else { arrival };
    if t.sched == Sched::Asleep as u8 {
        let delay = stamps.run_delay.wrapping_sub(t.run_delay);
        let queued_at = if delay < arrival { arrival - delay } else { arrival };
        wake(t, arrival, queued_at, sink);
    } else {
        let account = t.account();
        let nanos = book(t, account, arrival, sink);
        sink.observe(account, nanos);
    }
    t.sched = Sched::Running as u8;
    t.on_at = arrival;
    t.flags &= !flag::ARRIVAL_SEEN;
}

/// Where wake-ups are not traced, a thread of which nothing was seen yet was woken at `queued_at`, or nobody knows when.
#[inline(always)]
fn note_waking(t: &mut Thread, queued_at: u64, now: u64, sink: &mut impl Sink) {
    t.woken_at = queued_at;
    if queued_at == 0 {
        sink.lose(Loss::LostWakeups);
        t.woken_at = now;
    }
}

#[inline(always)]
fn first_switch_in(t: &mut Thread, start: u64, now: u64, seed: Seed, sink: &mut impl Sink) {
    open(t, start);
    if seed.call.is_call() {
        t.mode = Mode::Kernel as u8;
        in_flight_since(t, start, seed.call);
    }
    if t.woken_at > start && t.woken_at <= now {
        let woken_at = t.woken_at;
        t.flags |= flag::WAITED_BEFORE;
        let nanos = book(t, seed.account, woken_at, sink);
        waited(t, seed.account, nanos);
        fall_asleep(t, seed.account);
    }
    book(t, Account::Runqueue, now, sink);
}

#[inline(always)]
fn wake(t: &mut Thread, now: u64, queued_at: u64, sink: &mut impl Sink) {
    let account = Account::from_u8(t.sleep);
    let mut end = t.woken_at;
    if t.flags & flag::UNSPLIT != 0 && queued_at != 0 {
        // Wake-ups are not traced in this tier: the stamps are as good, but for the way of a remote one.
        end = if queued_at < t.off_at { t.off_at } else { queued_at };
    } else if (end <= t.on_at || end > now) && queued_at != 0 {
        // Not traced, or overwritten since by a wake-up that met the running thread.
        sink.lose(Loss::RecoveredWakeups);
        end = if queued_at < t.off_at { t.off_at } else { queued_at };
    } else if end <= t.on_at {
        sink.lose(Loss::LostWakeups);
        end = now;
    } else if end < t.off_at {
        sink.lose(Loss::EarlyWakeups);
        end = t.off_at;
    }
    if end > now {
        end = now;
    }
    let nanos = book(t, account, end, sink);
    waited(t, account, nanos);
    sink.observe(account, nanos);
    let nanos = book(t, Account::Runqueue, now, sink);
    sink.observe(Account::Runqueue, nanos);
}

#[inline(always)]
fn waited(t: &mut Thread, account: Account, nanos: u64) {
    let nr = if t.call.state == CallState::Active as u8 { u64::from(t.call.nr) } else { u64::MAX };
    event_loop::slept(&mut t.looping, nanos, nr);
    if matches!(account, Account::WaitData) {
        t.call.wait_ns += nanos;
    }
    // Who sleeps until a signal, a completion or a wake-up descriptor (a signalfd) does not poll, however often he finds
    // nothing.
    if matches!(account, Account::WaitSignal | Account::WaitCompletion | Account::WaitReady) {
        t.ready.slept_end_at = t.clock;
    }
}

/// The thread ends.
#[inline(always)]
pub fn die(t: &mut Thread, start: u64, now: u64, sink: &mut impl Sink) {
    if t.sched == Sched::Unseen as u8 {
        open(t, start);
    }
    running(t, now, sink);
    t.sched = Sched::Dead as u8;
    t.died_at = now;
}

/// Credits what is still in progress at `end` (host side only). `asleep` is what `/proc` says of a thread whose wake-up
/// may be older than its sleep: a wake-up between the last switch-in and the switch-out either ended the sleep at once
/// or met a thread that was still on its CPU and changed nothing.
pub fn close(t: &mut Thread, end: u64, asleep: Option<bool>, sink: &mut impl Sink) {
    match t.sched() {
        Sched::Unseen | Sched::Dead => {}
        Sched::Running => settle(t, end, sink),
        Sched::Preempted | Sched::Newborn => {
            let account = t.account();
            book(t, account, end, sink);
        }
        Sched::Asleep => {
            let account = Account::from_u8(t.sleep);
            let woken_at = t.woken_at;
            let woken = if woken_at >= t.off_at {
                woken_at <= end
            } else {
                woken_at > t.on_at && asleep == Some(false)
            };
            if woken {
                let until = woken_at.max(t.off_at).min(end);
                let nanos = book(t, account, until, sink);
                waited(t, account, nanos);
                book(t, Account::Runqueue, end, sink);
            } else {
                let nanos = book(t, account, end, sink);
                waited(t, account, nanos);
            }
        }
    }
}

/// Sum of all accounts.
pub fn total(t: &Thread) -> u64 {
    Account::ALL.iter().map(|a| t.ledger[a.index()]).sum()
}
