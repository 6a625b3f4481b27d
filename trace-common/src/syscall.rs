//! Classes of system calls and kinds of files.
//!
//! Numbers are those of x86-64, `arch/x86/entry/syscalls/syscall_64.tbl` of Linux 6.18.

/// What a system call can make its caller wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CallClass {
    /// No call in flight.
    None = 0,
    /// A call of no class below.
    Other = 1,
    /// read, readv, preadv…: a receive if the descriptor is a socket.
    Read = 2,
    /// recvfrom, recvmsg, recvmmsg: always a receive.
    Recv = 3,
    /// accept, accept4.
    Accept = 4,
    /// select, pselect6.
    Select = 5,
    /// poll, ppoll.
    Poll = 6,
    /// epoll_wait, epoll_pwait, epoll_pwait2.
    Epoll = 7,
    /// sendto, sendmsg, sendmmsg, sendfile.
    Send = 8,
    /// write, writev, pwritev…: a send if the descriptor is a socket.
    Write = 9,
    /// connect.
    Connect = 10,
    /// futex and its kin.
    Futex = 11,
    /// nanosleep, clock_nanosleep.
    Timer = 12,
    /// io_uring_enter, io_getevents, io_pgetevents.
    Completion = 13,
    /// pause, rt_sigsuspend, rt_sigtimedwait.
    Signal = 14,
    /// A call that works on files or directories: open, stat, fsync, getdents…
    File = 15,
    /// splice, tee, vmsplice.
    Splice = 16,
    /// rt_sigreturn: it ends a handler, the interrupted call may continue after it.
    SigReturn = 17,
    /// restart_syscall: it continues the interrupted call.
    RestartSyscall = 18,
    /// io_submit.
    Submit = 19,
}

impl CallClass {
    /// Whether a call of this class may be a receive (on a socket).
    #[inline(always)]
    pub const fn may_receive(self) -> bool {
        matches!(self, CallClass::Read | CallClass::Recv)
    }

    /// Whether this is a readiness call.
    #[inline(always)]
    pub const fn is_ready(self) -> bool {
        matches!(self, CallClass::Select | CallClass::Poll | CallClass::Epoll)
    }

    /// Whether the first argument is the descriptor that the call works on.
    #[inline(always)]
    pub const fn has_fd(self) -> bool {
        matches!(
            self,
            CallClass::Read
                | CallClass::Recv
                | CallClass::Accept
                | CallClass::Send
                | CallClass::Write
                | CallClass::Connect
                | CallClass::Epoll
                | CallClass::Splice
        )
    }
}

/// What a descriptor is, as far as waiting on it is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum FileKind {
    /// Could not be resolved.
    Unknown = 0,
    /// A socket of any family.
    Socket = 1,
    /// A pipe or FIFO.
    Pipe = 2,
    /// A terminal.
    Tty = 3,
    /// A regular file, directory or block device.
    File = 4,
    /// An eventfd.
    EventFd = 5,
    /// A timerfd.
    TimerFd = 6,
    /// A signalfd.
    SignalFd = 7,
    /// An inotify or fanotify descriptor.
    Inotify = 8,
    /// An epoll instance.
    Epoll = 9,
    /// Anything else.
    Other = 10,
}

impl FileKind {
    /// The kind with this discriminant; [`FileKind::Other`] for any other value.
    #[inline(always)]
    pub const fn from_u8(value: u8) -> FileKind {
        match value {
            0 => FileKind::Unknown,
            1 => FileKind::Socket,
            2 => FileKind::Pipe,
            3 => FileKind::Tty,
            4 => FileKind::File,
            5 => FileKind::EventFd,
            6 => FileKind::TimerFd,
            7 => FileKind::SignalFd,
            8 => FileKind::Inotify,
            9 => FileKind::Epoll,
            _ => FileKind::Other,
        }
    }

    /// The kind of an anonymous-inode file from the first eight bytes of its dentry name (little-endian).
    ///
    /// eventfd, timerfd and epoll share one inode and mode, so only the name given to `anon_inode_getfile` tells:
    /// `fs/eventfd.c`, `fs/timerfd.c`, `fs/signalfd.c`, `fs/eventpoll.c`, `fs/notify/inotify/inotify_user.c`.
    #[inline(always)]
    pub const fn from_anon_name(name: u64) -> FileKind {
        if name == u64::from_le_bytes(*b"[eventfd") {
            FileKind::EventFd
        } else if name == u64::from_le_bytes(*b"[eventpo") {
            FileKind::Epoll
        } else if name == u64::from_le_bytes(*b"[timerfd") {
            FileKind::TimerFd
        } else if name == u64::from_le_bytes(*b"[signalf") {
            FileKind::SignalFd
        } else if name == u64::from_le_bytes(*b"inotify\0") {
            FileKind::Inotify
        } else {
            FileKind::Other
        }
    }
}

/// Length of the class table; numbers above are [`CallClass::Other`].
pub const TABLE: usize = 512;

/// Class of every system call by number.
pub static CLASS_OF: [u8; TABLE] = class_table();

