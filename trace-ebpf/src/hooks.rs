//! The hooks: every program, and what it reads of its arguments.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid},
};
use trace_common::{
    account::{Account, SleepFacts, sleep_account, state},
    call::{Call, flag as call_flag, is_restart},
    inferred,
    kernel::{MISSING, regs},
    ledger::{self, Ended, Off, Registers, Seed, Stamps},
    loss::{Loss, Sink},
    syscall::{CallClass, EPOLL_CTL_DEL, FileKind, NR_EPOLL_CTL, X32_BIT, class_from_u8, class_of},
    thread::{Mode, Sched, Thread, flag},
};

use crate::{
    calls, file,
    kind::{Context, are_known, are_learned, current_task, direct, hook, saved_registers},
    maps::PerCpu,
    programs,
    read::{Kernel, field, offset},
    readiness, signals,
    slots::{self, Moment, calls_untraced, control, with_thread},
    stacks, uring,
};

/// `CLONE_THREAD`.
const CLONE_THREAD: u64 = 0x0001_0000;
/// `PF_IO_WORKER | PF_USER_WORKER`, `include/linux/sched.h`.
const PF_KERNEL_IO: u32 = 0x0010 | 0x4000;
/// `TS_COMPAT`, `arch/x86/include/asm/thread_info.h`.
const TS_COMPAT: u32 = 0x0002;
/// `1 << TIF_SIGPENDING`, `arch/x86/include/asm/thread_info.h`.
const TIF_SIGPENDING: u64 = 1 << 2;

#[inline(always)]
fn current_tid() -> u32 {
    bpf_get_current_pid_tgid() as u32
}

/// The registers of a system call, from the `pt_regs` argument of `sys_enter` and `sys_exit`.
#[inline(always)]
fn registers(pt_regs: *const u8, nr: u32) -> Registers {
    // SAFETY: the first argument of both hooks is a `struct pt_regs *` that the verifier knows.
    let word = |at: usize| unsafe { direct::<u64>(pt_regs, at as u32) };
    Registers { nr, args: [word(regs::DI), word(regs::SI), word(regs::DX), word(regs::R10)] }
}

#[inline(always)]
fn is_compat(saved: *const u8, nr: u64) -> bool {
    // SAFETY: as in `registers`.
    let word = |at: usize| unsafe { direct::<u64>(saved, at as u32) };
    // `syscall` leaves its return address in rcx, and no 32-bit entry does (arch/x86/entry/entry_64.S). With FRED it may
    // not either; then the task knows.
    let native = word(regs::CX) == word(regs::IP);
    let status = offset!(task_status);
    // SAFETY: the verifier knows the current task.
    let compat =
        !native && status != MISSING && unsafe { direct::<u32>(current_task(), status) } & TS_COMPAT != 0;
    compat || nr & X32_BIT != 0
}

/// [`with_thread`] of the current thread, in a call whose registers are at `saved`.
#[inline(always)]
fn with_caller(saved: *const u8, f: impl FnOnce(&mut Thread, Moment)) {
    let slot = stacks::slot_of_current(saved, current_tid);
    if slot != 0
        && let Some(record) = slots::record(slot)
    {
        slots::with_record(record, f);
    }
}

/// A system call begins.
#[hook]
pub fn sys_enter(ctx: Context) -> i32 {
    let saved: *const u8 = ctx.arg(0);
    with_caller(saved, |t, at| {
        arrived(t, at, Before::Unknown);
        let nr: u64 = ctx.arg(1);
        let mut call = registers(saved, nr as u32);
        if is_compat(saved, nr) {
            PerCpu.lose(Loss::CompatCalls);
            t.flags |= flag::COMPAT;
            call.nr = u32::MAX; // of no class: the number means another call
        }
        if !ledger::enter(t, at.start, at.now, call, &mut PerCpu) {
            return;
        }
        let class = class_from_u8(t.call.class);
        if call.nr == NR_EPOLL_CTL && call.args[1] == EPOLL_CTL_DEL {
            t.looping.handed_on += 1;
            readiness::wait_given_up(call.args[0], call.args[2], at.start);
        } else if class.is_ready() {
            // SAFETY: the record of the current thread.
            unsafe { readiness::wait_entered(t) };
        } else if control!(log_calls) != 0 && class.may_receive() {
            t.mark = t.ledger;
        }
    });
    0
}

