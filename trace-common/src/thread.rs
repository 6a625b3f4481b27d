//! The record of a thread: one writer per field.
//!
//! The *owner part* is written only by the thread's own events and by the `sched_switch` that takes it off or puts
//! it on a CPU: they never run at the same time. Others (wakers) write aligned 64-bit *mailboxes* only, and the owner
//! folds them in.

use crate::account::Account;
use crate::bounded;
use crate::call::Call;
use crate::conn::{ENDINGS, SIDES};
use crate::event_loop::Loop;
use crate::handover::HANDOVERS;
use crate::ready::Ready;
use crate::receive::{Accepts, Receives};
use crate::turn::Answers;

/// Where a thread is, as far as the scheduler is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Sched {
    /// No event of it was seen yet.
    Unseen = 0,
    /// On a CPU.
    Running = 1,
    /// Asleep, in the account [`Thread::sleep`].
    Asleep = 2,
    /// Newly born, not yet run.
    Newborn = 3,
    /// Runnable, pushed off the CPU.
    Preempted = 4,
    /// Ended.
    Dead = 5,
}

/// What a thread does when it is on a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Outside system calls.
    User = 0,
    /// In a system call.
    Kernel = 1,
    /// In a receive, after its first copied byte.
    Copy = 2,
}

/// Facts about a thread, as bits of [`Thread::flags`].
pub mod flag {
    /// Its first event ended a wait that had begun before the window.
    pub const WAITED_BEFORE: u8 = 1;
    /// It is a kernel worker of the process (io-wq, SQPOLL): it never returns to user mode.
    pub const KERNEL_IO: u8 = 2;
    /// It issued a 32-bit or x32 call.
    pub const COMPAT: u8 = 4;
    /// Its last switch-in was traced (and not recovered).
    pub const ARRIVAL_SEEN: u8 = 8;
    /// Its system calls are not traced (tier `sched`): on a CPU, only copying is told apart.
    pub const UNSPLIT: u8 = 16;
    /// A thread was born into its process: it, or one that it made.
    pub const THREADED: u8 = 32;
    /// Its program began in the window, by an exec.
    pub const EXECUTED: u8 = 64;
}

/// Length of a thread's name, `TASK_COMM_LEN` of `include/linux/sched.h`.
pub const COMM: usize = 16;

/// Connections that a thread received from and may answer, whose descriptors need not be looked up then: a power of two.
pub const RECEIVED: usize = 16;

/// A connection, and the descriptor by which a thread received from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Received {
    /// `struct sock *`; 0 for none.
    pub sk: u64,
    /// Descriptor.
    pub fd: u64,
}

impl Received {
    /// None.
    pub const NONE: Received = Received { sk: 0, fd: 0 };
}

