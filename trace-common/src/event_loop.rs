//! Event loops: what a thread does between two waits of its loop.
//!
//! An *iteration* lasts from the return of a readiness call to the entry of the next one of the same family; a poll that
//! is called from within an epoll loop is a call like any other.

use crate::account::Account;
use crate::bounded;
use crate::syscall::CallClass;
use crate::thread::Thread;

/// The timeout that a readiness call was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Timeout {
    /// Not known.
    Unknown = 0,
    /// It was not to wait.
    Zero = 1,
    /// It was to wait no longer than a given time.
    Finite = 2,
    /// It was to wait until something happens.
    Infinite = 3,
}

/// Number of timeouts, a power of two for the verifier.
pub const TIMEOUTS: usize = 4;

/// One iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct Iteration {
    /// Length, ns.
    pub ns: u64,
    /// On a CPU, ns.
    pub cpu_ns: u64,
    /// Runnable without a CPU, ns.
    pub runqueue_ns: u64,
    /// Its longest sleep, ns.
    pub sleep_ns: u64,
    /// Number of the call of that sleep; `u64::MAX` for none.
    pub sleep_nr: u64,
}

/// A thread's loop.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Loop {
    /// When the iteration in progress began; 0 while the thread is in its wait.
    pub from: u64,
    /// On-CPU time of the thread by then.
    cpu_mark: u64,
    /// Its time without a CPU by then.
    runqueue_mark: u64,
    /// Its work by then; see [`work`].
    work_mark: u64,
    /// The longest sleep of the iteration in progress.
    sleep_ns: u64,
    /// Number of its call.
    sleep_nr: u64,
    /// Ended iterations.
    pub iterations: u64,
    /// Their time, ns.
    pub ns: u64,
    /// Their time asleep: blocked in calls other than the wait, ns.
    pub blocked_ns: u64,
    /// What was handed on; see [`work`].
    pub handed_on: u64,
    /// Waits that returned descriptors, and were followed by no work.
    pub without_work: u64,
    /// The longest iteration.
    pub longest: Iteration,
    /// The longest sleep within an iteration, ns.
    pub longest_sleep_ns: u64,
    /// Number of its call.
    pub longest_sleep_nr: u64,
    /// Waits by [`Timeout`].
    pub timeouts: [u64; TIMEOUTS],
    /// Non-zero: the wait that the iteration in progress follows returned descriptors.
    had_events: u8,
    /// [`CallClass`] of the loop's wait.
    class: u8,
    /// Padding.
    reserved: [u8; 6],
}

impl Loop {
    /// Nothing seen.
    pub const ZERO: Loop = Loop {
        from: 0,
        cpu_mark: 0,
        runqueue_mark: 0,
        work_mark: 0,
        sleep_ns: 0,
        sleep_nr: 0,
        iterations: 0,
        ns: 0,
        blocked_ns: 0,
        handed_on: 0,
        without_work: 0,
        longest: Iteration { ns: 0, cpu_ns: 0, runqueue_ns: 0, sleep_ns: 0, sleep_nr: 0 },
        longest_sleep_ns: 0,
        longest_sleep_nr: 0,
        timeouts: [0; TIMEOUTS],
        had_events: 0,
        class: CallClass::None as u8,
        reserved: [0; 6],
    };

    /// Whether a wait of `class` is the loop's own. Who waits in epoll once is taken to have an epoll loop.
    #[inline(always)]
    fn is_own(&mut self, class: CallClass) -> bool {
        if self.class == CallClass::None as u8 || matches!(class, CallClass::Epoll) {
            self.class = class as u8;
        }
        self.class == class as u8
    }
}

/// On-CPU time so far, and time without a CPU so far.
#[inline(always)]
fn spent(t: &Thread) -> (u64, u64) {
    let of = |account: Account| t.ledger[account.index()];
    let cpu = of(Account::Copy).wrapping_add(of(Account::Kernel)).wrapping_add(of(Account::User));
    (cpu, of(Account::Runqueue).wrapping_add(of(Account::Preempted)))
}

/// What counts as work: whatever moves a connection on. That is a receive, an accept or a send, and what hands it to
/// another thread: a futex that wakes one, a write to a wake-up descriptor, a descriptor taken out of the loop's set.
#[inline(always)]
fn work(t: &Thread) -> u64 {
    let received = t.receives.with_data.wrapping_add(t.receives.eof);
    received.wrapping_add(t.accepts.accepted).wrapping_add(t.sends).wrapping_add(t.looping.handed_on)
}