/// A system call ends.
#[hook]
pub fn sys_exit(ctx: Context) -> i32 {
    let saved: *const u8 = ctx.arg(0);
    with_caller(saved, |t, at| {
        let ret: i64 = ctx.arg(1);
        arrived(t, at, Before::InCall);
        let call = if t.sched == Sched::Unseen as u8 {
            // SAFETY: as in `registers`.
            let nr = unsafe { direct::<u64>(saved, regs::ORIG_AX as u32) };
            registers(saved, nr as u32)
        } else {
            Registers::NONE
        };
        if let Ended::Call(class) = ledger::exit(t, at.start, at.now, call, ret, &mut PerCpu) {
            calls::ended(t, class, ret, at.now);
        } else {
            calls::interrupted(t);
        }
        ledger::leave(t);
    });
    0
}

/// One attempt of a receive on a socket: the socket, the result, and the *effective* flags (6.3 and later).
#[hook]
pub fn sock_recv_length(ctx: Context) -> i32 {
    let tid = current_tid();
    if !calls_untraced()
        && let Some(t) = slots::thread(tid)
    {
        // SAFETY: a non-null pointer into the map; reads of the owner part by the owner.
        let (mode, class) = unsafe { ((*t).mode, (*t).call.active_class()) };
        if class.may_receive() {
            // SAFETY: as above. What it says of the call needs no time, and is used at its end only.
            note_attempt(unsafe { &mut (*t).call }, &ctx);
            return 0;
        }
        if mode != Mode::Copy as u8 {
            return 0;
        }
    }
    with_thread(tid, |t, at| {
        if calls_untraced() {
            arrived(t, at, Before::InCall);
            let logged = control!(log_calls) != 0;
            ledger::in_call(t, at.start, at.now, current_registers(), logged, &mut PerCpu);
        }
        if !t.call.active_class().may_receive() {
            ledger::ring_copied(t, at.now, &mut PerCpu);
            return;
        }
        note_attempt(&mut t.call, &ctx);
        let ret: i32 = ctx.arg(1);
        if calls_untraced() && !is_restart(i64::from(ret)) {
            calls::ended(t, t.call.active_class(), i64::from(ret), at.now);
            ledger::leave(t);
        }
    });
    0
}

/// Notes what one attempt says of the receive in flight.
#[inline(always)]
fn note_attempt(call: &mut Call, ctx: &Context) {
    if control!(by_descriptor) != 0 {
        return;
    }
    let sk: *const u8 = ctx.arg(0);
    let ret: i32 = ctx.arg(1);
    let flags: i32 = ctx.arg(2);
    call.sk = sk as u64;
    // SAFETY: the first argument is a `struct sock *` that the verifier knows.
    call.port = unsafe { direct::<u16>(sk, offset!(sk_dport)) };
    call.msg_flags = flags as u32;
    call.flags |= call_flag::RECEIVED;
    if ret > 0 {
        call.bytes += ret as u64;
    }
}

/// Bytes are copied out of a packet.
#[hook]
pub fn skb_copy_datagram_iovec(_ctx: Context) -> i32 {
    let tid = current_tid();
    if let Some(t) = slots::thread(tid) {
        // SAFETY: a non-null pointer into the map; a read of the owner part by the owner.
        if unsafe { (*t).mode } == Mode::Copy as u8 {
            return 0;
        }
    }
    with_thread(tid, |t, at| {
        arrived(t, at, Before::InCall);
        let call = if t.sched == Sched::Unseen as u8 { current_registers() } else { Registers::NONE };
        ledger::first_byte(t, at.start, at.now, call, &mut PerCpu);
    });
    0
}

