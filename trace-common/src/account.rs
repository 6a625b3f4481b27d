//! The accounts of the time ledger: every nanosecond of a thread's life in the window goes to exactly one.

use crate::syscall::{CallClass, FileKind};

/// Task-state bits, `include/linux/sched.h` of Linux 6.1 to 6.18. They are masks: a sleep may carry several.
pub mod state {
    /// `TASK_INTERRUPTIBLE`.
    pub const INTERRUPTIBLE: u32 = 0x0001;
    /// `TASK_UNINTERRUPTIBLE`.
    pub const UNINTERRUPTIBLE: u32 = 0x0002;
    /// `__TASK_STOPPED | __TASK_TRACED`.
    pub const STOPPED_OR_TRACED: u32 = 0x0004 | 0x0008;
    /// `TASK_DEAD`.
    pub const DEAD: u32 = 0x0080;
    /// `TASK_WAKEKILL`.
    pub const WAKEKILL: u32 = 0x0100;
    /// `TASK_FROZEN` (since 6.1).
    pub const FROZEN: u32 = 0x8000;
}

macro_rules! accounts {
    ($($(#[$doc:meta])* $name:ident = $n:literal => $text:literal,)*) => {
        /// One account of the ledger.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "user", derive(schemars::JsonSchema, serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
        #[repr(u8)]
        pub enum Account {
            $($(#[$doc])* $name = $n,)*
        }

        impl Account {
            /// All accounts, in the order of the report.
            pub const ALL: [Account; Account::COUNT] = [$(Account::$name,)*];

            /// The name used in every report, without a unit.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Account::$name => $text,)*
                }
            }
        }
    };
}

accounts! {
    /// Asleep in accept on a listening socket.
    WaitAccept = 0 => "wait_accept",
    /// Asleep in a receive on a socket, pipe, FIFO or tty: phase 1 of a blocking read.
    WaitData = 1 => "wait_data",
    /// Asleep in select, poll or epoll with at least one descriptor, or reading an eventfd, signalfd, inotify.
    WaitReady = 2 => "wait_ready",
    /// Asleep in io_uring_enter, io_getevents.
    WaitCompletion = 3 => "wait_completion",
    /// Asleep in pause, sigsuspend, sigtimedwait.
    WaitSignal = 4 => "wait_signal",
    /// Asleep in a send or connect call.
    WaitSend = 5 => "wait_send",
    /// Asleep in futex.
    WaitFutex = 6 => "wait_futex",
    /// Asleep in nanosleep, a timerfd read, a readiness call without descriptors.
    WaitTimer = 7 => "wait_timer",
    /// Asleep in a call on a file or block device, or with `in_iowait` elsewhere.
    WaitDisk = 8 => "wait_disk",
    /// Any other sleep.
    WaitOther = 9 => "wait_other",
    /// Stopped, traced or frozen.
    Stopped = 10 => "stopped",
    /// Runnable after a wake-up or newly born, not yet running.
    Runqueue = 11 => "runqueue",
    /// Runnable, pushed off the CPU.
    Preempted = 12 => "preempted",
    /// On CPU in a receive, from the first copied byte on: phase 2.
    Copy = 13 => "copy",
    /// On CPU in any other part of a system call, or in task work outside one.
    Kernel = 14 => "kernel",
    /// On CPU outside system calls.
    User = 15 => "user",
    /// Not observed.
    Unknown = 16 => "unknown",
}

impl Account {
    /// Number of accounts.
    pub const COUNT: usize = 17;
    /// Length of a ledger array: a power of two above [`Account::COUNT`], so that the verifier sees a masked index
    /// in bounds.
    pub const SLOTS: usize = 32;

    /// Index into a ledger, masked for the verifier.
    #[inline(always)]
    pub const fn index(self) -> usize {
        self as usize & (Self::SLOTS - 1)
    }

    /// Whether a thread in this account is asleep (neither runnable nor running).
    pub const fn is_sleep(self) -> bool {
        (self as u8) <= Account::Stopped as u8
    }

    /// Whether a thread in this account is on a CPU.
    pub const fn is_on_cpu(self) -> bool {
        matches!(self, Account::Copy | Account::Kernel | Account::User)
    }

    /// The account with this discriminant; `Unknown` for any other value.
    #[inline(always)]
    pub fn from_u8(value: u8) -> Account {
        Self::ALL.get(usize::from(value)).copied().unwrap_or(Account::Unknown)
    }
}

/// What is known about a thread at the moment it leaves the CPU to sleep.
#[derive(Clone, Copy, Debug)]
pub struct SleepFacts {
    /// Class of the call in flight; [`CallClass::None`] outside calls.
    pub class: CallClass,
    /// Kind of the file the call works on; [`FileKind::Unknown`] where the call has none.
    pub kind: FileKind,
    /// Task-state bits at the switch.
    pub state: u32,
    /// `task_struct::in_iowait`.
    pub iowait: bool,
    /// Whether a readiness call has no descriptor at all (it is a timer then).
    pub no_descriptors: bool,
}

/// The account of a sleep. Precedence: the off-CPU kind (stopped), then the call in flight, then the state bits.
///
/// An uninterruptible sleep is never a wait for data, even inside a receive: it is a socket lock or a page fault.
#[inline(always)]
pub fn sleep_account(facts: SleepFacts) -> Account {
    if facts.state & (state::STOPPED_OR_TRACED | state::FROZEN) != 0 {
        return Account::Stopped;
    }
    let by_call = call_account(facts);
    let uninterruptible = facts.state & state::UNINTERRUPTIBLE != 0;
    if uninterruptible && !matches!(by_call, Account::WaitDisk | Account::WaitCompletion) {
        return if facts.iowait { Account::WaitDisk } else { Account::WaitOther };
    }
    if matches!(by_call, Account::WaitOther) && facts.iowait {
        return Account::WaitDisk;
    }
    by_call
}

#[inline(always)]
fn call_account(facts: SleepFacts) -> Account {
    match facts.class {
        CallClass::Accept => Account::WaitAccept,
        CallClass::Recv => Account::WaitData,
        CallClass::Read => read_account(facts.kind),
        CallClass::Select | CallClass::Poll | CallClass::Epoll => {
            if facts.no_descriptors {
                Account::WaitTimer
            } else {
                Account::WaitReady
            }
        }
        CallClass::Completion => Account::WaitCompletion,
        CallClass::Signal => Account::WaitSignal,
        CallClass::Send | CallClass::Connect => Account::WaitSend,
        CallClass::Write => match facts.kind {
            FileKind::File => Account::WaitDisk,
            FileKind::Socket | FileKind::Pipe | FileKind::Tty => Account::WaitSend,
            _ => Account::WaitOther,
        },
        CallClass::Futex => Account::WaitFutex,
        CallClass::Timer => Account::WaitTimer,
        CallClass::File | CallClass::Submit => Account::WaitDisk,
        CallClass::Splice => match facts.kind {
            FileKind::Socket | FileKind::Pipe => Account::WaitData,
            FileKind::File => Account::WaitSend,
            _ => Account::WaitOther,
        },
        CallClass::None | CallClass::SigReturn | CallClass::RestartSyscall | CallClass::Other => {
            Account::WaitOther
        }
    }
}

#[inline(always)]
fn read_account(kind: FileKind) -> Account {
    match kind {
        FileKind::Socket | FileKind::Pipe | FileKind::Tty => Account::WaitData,
        FileKind::EventFd | FileKind::SignalFd | FileKind::Inotify => Account::WaitReady,
        FileKind::TimerFd => Account::WaitTimer,
        FileKind::File => Account::WaitDisk,
        FileKind::Unknown | FileKind::Epoll | FileKind::Other => Account::WaitOther,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(class: CallClass, kind: FileKind, state: u32, iowait: bool) -> SleepFacts {
        SleepFacts { class, kind, state, iowait, no_descriptors: false }
    }

    #[test]
    fn every_account_round_trips_and_is_named_once() {
        for (i, account) in Account::ALL.into_iter().enumerate() {
            assert_eq!(account as usize, i);
            assert_eq!(Account::from_u8(i as u8), account);
            assert_eq!(Account::ALL.iter().filter(|a| a.name() == account.name()).count(), 1);
        }
        assert_eq!(Account::from_u8(200), Account::Unknown);
    }

    #[test]
    fn a_stopped_thread_is_not_waiting_for_data() {
        let f = facts(CallClass::Recv, FileKind::Socket, 0x0004, false);
        assert_eq!(sleep_account(f), Account::Stopped);
        let traced = facts(CallClass::Recv, FileKind::Socket, 0x0008 | 0x100, false);
        assert_eq!(sleep_account(traced), Account::Stopped);
    }

    #[test]
    fn a_socket_lock_inside_a_receive_is_no_wait_for_data() {
        let f = facts(CallClass::Recv, FileKind::Socket, state::UNINTERRUPTIBLE, false);
        assert_eq!(sleep_account(f), Account::WaitOther);
        let fault = facts(CallClass::Recv, FileKind::Socket, state::UNINTERRUPTIBLE, true);
        assert_eq!(sleep_account(fault), Account::WaitDisk);
    }

    #[test]
    fn the_kind_of_the_file_decides_what_a_read_waits_for() {
        for (kind, account) in [
            (FileKind::Socket, Account::WaitData),
            (FileKind::Pipe, Account::WaitData),
            (FileKind::Tty, Account::WaitData),
            (FileKind::EventFd, Account::WaitReady),
            (FileKind::TimerFd, Account::WaitTimer),
            (FileKind::File, Account::WaitDisk),
        ] {
            assert_eq!(sleep_account(facts(CallClass::Read, kind, state::INTERRUPTIBLE, false)), account);
        }
    }

    #[test]
    fn waiting_for_completions_is_not_disk_although_it_sets_in_iowait() {
        let f = facts(CallClass::Completion, FileKind::Unknown, state::INTERRUPTIBLE, true);
        assert_eq!(sleep_account(f), Account::WaitCompletion);
    }

    #[test]
    fn poll_without_descriptors_is_a_timer() {
        let mut f = facts(CallClass::Poll, FileKind::Unknown, state::INTERRUPTIBLE, false);
        f.no_descriptors = true;
        assert_eq!(sleep_account(f), Account::WaitTimer);
    }
}