/// The record.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Thread {
    /// Mailbox: the last wake-up, written by the waker.
    pub woken_at: u64,
    /// Thread id.
    pub tid: u32,
    /// Process id.
    pub tgid: u32,
    /// Odd while the owner part is being written.
    pub seq: u32,
    /// [`Sched`].
    pub sched: u8,
    /// [`Mode`].
    pub mode: u8,
    /// [`Account`] of the sleep in progress.
    pub sleep: u8,
    /// See [`flag`].
    pub flags: u8,
    /// Birth, or the exec that its record begins with; 0 if before the window.
    pub born_at: u64,
    /// When its program began, by the birth of its process or by exec; 0 if before the window. With the process id it
    /// tells programs apart that have the same one, one after another.
    pub program_at: u64,
    /// Death, 0 while it lives.
    pub died_at: u64,
    /// Time up to which the ledger is booked.
    pub clock: u64,
    /// Last switch onto a CPU.
    pub on_at: u64,
    /// Last switch off a CPU.
    pub off_at: u64,
    /// `CLOCK_MONOTONIC` minus the scheduler's clock at the last switch off a CPU; 0 if unknown.
    pub rq_offset: u64,
    /// The kernel's run-queue delay of it at that switch.
    pub run_delay: u64,
    /// Voluntary switches: it went to sleep.
    pub sleeps: u64,
    /// Involuntary switches.
    pub preemptions: u64,
    /// Time by [`Account`].
    pub ledger: [u64; Account::SLOTS],
    /// Time on a CPU that is not told apart, see [`flag::UNSPLIT`]; a part of [`Account::Unknown`].
    pub unsplit: u64,
    /// Ledger at the entry of the receive in flight; used only while calls are logged.
    pub mark: [u64; Account::SLOTS],
    /// [`Account::Copy`] in the ledger when a copy for an io_uring began.
    pub ring_copy_from: u64,
    /// The call in flight.
    pub call: Call,
    /// Receives on sockets.
    pub receives: Receives,
    /// Receives on stream sockets that filled the buffer they were given, of [`crate::receive::FILLABLE`] bytes at least.
    pub filled: u64,
    /// Number of the call of the last receive.
    pub receive_nr: u64,
    /// Descriptor of the last receive, and the [`crate::conn::Side`] of its connection.
    pub receive_fd: u32,
    /// See `receive_fd`.
    pub receive_side: u32,
    /// Accepts.
    pub accepts: Accepts,
    /// Readiness waits.
    pub ready: Ready,
    /// What it does between them.
    pub looping: Loop,
    /// Connections of the server side that it was the first to receive from, by [`crate::handover::Handover`].
    pub served: [u32; HANDOVERS],
    /// Answers that it gave.
    pub answers: Answers,
    /// What it last received data from.
    pub received: Received,
    /// The same by descriptor, in the place of its last bits: who is told of several connections at once receives from all
    /// of them before it answers any.
    pub received_by_fd: [Received; RECEIVED],
    /// Its name when it was born, when it last executed a program, or when it ended, whatever was last; all zeroes if that
    /// was before the window.
    pub comm: [u8; COMM],
    /// Sends that moved bytes.
    pub sends: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Signals of I/O that named a descriptor (`F_SETSIG`) and were delivered to it or dequeued by it.
    pub fd_signals: u64,
    /// Those that named none (`SIGIO`), likewise.
    pub sigio_signals: u64,
    /// Signals of POSIX aio, likewise.
    pub aio_signals: u64,
    /// Requests that `io_submit` took.
    pub aio_submitted: u64,
    /// Requests that `io_getevents` returned.
    pub aio_completed: u64,
    /// Reads and writes of files that slept for the disk.
    pub storage_slept: u64,
    /// Number of the call of the last of those.
    pub storage_nr: u64,
    /// `wait_data` by [`crate::conn::Side`].
    pub wait_by_side: [u64; SIDES],
    /// Episodes by side and [`crate::conn::Ending`], at most 1000 a connection.
    pub episodes: [[u32; ENDINGS]; SIDES],
    /// Connections whose first episode was decided here, by side.
    pub connections: [u32; SIDES],
    /// Connections whose first *narrow* episode was decided here, by side.
    pub narrow_connections: [u32; SIDES],
}

impl Thread {
    /// A thread of which nothing was seen yet.
    pub const fn unseen(tid: u32, tgid: u32) -> Thread {
        Thread {
            woken_at: 0,
            tid,
            tgid,
            seq: 0,
            sched: Sched::Unseen as u8,
            mode: Mode::User as u8,
            sleep: Account::Unknown as u8,
            flags: 0,
            born_at: 0,
            program_at: 0,
            died_at: 0,
            clock: 0,
            on_at: 0,
            off_at: 0,
            rq_offset: 0,
            run_delay: 0,
            sleeps: 0,
            preemptions: 0,
            ledger: [0; Account::SLOTS],
            unsplit: 0,
            mark: [0; Account::SLOTS],
            ring_copy_from: 0,
            call: Call::NONE,
            receives: Receives::ZERO,
            filled: 0,
            receive_nr: u64::MAX,
            receive_fd: u32::MAX,
            receive_side: 0,
            accepts: Accepts::ZERO,
            ready: Ready::ZERO,
            looping: Loop::ZERO,
            served: [0; HANDOVERS],
            answers: Answers::ZERO,
            received: Received::NONE,
            received_by_fd: [Received::NONE; RECEIVED],
            comm: [0; COMM],
            sends: 0,
            sent_bytes: 0,
            fd_signals: 0,
            sigio_signals: 0,
            aio_signals: 0,
            aio_submitted: 0,
            aio_completed: 0,
            storage_slept: 0,
            storage_nr: u64::MAX,
            wait_by_side: [0; SIDES],
            episodes: [[0; ENDINGS]; SIDES],
            connections: [0; SIDES],
            narrow_connections: [0; SIDES],
        }
    }