/// The saved registers of the current task.
#[inline(always)]
fn current_registers() -> Registers {
    // SAFETY: the current task, and its `pt_regs`.
    let saved = unsafe { saved_registers(current_task()) };
    if !are_known(saved) {
        return Registers::NONE;
    }
    // SAFETY: as above.
    let nr = unsafe { direct::<u64>(saved, regs::ORIG_AX as u32) };
    registers(saved, nr as u32)
}

/// A CPU turns from one thread to another.
#[hook]
pub fn sched_switch(ctx: Context) -> i32 {
    let prev: *const u8 = ctx.arg(1);
    // SAFETY: arguments 1 and 2 are `struct task_struct *`.
    let tid = unsafe { direct::<u32>(prev, offset!(task_pid)) };
    with_thread(tid, |t, at| {
        let preempt: u64 = ctx.arg(0);
        let prev_state: u64 = ctx.arg(3);
        let seed = if is_new(t) { saved_call(ctx.arg(1)) } else { Registers::NONE };
        let untold = is_new(t) && !are_learned();
        let stamps = stamps(prev);
        arrived(t, at, Before::Saved);
        if calls_untraced() && !is_new(t) && t.flags & flag::KERNEL_IO == 0 {
            let asleep = preempt & 1 == 0 && prev_state != 0;
            inferred::shown(t, saved_call(ctx.arg(1)), at.now, control!(log_calls) != 0);
            if asleep && t.call.active_class().is_ready() {
                // SAFETY: the record of the current thread.
                unsafe { readiness::wait_entered(t) };
            }
        }
        let off = match preempt & 1 {
            0 => match left(t, prev, prev_state as u32, seed) {
                Off::Asleep(_) if untold => Off::Asleep(Account::Unknown),
                off => off,
            },
            _ => Off::Preempted,
        };
        ledger::switch_out(t, at.start, at.now, off, seed, stamps, &mut PerCpu);
    });
    let next: *const u8 = ctx.arg(2);
    // SAFETY: as above.
    let tid = unsafe { direct::<u32>(next, offset!(task_pid)) };
    with_thread(tid, |t, at| {
        let seed = if is_new(t) { seed_of(ctx.arg(2), scalar(&ctx, 2)) } else { Seed::NONE };
        let queued_at = stamps(next).woken_at(t, control!(rq_offset));
        let asleep = t.sched == Sched::Asleep as u8;
        ledger::switch_in(t, at.start, at.now, seed, queued_at, &mut PerCpu);
        if calls_untraced() && asleep {
            // SAFETY: the record of the thread that this event puts on a CPU.
            unsafe { calls::woke(t, scalar(&ctx, 2), at.now) };
        }
    });
    0
}

/// Whether the saved registers of a thread tell where it has been: nothing was seen of it yet, and it is no kernel worker,
/// which is in no call whatever its registers say.
#[inline(always)]
fn is_new(t: &Thread) -> bool {
    t.sched == Sched::Unseen as u8 && t.flags & flag::KERNEL_IO == 0
}

/// The system call that the saved registers of a task show; `None` if it is in none.
#[inline(always)]
fn saved_call(task: *const u8) -> Registers {
    // SAFETY: `task` is an argument of the hook, which the verifier trusts.
    let saved = unsafe { saved_registers(task) };
    if !are_known(saved) {
        return Registers::NONE;
    }
    // SAFETY: a `pt_regs` that the verifier knows.
    let nr = unsafe { direct::<i64>(saved, regs::ORIG_AX as u32) };
    if nr < 0 { Registers::NONE } else { registers(saved, nr as u32) }
}

