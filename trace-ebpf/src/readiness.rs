//! Readiness waits: how wide they are, and which descriptors they returned.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_get_current_task, bpf_loop, bpf_probe_read_user};
use trace_common::{
    call::flag as call_flag,
    conn::{Cover, Epoll},
    event_loop::{self, Timeout},
    kernel::{MISSING, regs},
    loss::{Loss, Sink},
    ready::{Census, Width},
    syscall::{CallClass, FileKind, NR_EPOLL_PWAIT2, NR_POLL},
    thread::Thread,
};

use crate::{
    conns, file,
    kind::{are_known, current_task, direct, saved_registers},
    maps::{EPOLLS, PerCpu},
    read::{Kernel, field, offset},
};

/// Descriptors of one poll or select that are looked at.
const MAX_SCAN: u32 = 1_024;
/// Steps through the tree of an epoll set; a node costs up to two.
const MAX_STEPS: u32 = 64;
/// `POLLIN | POLLRDNORM | POLLPRI | POLLRDHUP`, `include/uapi/asm-generic/poll.h`.
const POLL_READ: u16 = 0x0001 | 0x0040 | 0x0002 | 0x2000;

#[repr(C)]
#[derive(Clone, Copy)]
struct PollFd {
    fd: i32,
    events: u16,
    revents: u16,
}

/// A scan over the descriptors of one wait; lives on the stack of the caller of `bpf_loop`.
#[repr(C)]
struct Scan {
    task: Kernel,
    base: u64,
    word: u64,
    node: Kernel,
    previous: Kernel,
    census: Census,
    cover: Cover,
    left: u64,
    complete: bool,
}

impl Scan {
    #[inline(always)]
    fn new(task: Kernel, base: u64) -> Scan {
        Scan {
            task,
            base,
            word: 0,
            node: 0,
            previous: 0,
            census: Census::EMPTY,
            cover: Cover::NONE,
            left: 0,
            complete: false,
        }
    }

    #[inline(always)]
    fn run(&mut self, steps: u32, callback: unsafe extern "C" fn(u64, *mut c_void) -> i64) {
        let context: *mut Scan = self;
        // SAFETY: the callback has the signature that the helper wants and gets the context that it casts back.
        unsafe { bpf_loop(steps, callback as *mut c_void, context.cast(), 0) };
    }
}

/// `struct eventpoll *` of the readiness call in flight; 0 if it is none.
#[inline(always)]
fn epoll_of(task: Kernel, fd: u64) -> Kernel {
    field(file::file_of_fd(task, fd), offset!(file_private))
}

/// Whether a readiness call with these arguments has no descriptors: it is a timer then.
#[inline(always)]
pub fn has_no_descriptors(task: Kernel, class: CallClass, args: &[u64; 4]) -> bool {
    match class {
        CallClass::Poll => args[1] as u32 == 0,
        CallClass::Select => args[0] as u32 == 0,
        CallClass::Epoll => is_empty(epoll_of(task, args[0])),
        _ => false,
    }
}

/// A readiness call is entered: measures its width when that is due.
///
/// # Safety
/// `t` is null or the record of the current thread.
#[unsafe(no_mangle)]
#[inline(never)]
pub unsafe extern "C" fn wait_entered(t: *mut Thread) -> u32 {
    // SAFETY: see above.
    if let Some(t) = unsafe { t.as_mut() } {
        entered(t);
    }
    0
}

#[inline(always)]
fn entered(t: &mut Thread) {
    let class = t.call.active_class();
    // SAFETY: the helper has no preconditions.
    let task = unsafe { bpf_get_current_task() };
    let args = t.call.args;
    let epoll = matches!(class, CallClass::Epoll);
    let due = t.ready.measure_due(if epoll { [args[0], 0] } else { [args[0], args[1]] });
    if due && epoll {
        t.ready.ep = epoll_of(task, args[0]);
        t.ready.bare = u8::from(is_empty(t.ready.ep));
    }
    let bare = if epoll { t.ready.bare != 0 } else { has_no_descriptors(task, class, &args) };
    if bare {
        t.call.flags |= call_flag::NO_DESCRIPTORS;
        t.ready.width = Width::None as u8;
        return;
    }
    event_loop::wait_entered(t, class, timeout(class, t.call.nr, &args), t.call.entered_at);
    if due {
        t.ready.width = width(task, class, &args) as u8;
    }
}

/// Whether nothing is in an epoll set.
#[inline(always)]
fn is_empty(ep: Kernel) -> bool {
    ep != 0 && offset!(ep_root) != MISSING && field::<u64>(ep, offset!(ep_root)) == 0
}

