//! io_uring: rings, requests and completions.
//!
//! Completions are looked up by ring and never by the current task. `struct io_kiocb` is read by copying: most of these
//! hooks have it as a typed argument, but a completion names its request by `void *`.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use trace_common::{
    conn::{Cover, Side},
    kernel::MISSING,
    loss::{Loss, Sink},
    ready::Member,
    syscall::FileKind,
    thread::flag,
    uring::{
        CQE_MORE, CQE_NOTIFICATION, Multishot, OP_POLL_ADD, Op, Received, RequestKey, Ring, Way, mark, op_of,
    },
};

use crate::{
    calls, conns, file,
    file::SOCK_DGRAM,
    maps::{MULTISHOTS, NEW_RING, PerCpu, REQUESTS, RINGS},
    read::{Kernel, field, offset},
    slots,
};

/// A ring was made by the current thread.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn ring_made(ctx: Kernel, setup: u32) -> u32 {
    let id = bpf_get_current_pid_tgid();
    if !slots::is_target(id as u32) {
        return 0;
    }
    if let Some(old) = RINGS.get_ptr_mut(ctx) {
        // SAFETY: a non-null pointer into the map.
        if unsafe { (*old).receives.calls + (*old).accepts.calls + (*old).storage } > 0 {
            PerCpu.lose(Loss::GenerationDropped);
        }
    }
    insert(ctx, |ring| {
        ring.tgid = (id >> 32) as u32;
        ring.tid = id as u32;
        ring.setup = setup;
        ring.made_here = 1;
    })
}

/// Makes the record of a ring; 0 if there is no room.
#[inline(always)]
fn insert(ctx: Kernel, describe: impl FnOnce(&mut Ring)) -> u32 {
    let Some(ring) = NEW_RING.get_ptr_mut(0) else { return 0 };
    // SAFETY: a non-null pointer into this CPU's copy; tracing programs run with preemption off. All zeroes is a valid
    // record.
    let ring = unsafe {
        core::ptr::write_bytes(ring, 0, 1);
        &mut *ring
    };
    describe(ring);
    let made: &Ring = ring;
    if RINGS.insert(ctx, made, 0).is_err() {
        PerCpu.lose(Loss::MapFull);
        return 0;
    }
    1
}

/// The record of ring `ctx`, which request `req` is one of, if it belongs to the target. A ring that is older than the
/// trace gets its record here.
#[inline(always)]
fn ring_of(ctx: Kernel, req: Kernel) -> Option<*mut Ring> {
    if let Some(ring) = RINGS.get_ptr_mut(ctx) {
        return Some(ring);
    }
    if ring_adopt(ctx, req) == 0 {
        return None;
    }
    RINGS.get_ptr_mut(ctx)
}

/// Makes the record of a ring that was not seen to be made; 0 if it is none of the target's.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn ring_adopt(ctx: Kernel, req: Kernel) -> u32 {
    let task = if offset!(kiocb_task) == MISSING {
        let tctx: Kernel = field(req, offset!(kiocb_tctx));
        field(tctx, offset!(tctx_task))
    } else {
        field(req, offset!(kiocb_task))
    };
    let tid: u32 = field(task, offset!(task_pid));
    let tgid: u32 = field(task, offset!(task_tgid));
    let Some(owner) = slots::thread(tid) else { return 0 };
    // SAFETY: a non-null pointer into the map; one byte.
    let kernel_io = unsafe { (*owner).flags } & flag::KERNEL_IO != 0;
    insert(ctx, |ring| {
        ring.tgid = tgid;
        // What an SQPOLL thread submits belongs to the process.
        ring.tid = if kernel_io { tgid } else { tid };
    })
}

#[inline(always)]
fn has(flags: u32, bit: u32) -> bool {
    bit != MISSING && flags >> (bit & 31) & 1 != 0
}