/// The scheduler's own stamps of a task that is an argument of a hook, or the current one.
#[inline(always)]
fn stamps(task: *const u8) -> Stamps {
    if offset!(task_last_arrival) == MISSING {
        return Stamps::default();
    }
    // SAFETY: the verifier knows the task.
    let stamp = |at: u32| unsafe { direct::<u64>(task, at) };
    Stamps {
        last_arrival: stamp(offset!(task_last_arrival)),
        last_queued: stamp(offset!(task_last_queued)),
        run_delay: stamp(offset!(task_run_delay)),
    }
}

/// Where the current thread was before an event of its own, should that be the first one seen of it.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Before {
    /// Not known: it begins a call, or ends.
    Unknown = 0,
    /// In the system call that its registers show.
    InCall = 1,
    /// In the system call that its registers show, if they show one.
    Saved = 2,
}

/// An event of the current thread's own: it must be on a CPU, so if it was not seen to get there, that was not traced.
#[inline(always)]
fn arrived(t: &mut Thread, at: Moment, before: Before) {
    if t.sched != Sched::Running as u8 {
        // SAFETY: the record of the current thread.
        unsafe { thread_recover(t, at.now, before as u32) };
    }
}

/// See [`ledger::arrive_unseen`].
///
/// # Safety
/// `t` is null or the record of the current thread.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn thread_recover(t: *mut Thread, now: u64, before: u32) -> u32 {
    // SAFETY: see above.
    let Some(t) = (unsafe { t.as_mut() }) else { return 0 };
    let task = current_task();
    let call = match before {
        1 => current_registers(),
        2 => saved_call(task),
        _ => Registers::NONE,
    };
    let seed = if is_new(t) { seed_in(calls::current(), call) } else { Seed::NONE };
    ledger::arrive_unseen(t, control!(start), now, stamps(task), control!(rq_offset), seed, &mut PerCpu);
    0
}

/// Where a thread has been of which nothing was seen before it got onto a CPU.
#[inline(always)]
fn seed_of(task: *const u8, address: Kernel) -> Seed {
    seed_in(address, saved_call(task))
}

/// Argument `n` of a hook as a plain number: the verifier knows the argument itself to be a pointer, and a function that
/// it verifies by itself takes numbers only.
#[inline(always)]
fn scalar(ctx: &Context, n: u32) -> Kernel {
    field(ctx.as_ptr() as u64, n * 8)
}

#[inline(always)]
fn seed_in(task: Kernel, call: Registers) -> Seed {
    if !call.is_call() {
        let account = if are_learned() { Seed::NONE.account } else { Account::Unknown };
        return Seed { account, ..Seed::NONE };
    }
    let class = class_of(call.nr);
    let facts = SleepFacts {
        class,
        kind: kind_of(task, class, call.args[0]),
        state: state::INTERRUPTIBLE,
        iowait: false,
        no_descriptors: readiness::has_no_descriptors(task, class, &call.args),
    };
    Seed { call, account: sleep_account(facts) }
}

#[inline(always)]
fn kind_of(task: Kernel, class: CallClass, fd: u64) -> FileKind {
    if matches!(class, CallClass::Read | CallClass::Write | CallClass::Splice) {
        file::kind(file::file_of_fd(task, fd))
    } else {
        FileKind::Unknown
    }
}

/// [`kind_of`], where the verifier knows the task.
#[inline(always)]
fn kind_behind(task: *const u8, class: CallClass, fd: u64) -> FileKind {
    if matches!(class, CallClass::Read | CallClass::Write | CallClass::Splice) {
        // SAFETY: an argument of the hook.
        file::kind(unsafe { file::behind(task, fd) })
    } else {
        FileKind::Unknown
    }
}