/// The timeout that the readiness call in flight was given.
#[inline(always)]
fn timeout(class: CallClass, nr: u32, args: &[u64; 4]) -> Timeout {
    let at = match class {
        CallClass::Poll if nr == NR_POLL => return of_milliseconds(args[2]),
        CallClass::Epoll if nr != NR_EPOLL_PWAIT2 => return of_milliseconds(args[3]),
        CallClass::Poll => args[2],
        CallClass::Epoll => args[3],
        _ => {
            // The fifth argument of select. SAFETY: the current task, and its `pt_regs`.
            let saved = unsafe { saved_registers(current_task()) };
            if !are_known(saved) {
                return Timeout::Unknown;
            }
            // SAFETY: as above.
            unsafe { direct::<u64>(saved, regs::R8 as u32) }
        }
    };
    if at == 0 {
        return Timeout::Infinite;
    }
    // Seconds and a fraction, in whichever unit. SAFETY: the helper checks the address.
    match unsafe { bpf_probe_read_user(at as *const [u64; 2]) } {
        Ok([0, 0]) => Timeout::Zero,
        Ok(_) => Timeout::Finite,
        Err(_) => Timeout::Unknown,
    }
}

#[inline(always)]
fn of_milliseconds(timeout: u64) -> Timeout {
    match timeout as i32 {
        0 => Timeout::Zero,
        1.. => Timeout::Finite,
        _ => Timeout::Infinite,
    }
}

#[inline(always)]
fn width(task: Kernel, class: CallClass, args: &[u64; 4]) -> Width {
    let (base, count) = match class {
        CallClass::Poll => (args[0], args[1] as u32),
        CallClass::Select => (args[1], args[0] as u32),
        _ => (0, 0),
    };
    let mut scan = Scan::new(task, base);
    match class {
        CallClass::Poll => scan.run(count.min(MAX_SCAN), count_polled),
        CallClass::Select => scan.run(count.min(MAX_SCAN), count_selected),
        CallClass::Epoll => {
            scan.node = field(epoll_of(task, args[0]), offset!(ep_root));
            scan.run(MAX_STEPS, count_watched);
        }
        _ => return Width::Unknown,
    }
    let complete = if matches!(class, CallClass::Epoll) { scan.complete } else { count <= MAX_SCAN };
    scan.census.width(complete)
}

/// The descriptor that poll asks about at `index`; `None` if it is not one to read from.
#[inline(always)]
fn polled(scan: &Scan, index: u64, returned: bool) -> Option<u64> {
    // SAFETY: the helper checks the address.
    let entry = unsafe { bpf_probe_read_user((scan.base + index * 8) as *const PollFd) };
    let Ok(entry) = entry else {
        PerCpu.lose(Loss::UserFaults);
        return None;
    };
    let wanted = if returned { entry.revents != 0 } else { entry.events & POLL_READ != 0 };
    if entry.fd >= 0 && wanted { Some(entry.fd as u64) } else { None }
}

/// Whether bit `index` of the set that select reads is set.
#[inline(always)]
fn selected(scan: &mut Scan, index: u64) -> bool {
    if index & 63 == 0 {
        // SAFETY: the helper checks the address.
        scan.word = unsafe { bpf_probe_read_user((scan.base + index / 8) as *const u64) }.unwrap_or(0);
    }
    scan.word & (1 << (index & 63)) != 0
}

unsafe extern "C" fn count_polled(index: u64, context: *mut c_void) -> i64 {
    // SAFETY: `Scan::run` passes a `Scan`.
    let scan = unsafe { &mut *context.cast::<Scan>() };
    let Some(fd) = polled(scan, index, false) else { return 0 };
    i64::from(scan.census.add(file::member(file::file_of_fd(scan.task, fd))))
}

unsafe extern "C" fn count_selected(index: u64, context: *mut c_void) -> i64 {
    // SAFETY: `Scan::run` passes a `Scan`.
    let scan = unsafe { &mut *context.cast::<Scan>() };
    if !selected(scan, index) {
        return 0;
    }
    i64::from(scan.census.add(file::member(file::file_of_fd(scan.task, index))))
}

/// One step of a walk through the red-black tree of an epoll set: down to the left, down to the right, or up.
unsafe extern "C" fn count_watched(_index: u64, context: *mut c_void) -> i64 {
    // SAFETY: `Scan::run` passes a `Scan`.
    let scan = unsafe { &mut *context.cast::<Scan>() };
    let node = scan.node;
    if node == 0 {
        scan.complete = true;
        return 1;
    }
    let parent: Kernel = field::<u64>(node, offset!(rb_parent)) & !3;
    let left: Kernel = field(node, offset!(rb_left));
    let right: Kernel = field(node, offset!(rb_right));
    let mut settled = false;
    scan.node = if scan.previous == parent {
        let item = node - u64::from(offset!(epitem_rbn));
        let watched: Kernel = field(item, offset!(epitem_file));
        settled = scan.census.add(file::member(watched));
        first_of(left, right, parent)
    } else if left != 0 && scan.previous == left {
        first_of(right, parent, 0)
    } else {
        parent
    };
    scan.previous = node;
    i64::from(settled)
}

