//! From a thread to its record.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use trace_common::{
    kernel::{Control, MISSING},
    loss::{Loss, Sink},
    slot,
    thread::Thread,
};

use crate::{
    maps::{FREE_SLOTS, PerCpu, SLOTS, TID_SLOT},
    read::offset,
};

/// The slot of thread `tid`; 0 if it does not belong to the target.
#[inline(always)]
pub fn slot_of(tid: u32) -> u32 {
    TID_SLOT.get(tid).copied().unwrap_or(0)
}

/// The record of thread `tid`, if it belongs to the target.
#[inline(always)]
pub fn thread(tid: u32) -> Option<*mut Thread> {
    match slot_of(tid) {
        0 => None,
        slot => record(slot),
    }
}

/// The record in slot `slot`.
#[inline(always)]
pub fn record(slot: u32) -> Option<*mut Thread> {
    SLOTS.get(slot::chunk(slot))?.get_ptr_mut(slot::place(slot))
}

/// A slot with its record, all zeroes, that nobody else knows; none is a loss.
#[inline(always)]
pub fn fresh() -> Option<(u32, *mut Thread)> {
    let fresh = FREE_SLOTS.pop().ok().flatten().and_then(|slot| Some((slot, record(slot)?)));
    if fresh.is_none() {
        PerCpu.lose(Loss::SlotsExhausted);
    }
    fresh
}

/// Makes the record in `slot` that of thread `tid`, 0 for none; `false`, and a loss, if the id is beyond the table.
#[inline(always)]
pub fn give(tid: u32, slot: u32) -> bool {
    let given = TID_SLOT.set(tid, slot, 0).is_ok();
    if !given {
        PerCpu.lose(Loss::MapFull);
    }
    given
}

/// Makes the record in `slot`, which nobody knows of, that of thread `tid`. The id in the record comes last: user space takes
/// a record for ended whose id is that of another one in the table.
#[inline(always)]
pub fn publish(tid: u32, slot: u32) -> bool {
    let given = give(tid, slot);
    if given {
        rename(slot, tid);
    }
    given
}

/// Sets the id in the record in `slot`, in an event of its thread's own or before it has run.
#[inline(always)]
pub fn rename(slot: u32, tid: u32) {
    if let Some(t) = record(slot) {
        // SAFETY: a non-null pointer into the map.
        unsafe { (&raw mut (*t).tid).write_volatile(tid) };
    }
}

/// Whether thread `tid` belongs to the target.
#[inline(always)]
pub fn is_target(tid: u32) -> bool {
    slot_of(tid) != 0
}

/// One field of [`CONTROL`].
macro_rules! control {
    ($field:ident) => {
        // SAFETY: a load within a global; user space writes whole words.
        unsafe { (&raw const (*$crate::maps::CONTROL.get()).$field).read_volatile() }
    };
}
pub(crate) use control;

/// Where an event stands in the window.
#[derive(Clone, Copy)]
pub struct Moment {
    /// Start of the window.
    pub start: u64,
    /// Time of the event.
    pub now: u64,
}

/// The present moment, if the window is open.
#[inline(always)]
pub fn moment() -> Option<Moment> {
    let start = control!(start);
    if start == 0 {
        return None;
    }
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    Control::is_open(start, control!(end), now).then_some(Moment { start, now })
}

/// Whether the window has ended: who is born then is none of it.
#[inline(always)]
pub fn is_over() -> bool {
    let end = control!(end);
    // SAFETY: the helper has no preconditions.
    end != 0 && unsafe { bpf_ktime_get_ns() } > end
}

/// Whether system calls are not traced (tier `sched`). The verifier knows the answer, and removes what is not needed.
#[inline(always)]
pub fn calls_untraced() -> bool {
    offset!(calls_untraced) != MISSING
}

/// Calls `f` with the record of thread `tid`, if it belongs to the target.
#[inline(always)]
pub fn with_thread(tid: u32, f: impl FnOnce(&mut Thread, Moment)) {
    if let Some(record) = thread(tid) {
        with_record(record, f);
    }
}

/// Calls `f` with a record, inside a write section that readers can see.
#[inline(always)]
pub fn with_record(record: *mut Thread, f: impl FnOnce(&mut Thread, Moment)) {
    let Some(moment) = moment() else { return };
    // SAFETY: the owner part has one writer at a time: the thread's own events and the switches that take it off or
    // put it on a CPU; tracing programs run with preemption off. What breaks this is counted below.
    let t = unsafe { &mut *record };
    let seq = &raw mut t.seq;
    // SAFETY: `seq` points into the record.
    let before = unsafe { seq.read_volatile() };
    if before & 1 != 0 {
        PerCpu.lose(Loss::Nested);
        return;
    }
    // SAFETY: as above; the writes are volatile so that they stay around the section.
    unsafe { seq.write_volatile(before.wrapping_add(1)) };
    f(t, moment);
    // SAFETY: as above.
    unsafe { seq.write_volatile(before.wrapping_add(2)) };
}