/// How a thread left its CPU without being pushed off.
#[inline(always)]
fn left(t: &mut Thread, prev: *const u8, prev_state: u32, seed: Registers) -> Off {
    if prev_state == 0 || signal_keeps_running(prev, prev_state) {
        return Off::Preempted;
    }
    let (class, fd, no_descriptors) = if seed.is_call() {
        (class_of(seed.nr), seed.args[0], false)
    } else {
        (t.call.active_class(), t.call.args[0], t.call.has(call_flag::NO_DESCRIPTORS))
    };
    // SAFETY: `prev` is an argument of the hook.
    let iowait = unsafe { direct::<u8>(prev, offset!(task_iowait)) };
    Off::Asleep(sleep_account(SleepFacts {
        class,
        kind: kind_behind(prev, class, fd),
        state: prev_state,
        iowait: iowait >> (offset!(iowait_bit) & 7) & 1 != 0,
        no_descriptors,
    }))
}

/// `signal_pending_state()` of `include/linux/sched/signal.h`: a thread about to sleep that has a signal pending is kept
/// on the run queue. Kernels before 6.14 pass the state it wanted to this hook all the same (`kernel/sched/core.c`).
#[inline(always)]
fn signal_keeps_running(prev: *const u8, prev_state: u32) -> bool {
    if prev_state & state::INTERRUPTIBLE == 0 {
        return false;
    }
    // SAFETY: `prev` is an argument of the hook.
    let flags = unsafe { direct::<u64>(prev, offset!(task_tif)) };
    flags & TIF_SIGPENDING != 0
}

/// Somebody wakes a thread: all that is written is its mailbox.
#[hook]
pub fn sched_waking(ctx: Context) -> i32 {
    let task: *const u8 = ctx.arg(0);
    // SAFETY: the argument is a `struct task_struct *`.
    let tid = unsafe { direct::<u32>(task, offset!(task_pid)) };
    let Some(t) = slots::thread(tid) else { return 0 };
    let Some(at) = slots::moment() else { return 0 };
    // SAFETY: an aligned 64-bit store into the record's mailbox.
    unsafe { (&raw mut (*t).woken_at).write_volatile(at.now) };
    0
}

/// A thread or process is born; this also sees io-wq and SQPOLL threads, which `sched_process_fork` does not.
#[hook]
pub fn task_newtask(ctx: Context) -> i32 {
    let Some(maker) = slots::thread(current_tid()) else { return 0 };
    let clone_flags: u64 = ctx.arg(1);
    let joins = clone_flags & CLONE_THREAD != 0;
    if !joins && control!(follow) == 0 || slots::is_over() {
        return 0;
    }
    let task: *const u8 = ctx.arg(0);
    // SAFETY: the first argument is a `struct task_struct *`.
    let (tid, tgid, flags) = unsafe {
        (
            direct::<u32>(task, offset!(task_pid)),
            direct::<u32>(task, offset!(task_tgid)),
            direct::<u32>(task, offset!(task_flags)),
        )
    };
    let Some((slot, t)) = slots::fresh() else { return 0 };
    // SAFETY: a new record that nobody else knows; that of the current thread, in an event of its own.
    let (t, maker) = unsafe { (&mut *t, &mut *maker) };
    programs::born(t, tgid, flags & PF_KERNEL_IO != 0, joins.then_some(maker));
    if slots::publish(tid, slot) {
        // SAFETY: the verifier trusts the argument.
        stacks::remember(unsafe { saved_registers(task) }, slot);
    }
    0
}

/// A program is executed. Mostly it gets a record of its own; exec from another thread than the first takes over the id
/// of the process.
#[hook]
pub fn sched_process_exec(ctx: Context) -> i32 {
    let old: u32 = ctx.arg(1);
    let task: *const u8 = ctx.arg(0);
    // SAFETY: the first argument is a `struct task_struct *`.
    let new = unsafe { direct::<u32>(task, offset!(task_pid)) };
    let slot = slots::slot_of(old);
    if slot == 0 || old != new && !slots::give(new, slot) {
        return 0;
    }
    let mut fresh = 0;
    with_thread(new, |t, at| {
        arrived(t, at, Before::Saved);
        // SAFETY: the record of the current thread.
        fresh = unsafe { programs::executed(t, at.now) };
    });
    if fresh != 0 {
        slots::publish(new, fresh);
        // SAFETY: the verifier trusts the current task.
        stacks::remember(unsafe { saved_registers(current_task()) }, fresh);
    } else if old != new {
        slots::rename(slot, new);
    }
    // Last, so that each record is always somebody's.
    if old != new {
        slots::give(old, 0);
    }
    0
}

