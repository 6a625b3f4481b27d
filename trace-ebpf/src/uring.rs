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
    maps::{CONNS, MULTISHOTS, NEW_RING, PerCpu, REQUESTS, RINGS},
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
        ring.made_at = slots::moment().map_or(0, |at| at.now);
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
        poll_submitted(ring, ctx, req, flags);
    } else if has(flags, offset!(multishot_bit)) || offset!(multishot_bit) == MISSING {
        let open: Kernel = field(req, offset!(kiocb_file));
        note_multishot(ctx, req, open, Multishot { opcode, ..UNKNOWN });
    }
    0
}

/// A request of which nothing is known yet.
const UNKNOWN: Multishot = Multishot { sk: 0, opcode: 0, armed: 0, marks: 0, reserved: [0; 5] };

/// Whether a readiness request is a multishot one is not in its flags: all are kept as if they were.
#[inline(always)]
fn poll_submitted(ring: &mut Ring, ctx: Kernel, req: Kernel, flags: u32) {
    if has(flags, offset!(fixed_file_bit)) {
        return;
    }
    let fd: u32 = field(req, offset!(kiocb_fd));
    let watched = file::file_of_fd(calls::current(), u64::from(fd));
    let marks = poll_waits(ring, req, watched);
    note_multishot(ctx, req, watched, Multishot { opcode: OP_POLL_ADD, marks: marks as u8, ..UNKNOWN });
}

/// A readiness request waits for `watched`: counts it, unless that is a wake-up; returns its [`mark`]s.
#[inline(always)]
fn poll_waits(ring: &mut Ring, req: Kernel, watched: Kernel) -> u32 {
    let member = file::member(watched);
    if matches!(member, Member::Wakeup) {
        return 0;
    }
    let on_listener = matches!(member, Member::Listener);
    let marks = mark::POLL | if on_listener { mark::LISTENER } else { 0 };
    if REQUESTS.insert(req, marks, 0).is_err() {
        PerCpu.lose(Loss::MapFull);
        return 0;
    }
    ring.poll_begun(on_listener);
    marks
}

/// Keeps what the completions of a multishot request on file `open` will not name.
#[inline(always)]
fn note_multishot(ctx: Kernel, req: Kernel, open: Kernel, request: Multishot) {
    let key = RequestKey { ctx, user_data: field(req, offset!(kiocb_user_data)) };
    let sk = if file::kind(open) as u8 == FileKind::Socket as u8 { file::sock(open) } else { 0 };
    let request = Multishot { sk, ..request };
    if MULTISHOTS.insert(key, request, 0).is_err() {
        PerCpu.lose(Loss::MapFull);
    }
}

/// The kernel waits for readiness on behalf of a request, or a wait of that kind has ended: its file is known by now.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn request_armed(req: Kernel) -> u32 {
    let flags: u32 = field(req, offset!(kiocb_flags));
    let opcode: u8 = field(req, offset!(kiocb_opcode));
    if !has(flags, offset!(multishot_bit)) && opcode != OP_POLL_ADD {
        return 0;
    }
    let ctx: Kernel = field(req, offset!(kiocb_ctx));
    let Some(ring) = ring_of(ctx, req) else { return 0 };
    // SAFETY: as in `request_submitted`.
    let ring = unsafe { &mut *ring };
    let open: Kernel = field(req, offset!(kiocb_file));
    // SAFETY: a plain read of a map's value.
    let mut marks = unsafe { REQUESTS.get(req) }.copied().unwrap_or(0);
    if opcode == OP_POLL_ADD && marks & mark::POLL == 0 {
        marks = poll_waits(ring, req, open); // older than the trace
    }
    note_multishot(ctx, req, open, Multishot { opcode, armed: 1, marks: marks as u8, ..UNKNOWN });
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
    /// Its [`mark`]s.
    marks: u32,
}

impl Done {
    /// Whether it was counted among the readiness requests that wait.
    #[inline(always)]
    fn is_counted(&self) -> bool {
        self.marks & mark::POLL != 0
    }

    #[inline(always)]
    fn is_on_listener(&self) -> bool {
        self.marks & mark::LISTENER != 0
    }
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
    let at = slots::moment();
    if let Some(at) = at {
        // SAFETY: `ring` is a record of the map.
        unsafe { account(ring, done.op as u32 | (done.way as u32) << 8, done.sk, result, at.now) };
        // What is cancelled was not ready.
        if matches!(done.op, Op::Poll) && result >= 0 {
            polled(ring, &done, at.now);
        }
    }
    if done.is_counted() && flags & CQE_MORE == 0 {
        ring.poll_ended(done.is_on_listener());
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
    let opcode: u8 = field(req, offset!(kiocb_opcode));
    if has(flags, offset!(multishot_bit)) || opcode == OP_POLL_ADD {
        _ = MULTISHOTS.remove(key);
    }
}

#[inline(always)]
fn of_multishot(key: &RequestKey) -> Done {
    // SAFETY: a plain read of a map's value.
    let Some(request) = (unsafe { MULTISHOTS.get(key) }) else {
        PerCpu.lose(Loss::CompletedUnmatched);
        return Done { op: Op::Other, sk: 0, way: Way::Inline, marks: 0 };
    };
    let kind = if request.sk == 0 { FileKind::Unknown } else { FileKind::Socket };
    Done {
        op: op_of(request.opcode, kind),
        sk: request.sk,
        way: if request.armed != 0 { Way::Armed } else { Way::Inline },
        marks: u32::from(request.marks),
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
    Done { op: op_of(opcode, kind), sk, way, marks }
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
        3 => {
            ring.sent(result);
            if result > 0
                && let Some(conn) = CONNS.get_ptr_mut(sk)
            {
                // SAFETY: a non-null pointer into the map; see `conns::of_sock`.
                unsafe { (*conn).sent(now, now) };
            }
        }
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
        Some(conn) => ring.received(Some(unsafe { &mut *conn }), done, &mut PerCpu),
        None => ring.received(None, done, &mut PerCpu),
    }
}

/// `sk` is the listener.
#[inline(always)]
fn accepted(sk: Kernel, result: i64, now: u64) {
    if sk == 0 {
        return;
    }
    conns::listens(sk);
    // In another task's context the descriptor means something else, and of a direct accept it is an index: only a socket
    // on the listener's port is the accepted one. Of others the port tells the side.
    if slots::is_target(bpf_get_current_pid_tgid() as u32) {
        let new = calls::sock_of_fd(result as u64);
        let port: u16 = field(new, offset!(sk_num));
        let listening: u16 = field(sk, offset!(sk_num));
        if new != 0 && port == listening && !file::is_listener(new) {
            conns::opened(new, now, Side::Server, None);
        }
    }
}

/// A socket is ready, as a request was to tell.
#[inline(always)]
fn polled(ring: &mut Ring, done: &Done, now: u64) {
    let width = ring.polled(done.is_counted(), done.is_on_listener());
    if done.sk != 0
        && !file::is_listener(done.sk)
        && let Some(conn) = conns::of_sock(done.sk, now - 1)
    {
        // SAFETY: a non-null pointer into the map.
        unsafe { (*conn).ready = Cover { at: now, width: width as u8, ..Cover::NONE } };
    }
}
