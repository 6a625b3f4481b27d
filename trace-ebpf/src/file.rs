//! What a descriptor is: from a task's table of open files to kind, socket and flags.

use trace_common::{
    conn::{Pipe, WAKEUP_BYTES},
    loss::{Loss, Sink},
    ready::Member,
    syscall::FileKind,
};

use crate::{
    kind::direct,
    maps::{CONNS, PIPES, PerCpu},
    read::{Kernel, field, offset},
    slots::{self, calls_untraced},
};

/// `S_IFMT` and its values, `include/uapi/linux/stat.h`.
mod mode {
    pub const TYPE: u16 = 0xF000;
    pub const SOCKET: u16 = 0xC000;
    pub const FIFO: u16 = 0x1000;
    pub const CHAR: u16 = 0x2000;
    pub const DIRECTORY: u16 = 0x4000;
    pub const BLOCK: u16 = 0x6000;
    pub const REGULAR: u16 = 0x8000;
}

/// `ANON_INODE_FS_MAGIC`, `include/uapi/linux/magic.h`. The mode of an anonymous inode does not tell: it is 0 up to
/// 6.15 and a regular file's since 6.16 (`fs/anon_inodes.c`).
const ANON_INODE_FS_MAGIC: u64 = 0x0904_1934;
/// Majors of terminals: tty and console (4, 5), Unix98 pseudo-terminals (136 to 143).
const TTY_MAJORS: [core::ops::RangeInclusive<u32>; 2] = [4..=5, 136..=143];
/// `TCP_CLOSE` and `TCP_LISTEN`, which unix sockets use as well (`include/net/tcp_states.h`).
const STATE_CLOSE: u8 = 7;
const STATE_LISTEN: u8 = 10;
/// `SOCK_DGRAM`.
pub const SOCK_DGRAM: u16 = 2;
/// `AF_UNIX`, `AF_INET`, `AF_INET6`.
pub const AF_UNIX: u16 = 1;
/// See [`AF_UNIX`].
pub const AF_INET: u16 = 2;
/// See [`AF_UNIX`].
pub const AF_INET6: u16 = 10;

/// The open file behind descriptor `fd` of `task`; 0 if there is none.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn file_of_fd(task: Kernel, fd: u64) -> Kernel {
    let files: Kernel = field(task, offset!(task_files));
    let fdt: Kernel = field(files, offset!(files_fdt));
    let max: u32 = field(fdt, offset!(fdt_max_fds));
    let fd = fd as u32;
    if fd >= max {
        return 0;
    }
    let array: Kernel = field(fdt, offset!(fdt_fd));
    field(array + u64::from(fd) * 8, 0)
}

/// [`file_of_fd`] of a task that the verifier knows: all but the last step are plain loads.
///
/// # Safety
/// `task` is an argument of a hook or the current task.
#[inline(always)]
pub unsafe fn behind(task: *const u8, fd: u64) -> Kernel {
    // SAFETY: see above; what a typed pointer leads to is typed, and null reads as zero.
    let (array, max) = unsafe {
        let files = direct::<u64>(task, offset!(task_files)) as *const u8;
        let fdt = direct::<u64>(files, offset!(files_fdt)) as *const u8;
        (direct::<u64>(fdt, offset!(fdt_fd)), direct::<u32>(fdt, offset!(fdt_max_fds)))
    };
    let fd = fd as u32;
    if fd >= max { 0 } else { field(array + u64::from(fd) * 8, 0) }
}

/// The kind of an open file.
#[inline(always)]
pub fn kind(file: Kernel) -> FileKind {
    FileKind::from_u8(file_kind(file) as u8)
}

/// [`kind`], as a number.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn file_kind(file: Kernel) -> u32 {
    resolve(file) as u32
}

#[inline(always)]
fn resolve(file: Kernel) -> FileKind {
    if file == 0 {
        return FileKind::Unknown;
    }
    let inode: Kernel = field(file, offset!(file_inode));
    let imode: u16 = field(inode, offset!(inode_mode));
    match imode & mode::TYPE {
        mode::SOCKET => FileKind::Socket,
        mode::FIFO => FileKind::Pipe,
        mode::DIRECTORY | mode::BLOCK => FileKind::File,
        mode::CHAR => char_device(inode),
        mode::REGULAR | 0 => anonymous_or_regular(file, inode, imode),
        _ => FileKind::Other,
    }
}

#[inline(always)]
fn char_device(inode: Kernel) -> FileKind {
    let rdev: u32 = field(inode, offset!(inode_rdev));
    let major = rdev >> 20; // MINORBITS, include/linux/kdev_t.h
    let [console, pseudo] = TTY_MAJORS;
    if console.contains(&major) || pseudo.contains(&major) { FileKind::Tty } else { FileKind::Other }
}

#[inline(always)]
fn anonymous_or_regular(file: Kernel, inode: Kernel, imode: u16) -> FileKind {
    let sb: Kernel = field(inode, offset!(inode_sb));
    let magic: u64 = field(sb, offset!(sb_magic));
    if magic != ANON_INODE_FS_MAGIC {
        return if imode & mode::TYPE == mode::REGULAR { FileKind::File } else { FileKind::Other };
    }
    let dentry: Kernel = field(file, offset!(file_dentry));
    let name: Kernel = field(dentry, offset!(dentry_name));
    FileKind::from_anon_name(field(name, 0))
}

/// The `struct sock *` of an open file that is a socket; 0 if there is none.
#[inline(always)]
pub fn sock(file: Kernel) -> Kernel {
    let socket: Kernel = field(file, offset!(file_private));
    field(socket, offset!(socket_sk))
}