/// A thread ends.
#[hook]
pub fn sched_process_exit(_ctx: Context) -> i32 {
    let tid = current_tid();
    with_thread(tid, |t, at| {
        arrived(t, at, Before::Unknown);
        ledger::die(t, at.start, at.now, &mut PerCpu);
        t.comm = bpf_get_current_comm().unwrap_or_default();
    });
    // SAFETY: the verifier trusts the current task.
    stacks::forget(unsafe { saved_registers(current_task()) });
    if slots::is_target(tid) {
        slots::give(tid, 0);
    }
    0
}

/// A signal is generated, in the context of whoever sends it.
#[hook]
pub fn signal_generate(ctx: Context) -> i32 {
    let sig: i32 = ctx.arg(0);
    let task: *const u8 = ctx.arg(2);
    // SAFETY: the argument is a `struct task_struct *`.
    let tgid = unsafe { direct::<u32>(task, offset!(task_tgid)) };
    signals::generated(tgid, sig, scalar(&ctx, 1));
    0
}

/// A signal is delivered to a handler of the current thread.
#[hook]
pub fn signal_deliver(ctx: Context) -> i32 {
    with_thread(current_tid(), |t, at| {
        arrived(t, at, Before::Unknown);
        signals::delivered(t, ctx.arg(0), scalar(&ctx, 1), at.now);
    });
    0
}

/// A ring is made.
#[hook]
pub fn io_uring_create(ctx: Context) -> i32 {
    uring::ring_made(scalar(&ctx, 1), ctx.arg(4));
    0
}

/// A request is submitted: `io_uring_submit_req`, before 6.4 `io_uring_submit_sqe`.
#[hook]
pub fn io_uring_submit(ctx: Context) -> i32 {
    uring::request_submitted(scalar(&ctx, 0));
    0
}

/// The kernel begins to wait for readiness on behalf of a request.
#[hook]
pub fn io_uring_poll_arm(ctx: Context) -> i32 {
    uring::request_armed(scalar(&ctx, 0));
    0
}

/// Task work is added, as when such a wait ends: so multishot requests older than the trace become known.
#[hook]
pub fn io_uring_task_add(ctx: Context) -> i32 {
    uring::request_armed(scalar(&ctx, 0));
    0
}

/// A request is handed to io-wq.
#[hook]
pub fn io_uring_queue_async_work(ctx: Context) -> i32 {
    uring::request_queued(scalar(&ctx, 0));
    0
}

/// A completion is posted, in the context of whoever finished the request.
#[hook]
pub fn io_uring_complete(ctx: Context) -> i32 {
    // Where no event says that a receive has copied, its completion does.
    with_thread(current_tid(), |t, at| ledger::ring_copied(t, at.now, &mut PerCpu));
    let (ring, req) = (scalar(&ctx, 0), scalar(&ctx, 1));
    if offset!(complete_by_cqe) == MISSING {
        uring::request_completed(ring, req, ctx.arg(2), ctx.arg(3), ctx.arg(4));
    } else {
        // `struct io_uring_cqe` is ABI: user_data, res, flags.
        let cqe = scalar(&ctx, 2);
        uring::request_completed(ring, req, field(cqe, 0), field::<u32>(cqe, 8) as i32, field(cqe, 12));
    }
    0
}

/// Task work has been done. A spinning SQPOLL thread says so millions of times a second, with a count of 0.
#[hook]
pub fn io_uring_task_work_run(ctx: Context) -> i32 {
    let count: u32 = ctx.arg(1);
    if count == 0 || calls_untraced() {
        return 0;
    }
    with_thread(current_tid(), |t, at| ledger::work_done(t, at.now, &mut PerCpu));
    0
}
