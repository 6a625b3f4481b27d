//! The end of a system call: receives, accepts, connects, readiness calls.

use aya_ebpf::helpers::bpf_get_current_task;
use trace_common::{
    account::Account,
    call::{CallState, LoggedCall, flag as call_flag},
    conn::{Cover, Side, WAKEUP_BYTES, flag as conn_flag},
    event_loop, inferred, ready,
    receive::{self, MSG_DONTWAIT, ReceiveEnd},
    syscall::{
        CallClass, FileKind, NR_CLOSE, NR_CLOSE_RANGE, NR_DUP2, NR_DUP3, NR_IO_URING_ENTER, NR_RECVFROM,
        NR_RECVMMSG, NR_RECVMSG, NR_RT_SIGTIMEDWAIT, NR_SPLICE, class_from_u8,
    },
    thread::{RECEIVED, Received, Thread},
};

use crate::{
    conns, file,
    file::SOCK_DGRAM,
    maps::{CONNS, PerCpu, log_call},
    read::{Kernel, field, offset},
    readiness, signals,
    slots::{Moment, control},
};

/// `-EINPROGRESS`: a connect that goes on without its caller.
const EINPROGRESS: i64 = -115;
/// `O_NONBLOCK`.
const O_NONBLOCK: u32 = 0o4000;

/// Accounts the logical call that ended with `ret`.
#[inline(always)]
pub fn ended(t: &mut Thread, class: CallClass, ret: i64, now: u64) {
    match class {
        // Nothing was received, and by no socket: no need for all that follows a receive.
        CallClass::Read | CallClass::Recv if ret <= 0 && !may_be_on_socket(t) => waited_elsewhere(t),
        // SAFETY: the record of the current thread, here and below.
        CallClass::Read | CallClass::Recv => _ = unsafe { receive_ended(t, now, ret) },
        CallClass::Select | CallClass::Poll | CallClass::Epoll => {
            // SAFETY: see above.
            unsafe { wait_ended(t, now, ret) };
        }
        CallClass::Accept => {
            receive::accepted(t, ret);
            if ret >= 0 {
                t.forget_received(ret as u64);
                conns::opened(sock_of_fd(ret as u64), now, Side::Server, Some(t));
            }
        }
        CallClass::Connect if ret == 0 || ret == EINPROGRESS => {
            t.forget_received(t.call.args[0]);
            conns::opened(sock_of_fd(t.call.args[0]), now, Side::Client, None);
        }
        CallClass::Send if ret > 0 => {
            t.sends += 1;
            t.sent_bytes = t.sent_bytes.wrapping_add(ret as u64);
            t.ready.empty_streak = 0;
            note_writer(t, ret);
            // SAFETY: the record of the current thread.
            _ = unsafe { send_ended(t, t.call.args[0], now) };
        }
        CallClass::Write if ret > 0 => {
            t.ready.empty_streak = 0;
            t.looping.handed_on += 1;
            note_storage(t);
            note_writer(t, ret);
            // SAFETY: the record of the current thread.
            _ = unsafe { send_ended(t, t.call.args[0], now) };
        }
        CallClass::Splice if ret > 0 && t.call.nr == NR_SPLICE => {
            if kind_of_fd(t.call.args[0]) as u8 == FileKind::Socket as u8 {
                t.receives.zero_copy += 1;
            }
            // SAFETY: the record of the current thread.
            _ = unsafe { send_ended(t, t.call.args[2], now) };
        }
        CallClass::Signal if ret > 0 && t.call.nr == NR_RT_SIGTIMEDWAIT => {
            signals::dequeued(t, ret as i32, now)
        }
        CallClass::Other if t.call.nr == NR_CLOSE => t.forget_received(t.call.args[0]),
        CallClass::Other if t.call.nr == NR_CLOSE_RANGE => t.received_by_fd = [Received::NONE; RECEIVED],
        CallClass::Other if matches!(t.call.nr, NR_DUP2 | NR_DUP3) => t.forget_received(t.call.args[1]),
        CallClass::Futex if ret > 0 => t.looping.handed_on += 1,
        CallClass::Submit if ret > 0 => t.aio_submitted += ret as u64,
        CallClass::Completion if ret > 0 && t.call.nr != NR_IO_URING_ENTER => t.aio_completed += ret as u64,
        CallClass::Splice if ret > 0 && kind_of_fd(t.call.args[0]) as u8 == FileKind::Socket as u8 => {
            t.receives.zero_copy += 1;
        }
        _ => {}
    }
}

