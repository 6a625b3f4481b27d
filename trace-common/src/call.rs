//! The system call in flight.

use crate::syscall::{CallClass, FileKind, class_from_u8};

/// Life of a [`Call`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CallState {
    /// No call.
    None = 0,
    /// In the kernel.
    Active = 1,
    /// Left with ERESTART: in no call now, but it may be entered again and is one logical call then.
    Pending = 2,
}

/// Facts about a call in flight, as bits.
pub mod flag {
    /// It slept in the wait that its class stands for (data, a connection, readiness) before any byte came.
    pub const SLEPT: u16 = 1;
    /// A first byte was copied.
    pub const COPIED: u16 = 2;
    /// `sock_recv_length` was seen: it is a receive on a socket, and `sk` and `msg_flags` are set.
    pub const RECEIVED: u16 = 4;
    /// It was in flight when the window began.
    pub const BEFORE_ATTACH: u16 = 8;
    /// It was entered again after ERESTART at least once.
    pub const RESTARTED: u16 = 16;
    /// Its readiness set has no descriptors.
    pub const NO_DESCRIPTORS: u16 = 32;
    /// It slept for the disk.
    pub const SLEPT_DISK: u16 = 64;
}

/// One system call of one thread.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Call {
    /// When it was entered, or the window's start.
    pub entered_at: u64,
    /// First four arguments.
    pub args: [u64; 4],
    /// On-CPU time outside `copy` since the entry or the last sleep.
    pub kernel_ns: u64,
    /// Time asleep for data.
    pub wait_ns: u64,
    /// Time in `copy`.
    pub copy_ns: u64,
    /// `struct sock *` that it works on, 0 if none is known.
    pub sk: u64,
    /// Bytes reported by `sock_recv_length` so far.
    pub bytes: u64,
    /// Number.
    pub nr: u32,
    /// Effective message flags.
    pub msg_flags: u32,
    /// See [`flag`].
    pub flags: u16,
    /// [`CallClass`].
    pub class: u8,
    /// [`CallState`].
    pub state: u8,
    /// [`FileKind`] once resolved.
    pub kind: u8,
    /// Padding.
    pub reserved: u8,
    /// Remote port of `sk`, as the kernel keeps it (network order).
    pub port: u16,
}

impl Call {
    /// No call.
    pub const NONE: Call = Call {
        entered_at: 0,
        args: [0; 4],
        kernel_ns: 0,
        wait_ns: 0,
        copy_ns: 0,
        sk: 0,
        bytes: 0,
        nr: 0,
        msg_flags: 0,
        flags: 0,
        class: CallClass::None as u8,
        state: CallState::None as u8,
        kind: FileKind::Unknown as u8,
        reserved: 0,
        port: 0,
    };

    /// Starts the record of a call.
    #[inline(always)]
    pub fn begin(&mut self, nr: u32, class: CallClass, args: [u64; 4], now: u64) {
        self.entered_at = now;
        self.args = args;
        self.kernel_ns = 0;
        self.wait_ns = 0;
        self.copy_ns = 0;
        self.sk = 0;
        self.bytes = 0;
        self.nr = nr;
        self.msg_flags = 0;
        self.flags = 0;
        self.class = class as u8;
        self.state = CallState::Active as u8;
        self.kind = FileKind::Unknown as u8;
    }

    /// Class of the call in flight, [`CallClass::None`] if there is none.
    #[inline(always)]
    pub fn active_class(&self) -> CallClass {
        if self.state == CallState::Active as u8 { class_from_u8(self.class) } else { CallClass::None }
    }

    /// Whether `flag` is set.
    #[inline(always)]
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Whether entering `nr` with `args` continues this call after an ERESTART exit.
    #[inline(always)]
    pub fn continues(&self, nr: u32, class: CallClass, args: &[u64; 4]) -> bool {
        self.state == CallState::Pending as u8
            && (matches!(class, CallClass::RestartSyscall)
                || (nr == self.nr
                    && args[0] == self.args[0]
                    && args[1] == self.args[1]
                    && args[2] == self.args[2]))
    }
}

/// The negative result of a call that the kernel may enter again: ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND,
/// ERESTART_RESTARTBLOCK (`include/linux/errno.h`). User space never sees them.
#[inline(always)]
pub const fn is_restart(ret: i64) -> bool {
    matches!(ret, -512 | -513 | -514 | -516)
}

/// `-EAGAIN`.
pub const EAGAIN: i64 = -11;
/// `-EINTR`.
pub const EINTR: i64 = -4;

/// One logged receive: the two phases of a single call, for `--calls` and for tests against a fixture's own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct LoggedCall {
    /// Entry.
    pub entered_at: u64,
    /// Exit.
    pub ended_at: u64,
    /// Result: bytes, or a negative errno.
    pub result: i64,
    /// Asleep for data.
    pub wait_data_ns: u64,
    /// Asleep for something else: a socket lock, a page fault.
    pub wait_other_ns: u64,
    /// Woken, waiting for a CPU.
    pub runqueue_ns: u64,
    /// Pushed off the CPU.
    pub preempted_ns: u64,
    /// Copying.
    pub copy_ns: u64,
    /// On CPU otherwise.
    pub kernel_ns: u64,
    /// Thread.
    pub tid: u32,
    /// Number of the call.
    pub nr: u32,
}