/// A request is submitted, by its owner or by the SQPOLL thread.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn request_submitted(req: Kernel) -> u32 {
    let ctx: Kernel = field(req, offset!(kiocb_ctx));
    let Some(ring) = ring_of(ctx, req) else { return 0 };
    // SAFETY: a non-null pointer into the map; who writes to it holds the ring's lock.
    let ring = unsafe { &mut *ring };
    if slots::moment().is_some() {
        ring.submitted();
    }
    let opcode: u8 = field(req, offset!(kiocb_opcode));
    let flags: u32 = field(req, offset!(kiocb_flags));
    if opcode == OP_POLL_ADD {
        poll_submitted(ring, req, flags);
    } else if has(flags, offset!(multishot_bit)) || offset!(multishot_bit) == MISSING {
        note_multishot(ctx, req, opcode, 0);
    }
    0
}

#[inline(always)]
fn poll_submitted(ring: &mut Ring, req: Kernel, flags: u32) {
    if has(flags, offset!(fixed_file_bit)) {
        return;
    }
    let fd: u32 = field(req, offset!(kiocb_fd));
    let watched = file::file_of_fd(calls::current(), u64::from(fd));
    if matches!(file::member(watched), Member::Wakeup) {
        return;
    }
    if REQUESTS.insert(req, mark::POLL, 0).is_ok() {
        ring.poll_begun();
    } else {
        PerCpu.lose(Loss::MapFull);
    }
}

/// Keeps what the completions of a multishot request will not name.
#[inline(always)]
fn note_multishot(ctx: Kernel, req: Kernel, opcode: u8, armed: u8) {
    let key = RequestKey { ctx, user_data: field(req, offset!(kiocb_user_data)) };
    let open: Kernel = field(req, offset!(kiocb_file));
    let sk = if file::kind(open) as u8 == FileKind::Socket as u8 { file::sock(open) } else { 0 };
    let request = Multishot { sk, opcode, armed, reserved: [0; 6] };
    if MULTISHOTS.insert(key, request, 0).is_err() {
        PerCpu.lose(Loss::MapFull);
    }
}

/// The kernel waits for readiness on behalf of a request, or a wait of that kind has ended: its file is known by now.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn request_armed(req: Kernel) -> u32 {
    let flags: u32 = field(req, offset!(kiocb_flags));
    if !has(flags, offset!(multishot_bit)) {
        return 0;
    }
    let ctx: Kernel = field(req, offset!(kiocb_ctx));
    if ring_of(ctx, req).is_some() {
        note_multishot(ctx, req, field(req, offset!(kiocb_opcode)), 1);
    }
    0
}

/// A request is handed to io-wq.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn request_queued(req: Kernel) -> u32 {
    let ctx: Kernel = field(req, offset!(kiocb_ctx));
    if ring_of(ctx, req).is_some() && REQUESTS.insert(req, mark::QUEUED, 0).is_err() {
        PerCpu.lose(Loss::MapFull);
    }
    0
}

/// What a completed request was.
struct Done {
    op: Op,
    sk: Kernel,
    way: Way,
    /// It was counted among the readiness requests that wait.
    counted: bool,
}

/// A completion is posted. `req` is 0 for those of multishot requests.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn request_completed(
    ctx: Kernel,
    req: Kernel,
    user_data: u64,
    result: i32,
    flags: u32,
) -> u32 {
    if flags & CQE_NOTIFICATION != 0 {
        return 0;
    }
    let ring = if req == 0 { RINGS.get_ptr_mut(ctx) } else { ring_of(ctx, req) };
    let Some(ring) = ring else { return 0 };
    // SAFETY: as in `request_submitted`.
    let ring = unsafe { &mut *ring };
    let key = RequestKey { ctx, user_data };
    let done = if req == 0 { of_multishot(&key) } else { of_request(req) };
    let counted_out = done.counted && flags & CQE_MORE == 0;
    let at = slots::moment();
    if let Some(at) = at {
        // SAFETY: `ring` is a record of the map.
        unsafe { account(ring, done.op as u32 | (done.way as u32) << 8, done.sk, result, at.now) };
        if matches!(done.op, Op::Poll) {
            polled(ring, &done, at.now);
        }
    }
    if counted_out {
        ring.poll_ended();
    }
    if req != 0 {
        forget(req, &key);
    }
    0
}

