//! What hooks are in `main.rs`: `tp_btf` programs. The verifier knows the types of their arguments, from the kernel's BTF,
//! so that a field of one is a plain load.

use aya_ebpf::helpers::{bpf_get_current_task_btf, bpf_task_pt_regs};
pub use aya_ebpf::{macros::btf_tracepoint as hook, programs::BtfTracePointContext as Context};

use crate::{maps::STACKS, read::Plain};

/// The `T` at `base + offset`, where `base` is a pointer that the verifier knows by its BTF type: an argument of a hook, or
/// what [`current_task`] and [`saved_registers`] return.
///
/// # Safety
/// `base` must be such a pointer.
#[inline(always)]
pub unsafe fn direct<T: Plain>(base: *const u8, offset: u32) -> T {
    // SAFETY: the verifier checks type and offset of this very load.
    unsafe { core::ptr::read_volatile(base.add(offset as usize).cast::<T>()) }
}

/// The current `task_struct`.
#[inline(always)]
pub fn current_task() -> *const u8 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_task_btf() }.cast()
}

/// The `pt_regs` that a task saved when it entered the kernel.
///
/// # Safety
/// `task` is an argument of a hook or [`current_task`], which the verifier trusts.
#[inline(always)]
pub unsafe fn saved_registers(task: *const u8) -> *const u8 {
    // SAFETY: see above.
    unsafe { bpf_task_pt_regs(task.cast_mut().cast()) as *const u8 }
}

/// The address of saved registers, less that of something that stays where it is: the difference of two pointers is all
/// the arithmetic that the verifier allows with typed ones, and a number to it (`adjust_reg_min_max_vals`,
/// kernel/bpf/verifier.c).
#[inline(always)]
pub fn distance(saved: *const u8) -> u64 {
    (saved as u64).wrapping_sub(STACKS.get() as u64)
}

/// Whether [`saved_registers`] knew where they are.
#[inline(always)]
pub fn are_known(_saved: *const u8) -> bool {
    true
}

/// Whether it is known where saved registers lie: that is the helper's affair.
#[inline(always)]
pub fn are_learned() -> bool {
    true
}