/// Whether a socket is a listener.
#[inline(always)]
pub fn is_listener(sk: Kernel) -> bool {
    let state: u8 = field(sk, offset!(sk_state));
    state == STATE_LISTEN
}

/// The open file of a socket; 0 if there is none.
#[inline(always)]
pub fn of_sock(sk: Kernel) -> Kernel {
    let socket: Kernel = field(sk, offset!(sk_socket));
    field(socket, offset!(socket_file))
}

/// Whether the other end of a unix socket was opened by the target.
#[inline(always)]
pub fn peer_is_target(sk: Kernel) -> bool {
    let pid: Kernel = field(sk, offset!(sk_peer_pid));
    let nr: u32 = field(pid, offset!(pid_nr));
    nr != 0 && slots::is_target(nr)
}

/// What an open file adds to the width of a readiness wait.
#[inline(always)]
pub fn member(file: Kernel) -> Member {
    Member::from_u8(file_member(file) as u8)
}

/// [`member`], as a number.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn file_member(file: Kernel) -> u32 {
    let member = match kind(file) {
        FileKind::Tty => Member::Peer,
        FileKind::Pipe if calls_untraced() => used(file),
        FileKind::Pipe if delivers(file) => Member::Peer,
        FileKind::Socket => socket_member(sock(file)),
        _ => Member::Wakeup,
    };
    member as u32
}

#[inline(always)]
fn socket_member(sk: Kernel) -> Member {
    let state: u8 = field(sk, offset!(sk_state));
    let family: u16 = field(sk, offset!(sk_family));
    let sock_type: u16 = field(sk, offset!(sk_type));
    if state == STATE_LISTEN {
        return Member::Listener;
    }
    if !matches!(family, AF_UNIX | AF_INET | AF_INET6) {
        return Member::Wakeup;
    }
    if family == AF_UNIX && peer_is_target(sk) {
        if carries_data(sk) {
            return Member::Peer;
        }
        // SAFETY: a plain read of a map's value.
        let used = calls_untraced() && unsafe { CONNS.get(sk) }.is_some_and(|conn| conn.receives > 0);
        return if used { Member::Undecided } else { Member::Wakeup };
    }
    if sock_type == SOCK_DGRAM && state == STATE_CLOSE { Member::Datagram } else { Member::Peer }
}

/// Whether a socket whose other end is in the target delivered more than wake-ups, or from another process than that of
/// its reader: a socket pair to a child does, one that a loop wakes itself by does not.
#[inline(always)]
fn carries_data(sk: Kernel) -> bool {
    // SAFETY: plain reads of maps' values.
    let (Some(conn), writer) = (unsafe { (CONNS.get(sk), PIPES.get(sk).map_or(0, |p| p.writer)) }) else {
        return false;
    };
    conn.bytes > conn.receives * WAKEUP_BYTES as u64 || (writer != 0 && conn.tgid != 0 && writer != conn.tgid)
}

/// Whether a pipe delivered bytes from another process; a silent pipe or a self-pipe is a wake-up.
#[inline(always)]
fn delivers(file: Kernel) -> bool {
    let inode: Kernel = field(file, offset!(file_inode));
    // SAFETY: a plain read of a map's value.
    unsafe { PIPES.get(inode) }.is_some_and(|pipe| pipe.delivers != 0)
}

/// Where calls are not traced, nobody is seen to read from a pipe or to write to it; whether something went through is known.
#[inline(always)]
fn used(file: Kernel) -> Member {
    let inode: Kernel = field(file, offset!(file_inode));
    let pipe: Kernel = field(inode, offset!(inode_pipe));
    let read: u32 = field(pipe, offset!(pipe_tail));
    if read == 0 { Member::Wakeup } else { Member::Undecided }
}

/// Process `tgid` read bytes from a file that is no socket; returns its kind.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn file_was_read(file: Kernel, tgid: u32) -> u32 {
    let inode: Kernel = field(file, offset!(file_inode));
    if let Some(pipe) = PIPES.get_ptr_mut(inode) {
        // SAFETY: a non-null pointer into the map; two writers set the same words.
        unsafe { (*pipe).delivers = u32::from((*pipe).writer != tgid) };
        return FileKind::Pipe as u32;
    }
    let kind = file_kind(file);
    if kind == FileKind::Pipe as u32 && PIPES.insert(inode, Pipe { writer: 0, delivers: 1 }, 0).is_err() {
        PerCpu.lose(Loss::MapFull);
    }
    kind
}

/// Process `tgid` wrote a few bytes to a file: if it reads them itself, from a pipe or a socket pair, they are a wake-up.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn file_was_written(file: Kernel, tgid: u32) -> u32 {
    let key: Kernel = match kind(file) {
        FileKind::Pipe => field(file, offset!(file_inode)),
        FileKind::Socket => unix_peer(sock(file)),
        _ => 0,
    };
    if key == 0 {
        return 0;
    }
    if let Some(pipe) = PIPES.get_ptr_mut(key) {
        // SAFETY: as in `was_read`.
        unsafe { (*pipe).writer = tgid };
    } else if PIPES.insert(key, Pipe { writer: tgid, delivers: 0 }, 0).is_err() {
        PerCpu.lose(Loss::MapFull);
    }
    0
}

/// The other end of a unix socket; 0 for any other.
#[inline(always)]
fn unix_peer(sk: Kernel) -> Kernel {
    let family: u16 = field(sk, offset!(sk_family));
    if family == AF_UNIX { field(sk, offset!(unix_peer)) } else { 0 }
}