/// A multishot request ends with a completion that names it.
#[inline(always)]
fn forget(req: Kernel, key: &RequestKey) {
    // Not to be there is no error.
    _ = REQUESTS.remove(req);
    let flags: u32 = field(req, offset!(kiocb_flags));
    if has(flags, offset!(multishot_bit)) {
        _ = MULTISHOTS.remove(key);
    }
}

#[inline(always)]
fn of_multishot(key: &RequestKey) -> Done {
    // SAFETY: a plain read of a map's value.
    let Some(request) = (unsafe { MULTISHOTS.get(key) }) else {
        PerCpu.lose(Loss::CompletedUnmatched);
        return Done { op: Op::Other, sk: 0, way: Way::Inline, counted: false };
    };
    let kind = if request.sk == 0 { FileKind::Unknown } else { FileKind::Socket };
    Done {
        op: op_of(request.opcode, kind),
        sk: request.sk,
        way: if request.armed != 0 { Way::Armed } else { Way::Inline },
        counted: false,
    }
}

#[inline(always)]
fn of_request(req: Kernel) -> Done {
    let opcode: u8 = field(req, offset!(kiocb_opcode));
    let flags: u32 = field(req, offset!(kiocb_flags));
    let open: Kernel = field(req, offset!(kiocb_file));
    let kind = file::kind(open);
    // SAFETY: a plain read of a map's value.
    let marks = unsafe { REQUESTS.get(req) }.copied().unwrap_or(0);
    let way = if marks & mark::QUEUED != 0 {
        Way::Queued
    } else if has(flags, offset!(polled_bit)) {
        Way::Armed
    } else {
        Way::Inline
    };
    let sk = if kind as u8 == FileKind::Socket as u8 { file::sock(open) } else { 0 };
    Done { op: op_of(opcode, kind), sk, way, counted: marks & mark::POLL != 0 }
}

/// Books a completion to its ring. `op_and_way` is one number: a function that the verifier checks by itself takes five
/// arguments.
///
/// # Safety
/// `ring` is null or a record of the map.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn account(ring: *mut Ring, op_and_way: u32, sk: Kernel, result: i32, now: u64) -> u32 {
    // SAFETY: see above.
    let Some(ring) = (unsafe { ring.as_mut() }) else { return 0 };
    let result = i64::from(result);
    let way = match op_and_way >> 8 {
        1 => Way::Armed,
        2 => Way::Queued,
        _ => Way::Inline,
    };
    match op_and_way as u8 {
        1 => received(ring, sk, result, way, now),
        2 => {
            ring.accepted(result);
            if result >= 0 {
                accepted(sk, result, now);
            }
        }
        3 => ring.sent(result),
        4 => {}
        5 => ring.stored(result, way),
        _ => ring.finished(),
    }
    0
}

#[inline(always)]
fn received(ring: &mut Ring, sk: Kernel, result: i64, way: Way, now: u64) {
    let sock_type: u16 = field(sk, offset!(sk_type));
    let done = Received { now, result, way, datagram: sock_type == SOCK_DGRAM };
    let conn = if sk == 0 { None } else { conns::of_sock(sk, now) };
    match conn {
        // SAFETY: a non-null pointer into the map; see `conns::of_sock`.
        Some(conn) => ring.received(Some(unsafe { &mut *conn }), done),
        None => ring.received(None, done),
    }
}

/// `sk` is the listener.
#[inline(always)]
fn accepted(sk: Kernel, result: i64, now: u64) {
    if sk != 0 {
        conns::listens(sk);
    }
    // In another task's context the descriptor means something else; the port tells the side then.
    if slots::is_target(bpf_get_current_pid_tgid() as u32) {
        let new = calls::sock_of_fd(result as u64);
        if new != 0 {
            conns::opened(new, now, Side::Server);
        }
    }
}

/// A socket is ready, as a request was to tell.
#[inline(always)]
fn polled(ring: &mut Ring, done: &Done, now: u64) {
    let width = ring.polled(done.counted);
    if done.sk != 0
        && !file::is_listener(done.sk)
        && let Some(conn) = conns::of_sock(done.sk, now - 1)
    {
        // SAFETY: a non-null pointer into the map.
        unsafe { (*conn).ready = Cover { at: now, width: width as u8, ..Cover::NONE } };
    }
}