    /// Data was received from `sk` by `fd`.
    #[inline(always)]
    pub fn note_received(&mut self, sk: u64, fd: u64) {
        self.received = Received { sk, fd };
        self.received_by_fd[bounded::<RECEIVED>(fd as usize)] = self.received;
    }

    /// The connection that data was received from by `fd`; 0 if there was none, or if it came to its end since, or the
    /// descriptor was closed or replaced by this thread. Another thread may have done that: whoever asks makes sure that
    /// the connection still waits for this thread ([`crate::conn::Conn::awaits_answer_of`]).
    #[inline(always)]
    pub fn received_by(&self, fd: u64) -> u64 {
        let known = self.received_by_fd[bounded::<RECEIVED>(fd as usize)];
        if known.fd == fd { known.sk } else { 0 }
    }

    /// Descriptor `fd` is something else from now on.
    #[inline(always)]
    pub fn forget_received(&mut self, fd: u64) {
        self.received_by_fd[bounded::<RECEIVED>(fd as usize)] = Received::NONE;
    }

    /// Whether all that was seen of its process is that it was born and gets ready to execute a program: it has only one
    /// thread, and that one did not receive, accept or wait for readiness. Such a process and what it executes are one
    /// program, or each command of a shell would be two.
    #[inline(always)]
    pub fn is_preparing(&self) -> bool {
        self.born_at != 0
            && self.flags & flag::THREADED == 0
            && self.receives.calls | self.accepts.calls | self.ready.calls == 0
    }

    /// Where the thread is.
    #[inline(always)]
    pub fn sched(&self) -> Sched {
        match self.sched {
            1 => Sched::Running,
            2 => Sched::Asleep,
            3 => Sched::Newborn,
            4 => Sched::Preempted,
            5 => Sched::Dead,
            _ => Sched::Unseen,
        }
    }

    /// The account that time goes to at present.
    #[inline(always)]
    pub fn account(&self) -> Account {
        match self.sched() {
            Sched::Running => match self.mode {
                2 => Account::Copy,
                _ if self.flags & flag::UNSPLIT != 0 => Account::Unknown,
                1 => Account::Kernel,
                _ => Account::User,
            },
            Sched::Asleep => Account::from_u8(self.sleep),
            Sched::Newborn => Account::Runqueue,
            Sched::Preempted => Account::Preempted,
            Sched::Unseen | Sched::Dead => Account::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_known_by_its_descriptor_until_that_is_another_one() {
        let mut t = Thread::unseen(7, 7);
        assert_eq!((t.received_by(0), t.received_by(5)), (0, 0));
        (5..5 + RECEIVED as u64).for_each(|fd| t.note_received(fd << 8, fd));
        assert_eq!((t.received_by(5), t.received_by(6)), (5 << 8, 6 << 8));
        let same_place = 5 + RECEIVED as u64;
        t.note_received(1, same_place);
        assert_eq!((t.received_by(5), t.received_by(same_place)), (0, 1));
        t.forget_received(6);
        assert_eq!((t.received_by(6), t.received_by(7)), (0, 7 << 8));
    }
}
