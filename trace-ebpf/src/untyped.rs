//! What hooks are in `raw.rs`: raw tracepoints, whose arguments are numbers to the verifier, which needs no BTF of the
//! kernel for them. A field of one is read by copying, as all other kernel memory is.

use aya_ebpf::{helpers::bpf_get_current_task, macros::map, maps::Array};
pub use aya_ebpf::{macros::raw_tracepoint as hook, programs::RawTracePointContext as Context};
use trace_common::kernel::MISSING;

use crate::read::{Kernel, Plain, field, offset};

/// How far the registers that a task saved lie above the beginning of its stack; 0 as long as that is not known. It is the
/// same for all tasks: the size of a stack, less what the kernel keeps free at its top, less the registers
/// (`task_pt_regs`, arch/x86/include/asm/processor.h). `bpf_task_pt_regs`, which knows, returns a typed pointer, and so is
/// refused to programs without types.
#[map]
static REGISTERS: Array<u64> = Array::with_max_entries(1, 0);
/// Largest stack, bytes: `THREAD_SIZE` with KASAN (arch/x86/include/asm/page_64_types.h).
const LARGEST_STACK: u64 = 32 << 10;

/// Learns from one system call where saved registers lie. User space attaches this to `sys_enter`, makes a call, and takes
/// it away again.
#[hook]
pub fn registers_lie(ctx: Context) -> i32 {
    let distance = ctx.arg::<u64>(0).wrapping_sub(stack_of(current_task()));
    if distance < LARGEST_STACK
        && let Some(known) = REGISTERS.get_ptr_mut(0)
    {
        // SAFETY: a non-null pointer into the map; whoever writes writes the same.
        unsafe { known.write_volatile(distance) };
    }
    0
}

/// See [`field`].
///
/// # Safety
/// None is needed: what cannot be read is zero. The other kind of program has a precondition.
#[inline(always)]
pub unsafe fn direct<T: Plain>(base: *const u8, offset: u32) -> T {
    field(base as Kernel, offset)
}

/// The current `task_struct`.
#[inline(always)]
pub fn current_task() -> *const u8 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_task() as *const u8 }
}

/// The `pt_regs` that a task saved when it entered the kernel; null where it is not known where they are.
///
/// # Safety
/// None is needed; see [`direct`].
#[inline(always)]
pub unsafe fn saved_registers(task: *const u8) -> *const u8 {
    let (stack, height) = (stack_of(task), height());
    if height == 0 || stack == 0 { core::ptr::null() } else { (stack + height) as *const u8 }
}

/// Saved registers as a number that is another one for each stack.
#[inline(always)]
pub fn distance(saved: *const u8) -> u64 {
    saved as u64
}

/// Whether [`saved_registers`] knew where they are.
#[inline(always)]
pub fn are_known(saved: *const u8) -> bool {
    !saved.is_null()
}

/// Whether it is known where saved registers lie. As long as it is not, what a thread slept in before its first event is not
/// known either.
#[inline(always)]
pub fn are_learned() -> bool {
    height() != 0
}

#[inline(always)]
fn height() -> u64 {
    REGISTERS.get(0).copied().unwrap_or(0)
}

/// The beginning of a task's stack in the kernel; 0 if it has none any more.
#[inline(always)]
fn stack_of(task: *const u8) -> Kernel {
    if offset!(task_stack) == MISSING { 0 } else { field(task as Kernel, offset!(task_stack)) }
}
