//! From a system call to the record of its thread, or to the knowledge that it has none, without asking who the current
//! thread is: the registers that a call saves lie at the top of its thread's kernel stack, and no two threads share one.
//!
//! Every system call of the machine comes here. What is remembered is a word in a table: a part of the stack's address, the
//! epoch of the gate, and the slot, 0 for a thread of no interest. A word is replaced by whoever falls into the same place,
//! and so has to be found out again; it is never wrong:
//! - Within an epoch a living thread becomes one of the target's only by being born ([`remember`] by whoever adopts it,
//!   before it runs): user space registers the others while the gate is shut.
//! - A stack changes hands only when its thread has ended, which forgets it ([`forget`]), or, having been of no interest, has
//!   nothing to be forgotten but that.
//! - A thread's slot changes only by exec, which remembers the new one.

use crate::{
    kind::{are_learned, distance},
    maps::STACKS,
    slots::{self, control},
};

/// Places in the table, 32 KiB of it. Threads that share one and are busy at the same time are found out anew each time.
pub const PLACES: usize = 4_096;
/// Bits of an address within a stack: `THREAD_SIZE` is 16 KiB (arch/x86/include/asm/page_64_types.h), and stacks are as
/// far apart or farther.
const STACK_BITS: u32 = 14;
/// Bits of a slot; [`trace_common::slot::MOST`] is 2^17.
const SLOT_BITS: u32 = 20;
/// Bits of the epoch.
const EPOCH_BITS: u32 = 4;
const _: () = assert!(trace_common::slot::MOST <= 1 << SLOT_BITS);
const _: () = assert!(trace_common::kernel::EPOCHS < 1 << EPOCH_BITS);

/// A stack in an epoch: the word that stands for it, less the slot.
#[derive(Clone, Copy)]
struct Key(u64);

impl Key {
    #[inline(always)]
    fn of(saved: *const u8, epoch: u32) -> Key {
        let stack = distance(saved) >> STACK_BITS;
        Key((stack << EPOCH_BITS | u64::from(epoch)) << SLOT_BITS)
    }

    #[inline(always)]
    fn place(self) -> *mut u64 {
        // Stacks with their guard pages are an even number of sizes apart.
        let i = (self.0 >> (SLOT_BITS + EPOCH_BITS + 1)) as usize & (PLACES - 1);
        // SAFETY: within the table.
        unsafe { STACKS.get().cast::<u64>().add(i) }
    }

    /// The slot that is remembered.
    #[inline(always)]
    fn known(self) -> Option<u32> {
        // SAFETY: an aligned 64-bit load from the table.
        let found = unsafe { self.place().read_volatile() } ^ self.0;
        (found >> SLOT_BITS == 0).then_some(found as u32)
    }

    #[inline(always)]
    fn set(self, slot: u32) {
        // SAFETY: an aligned 64-bit store into the table.
        unsafe { self.place().write_volatile(self.0 | u64::from(slot)) };
    }
}

/// The epoch; 0 where nothing is to be remembered. No word in the table has that one.
#[inline(always)]
fn epoch() -> u32 {
    if are_learned() { control!(epoch) } else { 0 }
}

/// The slot of the current thread, in a call whose registers are at `saved`; 0 if it does not belong to the target.
#[inline(always)]
pub fn slot_of_current(saved: *const u8, current: impl FnOnce() -> u32) -> u32 {
    // Before the table of thread ids: what that says holds for this epoch then.
    let epoch = epoch();
    let key = Key::of(saved, epoch);
    if let Some(slot) = key.known() {
        return slot;
    }
    let slot = slots::slot_of(current());
    if epoch != 0 {
        key.set(slot);
    }
    slot
}

/// A thread whose registers will be at `saved` has got a record, and has not run yet.
#[inline(always)]
pub fn remember(saved: *const u8, slot: u32) {
    let epoch = epoch();
    if epoch != 0 {
        Key::of(saved, epoch).set(slot);
    }
}

/// The thread with its registers at `saved` ends, or gets another record.
#[inline(always)]
pub fn forget(saved: *const u8) {
    let key = Key::of(saved, epoch());
    if key.known().is_some() {
        // SAFETY: as in `set`.
        unsafe { key.place().write_volatile(0) };
    }
}