/// A call that moved bytes to descriptor `fd` ended at `now`: if that is a connection with a record, it was a send on it.
///
/// # Safety
/// `t` is null or the record of the current thread.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn send_ended(t: *mut Thread, fd: u64, now: u64) -> u32 {
    // SAFETY: see above.
    let Some(t) = (unsafe { t.as_mut() }) else { return 0 };
    // Who answers has mostly received there before.
    let known = t.received_by(fd);
    if known != 0
        && let Some(conn) = CONNS.get_ptr_mut(known)
    {
        // SAFETY: a non-null pointer into the map; see `conns::of_sock`.
        let conn = unsafe { &mut *conn };
        if known == t.received.sk || conn.awaits_answer_of(t.tid) {
            conn.sent_by(t, known, now);
            return 0;
        }
    }
    let sk = sock_of_fd(fd);
    if sk != 0
        && let Some(conn) = CONNS.get_ptr_mut(sk)
    {
        // SAFETY: as above.
        unsafe { (*conn).sent_by(t, sk, now) };
    }
    0
}

/// A read or write that slept for the disk.
#[inline(always)]
fn note_storage(t: &mut Thread) {
    if t.call.has(call_flag::SLEPT_DISK) {
        t.storage_slept += 1;
        t.storage_nr = u64::from(t.call.nr);
    }
}

/// A few bytes may be a wake-up; see [`file::file_was_written`].
#[inline(always)]
fn note_writer(t: &Thread, ret: i64) {
    // An answer to where was just received from outside of the target is none.
    let fd = t.call.args[0];
    let outside = matches!(Side::from_u8(t.receive_side as u8), Side::Server | Side::Client);
    let answers = outside && t.received.fd == fd && u64::from(t.receive_fd) == fd;
    if ret <= WAKEUP_BYTES && !answers {
        file::file_was_written(file::file_of_fd(current(), t.call.args[0]), t.tgid);
    }
}

/// A readiness call ended.
///
/// # Safety
/// `t` is null or the record of the current thread.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn wait_ended(t: *mut Thread, now: u64, ret: i64) -> u32 {
    // SAFETY: see above.
    let Some(t) = (unsafe { t.as_mut() }) else { return 0 };
    let class = t.call.active_class();
    // Its entry was not seen. What select asked for is overwritten by now.
    if t.call.has(call_flag::BEFORE_ATTACH) && !matches!(class, CallClass::Select) {
        // SAFETY: as above.
        unsafe { readiness::wait_entered(t) };
    }
    if !t.call.has(call_flag::NO_DESCRIPTORS) {
        event_loop::wait_returned(t, class, ret > 0, now);
    }
    if let Some(cover) = ready::finish(t, now, ret) {
        readiness::returned(t, class, ret, cover);
    }
    0
}

/// Where calls are not traced: the thread of `task` got onto a CPU at `now` after a sleep.
///
/// # Safety
/// `t` is null or the record of that thread.
#[unsafe(no_mangle)]
#[inline(never)]
pub unsafe extern "C" fn woke(t: *mut Thread, task: Kernel, now: u64) -> u32 {
    // SAFETY: see above.
    let Some(t) = (unsafe { t.as_mut() }) else { return 0 };
    let class = t.call.active_class();
    let account = Account::from_u8(t.sleep);
    if let Some(cover) = inferred::woke(t, account, now)
        && matches!(class, CallClass::Epoll)
    {
        readiness::epoll_returned(t, task, cover);
    }
    if matches!(account, Account::WaitSignal) && t.call.nr == NR_RT_SIGTIMEDWAIT {
        signals::woken(t, now);
    }
    0
}

/// The current task.
#[inline(always)]
pub fn current() -> Kernel {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_task() }
}

#[inline(always)]
fn kind_of_fd(fd: u64) -> FileKind {
    file::kind(file::file_of_fd(current(), fd))
}

/// The `struct sock *` behind descriptor `fd` of the current task; 0 if it is no socket.
#[inline(always)]
pub fn sock_of_fd(fd: u64) -> Kernel {
    let open = file::file_of_fd(current(), fd);
    if file::kind(open) as u8 == FileKind::Socket as u8 { file::sock(open) } else { 0 }
}

/// Whether the read or recv in flight was, or may have been, on a socket: its attempts were seen, or there was no way to.
#[inline(always)]
fn may_be_on_socket(t: &Thread) -> bool {
    t.call.has(call_flag::RECEIVED | call_flag::BEFORE_ATTACH) || control!(by_descriptor) != 0
}