/// A readiness call of `class` over descriptors is entered at `now`: the iteration ends.
#[inline(always)]
pub fn wait_entered(t: &mut Thread, class: CallClass, timeout: Timeout, now: u64) {
    if !t.looping.is_own(class) {
        return;
    }
    let i = bounded::<TIMEOUTS>(timeout as usize);
    t.looping.timeouts[i] = t.looping.timeouts[i].wrapping_add(1);
    if t.looping.from == 0 {
        return;
    }
    let (cpu, runqueue) = spent(t);
    let idle = work(t) == t.looping.work_mark;
    let at = &mut t.looping;
    let ns = now.saturating_sub(at.from);
    let cpu_ns = cpu.wrapping_sub(at.cpu_mark);
    let runqueue_ns = runqueue.wrapping_sub(at.runqueue_mark);
    at.from = 0;
    at.iterations += 1;
    at.ns = at.ns.wrapping_add(ns);
    at.blocked_ns = at.blocked_ns.wrapping_add(ns.saturating_sub(cpu_ns.wrapping_add(runqueue_ns)));
    if idle && at.had_events != 0 {
        at.without_work += 1;
    }
    if at.sleep_ns > at.longest_sleep_ns {
        at.longest_sleep_ns = at.sleep_ns;
        at.longest_sleep_nr = at.sleep_nr;
    }
    if ns > at.longest.ns {
        at.longest = Iteration { ns, cpu_ns, runqueue_ns, sleep_ns: at.sleep_ns, sleep_nr: at.sleep_nr };
    }
}

/// A readiness call of `class` returned at `now`, with descriptors or without: an iteration begins.
#[inline(always)]
pub fn wait_returned(t: &mut Thread, class: CallClass, with_events: bool, now: u64) {
    if t.looping.class != class as u8 {
        return;
    }
    let (cpu, runqueue) = spent(t);
    let work = work(t);
    let at = &mut t.looping;
    at.from = now;
    at.cpu_mark = cpu;
    at.runqueue_mark = runqueue;
    at.work_mark = work;
    at.sleep_ns = 0;
    at.sleep_nr = u64::MAX;
    at.had_events = u8::from(with_events);
}

/// The thread slept for `nanos` in call `nr`.
#[inline(always)]
pub fn slept(at: &mut Loop, nanos: u64, nr: u64) {
    if at.from != 0 && nanos > at.sleep_ns {
        at.sleep_ns = nanos;
        at.sleep_nr = nr;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looping() -> Thread {
        let mut t = Thread::unseen(1, 1);
        wait_entered(&mut t, CallClass::Epoll, Timeout::Infinite, 5);
        wait_returned(&mut t, CallClass::Epoll, true, 10);
        t
    }

    #[test]
    fn an_iteration_is_split_into_cpu_queue_and_the_sleep_in_it() {
        let mut t = looping();
        t.receives.with_data += 1;
        t.ledger[Account::User.index()] += 3;
        t.ledger[Account::Runqueue.index()] += 2;
        slept(&mut t.looping, 25, 0);
        wait_entered(&mut t, CallClass::Epoll, Timeout::Zero, 40);
        let longest = Iteration { ns: 30, cpu_ns: 3, runqueue_ns: 2, sleep_ns: 25, sleep_nr: 0 };
        assert_eq!(t.looping.longest, longest);
        assert_eq!((t.looping.iterations, t.looping.blocked_ns, t.looping.without_work), (1, 25, 0));
        assert_eq!(t.looping.timeouts, [0, 1, 0, 1]);
    }

    #[test]
    fn a_wake_up_without_work_is_one_that_moves_no_connection_on() {
        let mut t = looping();
        wait_entered(&mut t, CallClass::Epoll, Timeout::Infinite, 11);
        assert_eq!(t.looping.without_work, 1);
        wait_returned(&mut t, CallClass::Epoll, false, 20);
        wait_entered(&mut t, CallClass::Epoll, Timeout::Infinite, 21);
        assert_eq!(t.looping.without_work, 1, "a timeout woke nobody");
    }

    #[test]
    fn a_poll_within_an_epoll_loop_is_a_call_of_the_iteration() {
        let mut t = looping();
        wait_entered(&mut t, CallClass::Poll, Timeout::Finite, 12);
        slept(&mut t.looping, 80, 7);
        wait_returned(&mut t, CallClass::Poll, true, 92);
        wait_entered(&mut t, CallClass::Epoll, Timeout::Infinite, 93);
        assert_eq!((t.looping.iterations, t.looping.longest.ns, t.looping.longest.sleep_nr), (1, 83, 7));
    }
}