#[inline(always)]
fn first_of(a: Kernel, b: Kernel, c: Kernel) -> Kernel {
    if a != 0 {
        a
    } else if b != 0 {
        b
    } else {
        c
    }
}

/// A readiness call returned descriptors: marks what it covers with `cover`.
#[inline(always)]
pub fn returned(t: &mut Thread, class: CallClass, events: i64, cover: Cover) {
    // SAFETY: the helper has no preconditions.
    let task = unsafe { bpf_get_current_task() };
    let args = t.call.args;
    match class {
        CallClass::Epoll => {
            t.ready.told = cover;
            mark_epoll(t.ready.ep, cover);
        }
        CallClass::Poll => mark(t, Scan::new(task, args[0]), args[1] as u32, mark_polled, events, cover),
        CallClass::Select => mark(t, Scan::new(task, args[1]), args[0] as u32, mark_selected, events, cover),
        _ => {}
    }
}

/// Descriptor `fd` is taken out of epoll set `epfd`, as by loops that hand a ready connection to a pool: who receives from
/// it will not find it in the set, so the set's last event is kept with the connection.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn wait_given_up(epfd: u64, fd: u64, start: u64) -> u32 {
    // SAFETY: the helper has no preconditions.
    let task = unsafe { bpf_get_current_task() };
    let open = file::file_of_fd(task, fd);
    if !matches!(file::kind(open), FileKind::Socket) {
        return 0;
    }
    let sk = file::sock(open);
    if file::is_listener(sk) {
        return 0;
    }
    // SAFETY: a plain read of a map's value.
    let Some(epoll) = (unsafe { EPOLLS.get(epoll_of(task, epfd)) }) else { return 0 };
    let event = epoll.ready;
    if let Some(conn) = conns::of_sock(sk, start) {
        // SAFETY: a non-null pointer into the map.
        let conn = unsafe { &mut *conn };
        conn.set_known = 0;
        conn.ready = conn.ready.later(event);
    }
    0
}

/// Where calls are not traced: a wait of `t`, which is `task`, on an epoll set ended.
#[inline(always)]
pub fn epoll_returned(t: &Thread, task: Kernel, cover: Cover) {
    let known = t.ready.ep != 0 && t.ready.measured_args[0] == t.call.args[0];
    mark_epoll(if known { t.ready.ep } else { epoll_of(task, t.call.args[0]) }, cover);
}

#[inline(always)]
fn mark_epoll(ep: Kernel, cover: Cover) {
    if ep == 0 {
        return;
    }
    if let Some(epoll) = EPOLLS.get_ptr_mut(ep) {
        // SAFETY: a non-null pointer into the map; the last of several writers wins, as it should.
        unsafe { (*epoll).ready = cover };
    } else if EPOLLS.insert(ep, Epoll { ready: cover }, 0).is_err() {
        PerCpu.lose(Loss::MapFull);
    }
}

#[inline(always)]
fn mark(
    t: &mut Thread,
    mut scan: Scan,
    count: u32,
    callback: unsafe extern "C" fn(u64, *mut c_void) -> i64,
    events: i64,
    cover: Cover,
) {
    scan.cover = cover;
    scan.left = events as u64;
    scan.run(count.min(MAX_SCAN), callback);
    if count > MAX_SCAN {
        t.ready.cut_at = cover.at;
        PerCpu.lose(Loss::WideScansCut);
    }
}

unsafe extern "C" fn mark_polled(index: u64, context: *mut c_void) -> i64 {
    // SAFETY: `Scan::run` passes a `Scan`.
    let scan = unsafe { &mut *context.cast::<Scan>() };
    match polled(scan, index, true) {
        Some(fd) => mark_fd(scan, fd),
        None => 0,
    }
}

unsafe extern "C" fn mark_selected(index: u64, context: *mut c_void) -> i64 {
    // SAFETY: `Scan::run` passes a `Scan`.
    let scan = unsafe { &mut *context.cast::<Scan>() };
    if selected(scan, index) { mark_fd(scan, index) } else { 0 }
}

/// Marks one returned descriptor; returns non-zero once all of them are marked.
#[inline(always)]
fn mark_fd(scan: &mut Scan, fd: u64) -> i64 {
    let open = file::file_of_fd(scan.task, fd);
    if matches!(file::kind(open), FileKind::Socket) {
        let sk = file::sock(open);
        if let Some(conn) = conns::of_sock(sk, scan.cover.at - 1) {
            // SAFETY: a non-null pointer into the map.
            unsafe { (*conn).ready = scan.cover };
        }
    }
    scan.left = scan.left.saturating_sub(1);
    i64::from(scan.left == 0)
}