/// A read ended that was on no socket: it waited for whoever is at the other end of a pipe or a terminal.
#[inline(always)]
fn waited_elsewhere(t: &mut Thread) {
    let other = Side::Other.index();
    t.wait_by_side[other] = t.wait_by_side[other].wrapping_add(t.call.wait_ns);
}

/// A read or recv ended; a receive if it is on a socket.
///
/// # Safety
/// `t` is null or the record of the current thread.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn receive_ended(t: *mut Thread, now: u64, ret: i64) -> u32 {
    // SAFETY: see above.
    let Some(t) = (unsafe { t.as_mut() }) else { return 0 };
    received(t, ret, Moment { start: control!(start), now });
    0
}

#[inline(always)]
fn received(t: &mut Thread, ret: i64, at: Moment) {
    if !t.call.has(call_flag::RECEIVED) && may_be_on_socket(t) {
        resolve(t);
    }
    if t.call.sk == 0 {
        waited_elsewhere(t);
        if ret > 0 {
            note_storage(t);
            let kind = file::file_was_read(file::file_of_fd(current(), t.call.args[0]), t.tgid);
            if kind == FileKind::SignalFd as u32 {
                // Who is told by a signalfd does not poll, though he may be told in vain.
                t.ready.slept_end_at = at.now;
                signals::read_from_descriptor(t.tgid, at.now);
            }
        }
        return;
    }
    let sk = t.call.sk;
    let mut end =
        ReceiveEnd { now: at.now, ret, msg_flags: t.call.msg_flags, datagram: false, cover: Cover::NONE };
    match conns::of_sock_to(sk, t.call.port, at.start) {
        Some(conn) => {
            // SAFETY: a non-null pointer into the map; see `conns::of_sock`.
            let conn = unsafe { &mut *conn };
            end.datagram = u16::from(conn.sock_type) == SOCK_DGRAM;
            conn.tgid = t.tgid;
            conn.flags |= if end.msg_flags & MSG_DONTWAIT != 0 {
                conn_flag::ASKED_NONBLOCKING
            } else {
                conn_flag::ASKED_BLOCKING
            };
            if !t.call.has(call_flag::SLEPT) {
                end.cover = conns::cover(t, conn, sk);
            }
            receive::finish(t, Some(conn), end, &mut PerCpu);
        }
        None => {
            let sock_type: u16 = field(sk, offset!(sk_type));
            end.datagram = sock_type == SOCK_DGRAM;
            receive::finish(t, None, end, &mut PerCpu);
        }
    }
    if control!(log_calls) != 0 {
        log(t, ret, at.now);
    }
}

/// A call left with ERESTART: should a signal end it there, it must be known to have been a receive.
#[inline(always)]
pub fn interrupted(t: &mut Thread) {
    let pending = t.call.state == CallState::Pending as u8 && class_from_u8(t.call.class).may_receive();
    if pending && control!(by_descriptor) != 0 && !t.call.has(call_flag::RECEIVED) {
        resolve(t);
    }
}

/// The path of kernels without `sock_recv_length` (before 6.3): socket and flags from the descriptor, at the exit.
#[inline(always)]
fn resolve(t: &mut Thread) {
    let open = file::file_of_fd(current(), t.call.args[0]);
    if file::kind(open) as u8 != FileKind::Socket as u8 {
        return;
    }
    t.call.sk = file::sock(open);
    t.call.port = field(t.call.sk, offset!(sk_dport));
    t.call.flags |= call_flag::RECEIVED;
    let asked = match t.call.nr {
        NR_RECVFROM | NR_RECVMMSG => t.call.args[3] as u32,
        NR_RECVMSG => t.call.args[2] as u32,
        _ => 0,
    };
    let file_flags: u32 = field(open, offset!(file_flags));
    let nonblocking = if file_flags & O_NONBLOCK != 0 { MSG_DONTWAIT } else { 0 };
    t.call.msg_flags = asked | nonblocking;
}

#[inline(always)]
fn log(t: &mut Thread, ret: i64, now: u64) {
    let spent = |account: Account| {
        let i = account.index();
        t.ledger[i].wrapping_sub(t.mark[i])
    };
    let call = LoggedCall {
        entered_at: t.call.entered_at,
        ended_at: now,
        result: ret,
        wait_data_ns: spent(Account::WaitData),
        wait_other_ns: spent(Account::WaitOther),
        runqueue_ns: spent(Account::Runqueue),
        preempted_ns: spent(Account::Preempted),
        copy_ns: spent(Account::Copy),
        kernel_ns: spent(Account::Kernel),
        tid: t.tid,
        nr: t.call.nr,
    };
    log_call(&call);
}