/// `recvmmsg`: its result counts messages, not bytes.
pub const NR_RECVMMSG: u32 = 299;
/// `recvfrom`.
pub const NR_RECVFROM: u32 = 45;
/// `recvmsg`.
pub const NR_RECVMSG: u32 = 47;
/// See [`NR_EPOLL_CTL`].
pub const NR_CLOSE: u32 = 3;
/// See [`NR_EPOLL_CTL`].
pub const NR_CLOSE_RANGE: u32 = 436;
/// See [`NR_EPOLL_CTL`].
pub const NR_DUP2: u32 = 33;
/// See [`NR_EPOLL_CTL`].
pub const NR_DUP3: u32 = 292;
/// See [`NR_EPOLL_CTL`].
pub const NR_SPLICE: u32 = 275;
/// See [`NR_EPOLL_CTL`].
pub const NR_EPOLL_PWAIT2: u32 = 441;
/// `io_uring_enter`: unlike the other calls of its class it returns how many requests were submitted.
pub const NR_IO_URING_ENTER: u32 = 426;
/// `epoll_ctl`, and its operation `EPOLL_CTL_DEL` (`include/uapi/linux/eventpoll.h`).
pub const NR_EPOLL_CTL: u32 = 233;
/// See [`NR_EPOLL_CTL`].
pub const EPOLL_CTL_DEL: u64 = 2;
/// `rt_sigtimedwait`: it returns the number of the signal that it dequeued.
pub const NR_RT_SIGTIMEDWAIT: u32 = 128;
/// `poll` (its time limit is in milliseconds, in the third argument).
pub const NR_POLL: u32 = 7;
/// `ppoll`.
pub const NR_PPOLL: u32 = 271;
/// Bit that marks a call of the x32 ABI (`__X32_SYSCALL_BIT`, `arch/x86/include/uapi/asm/unistd.h`).
pub const X32_BIT: u64 = 0x4000_0000;

/// The class of system call `nr`.
#[inline(always)]
pub fn class_of(nr: u32) -> CallClass {
    if nr as usize >= TABLE {
        return CallClass::Other;
    }
    class_from_u8(CLASS_OF[crate::bounded::<TABLE>(nr as usize)])
}

/// The class with this discriminant; [`CallClass::Other`] for any other value.
#[inline(always)]
pub const fn class_from_u8(value: u8) -> CallClass {
    match value {
        0 => CallClass::None,
        2 => CallClass::Read,
        3 => CallClass::Recv,
        4 => CallClass::Accept,
        5 => CallClass::Select,
        6 => CallClass::Poll,
        7 => CallClass::Epoll,
        8 => CallClass::Send,
        9 => CallClass::Write,
        10 => CallClass::Connect,
        11 => CallClass::Futex,
        12 => CallClass::Timer,
        13 => CallClass::Completion,
        14 => CallClass::Signal,
        15 => CallClass::File,
        16 => CallClass::Splice,
        17 => CallClass::SigReturn,
        18 => CallClass::RestartSyscall,
        19 => CallClass::Submit,
        _ => CallClass::Other,
    }
}

const fn class_table() -> [u8; TABLE] {
    let mut table = [CallClass::Other as u8; TABLE];
    let mut i = 0;
    while i < CLASSES.len() {
        let (class, numbers) = CLASSES[i];
        let mut j = 0;
        while j < numbers.len() {
            table[numbers[j] as usize] = class as u8;
            j += 1;
        }
        i += 1;
    }
    table
}

const CLASSES: &[(CallClass, &[u16])] = &[
    (CallClass::Read, &[0, 17, 19, 295, 327]), // read pread64 readv preadv preadv2
    (CallClass::Recv, &[45, 47, 299]),         // recvfrom recvmsg recvmmsg
    (CallClass::Accept, &[43, 288]),           // accept accept4
    (CallClass::Select, &[23, 270]),           // select pselect6
    (CallClass::Poll, &[7, 271]),              // poll ppoll
    (CallClass::Epoll, &[232, 281, 441]),      // epoll_wait epoll_pwait epoll_pwait2
    (CallClass::Send, &[40, 44, 46, 307]),     // sendfile sendto sendmsg sendmmsg
    (CallClass::Write, &[1, 18, 20, 296, 328]), // write pwrite64 writev pwritev pwritev2
    (CallClass::Connect, &[42]),
    (CallClass::Futex, &[202, 449, 455, 456]), // futex futex_waitv futex_wait futex_requeue
    (CallClass::Timer, &[35, 230]),            // nanosleep clock_nanosleep
    (CallClass::Completion, &[208, 333, 426]), // io_getevents io_pgetevents io_uring_enter
    (CallClass::Signal, &[34, 128, 130]),      // pause rt_sigtimedwait rt_sigsuspend
    // open stat lstat access fsync fdatasync truncate ftruncate getdents rename mkdir rmdir creat unlink sync
    // getdents64 openat mkdirat newfstatat unlinkat renameat sync_file_range fallocate renameat2 syncfs
    // copy_file_range statx openat2, and fstat and lseek, which can wait for an inode lock
    (
        CallClass::File,
        &[
            2, 4, 5, 6, 8, 21, 74, 75, 76, 77, 78, 82, 83, 84, 85, 87, 162, 217, 257, 258, 262, 263, 264,
            277, 285, 306, 316, 326, 332, 437,
        ],
    ),
    (CallClass::Splice, &[275, 276, 278]), // splice tee vmsplice
    (CallClass::SigReturn, &[15]),
    (CallClass::RestartSyscall, &[219]),
    (CallClass::Submit, &[209]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_the_system_call_numbers_of_libc_for_the_calls_that_matter() {
        for (nr, class) in [
            (0, CallClass::Read),
            (45, CallClass::Recv),
            (288, CallClass::Accept),
            (232, CallClass::Epoll),
            (202, CallClass::Futex),
            (426, CallClass::Completion),
            (39, CallClass::Other),
            (511, CallClass::Other),
            (100_000, CallClass::Other),
        ] {
            assert_eq!(class_of(nr), class, "nr {nr}");
        }
    }

    #[test]
    fn discriminants_round_trip() {
        for value in 0..=19 {
            assert_eq!(class_from_u8(value) as u8, value);
        }
        assert_eq!(class_from_u8(99), CallClass::Other);
        for value in 0..=10 {
            assert_eq!(FileKind::from_u8(value) as u8, value);
        }
    }
}
