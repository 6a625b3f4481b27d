//! Reading kernel memory at offsets that are known only at load time.

use aya_ebpf::helpers::bpf_probe_read_kernel;
use trace_common::kernel::MISSING;

/// The value of one field of [`crate::maps::OFFSETS`].
macro_rules! offset {
    ($field:ident) => {
        $crate::read::constant(&$crate::maps::OFFSETS.$field)
    };
}
pub(crate) use offset;

/// Loads a word of a read-only global. The load is volatile: the compiler must not fold the initial value, while the
/// verifier sees a constant, since the map behind it is frozen.
#[inline(always)]
pub fn constant(word: &'static u32) -> u32 {
    // SAFETY: a reference is a valid pointer.
    unsafe { core::ptr::read_volatile(word) }
}

/// A pointer into kernel memory that is read by copying, so that a wrong one is an error and no fault.
pub type Kernel = u64;

/// The `T` at `base + offset`; `None` if the field is missing, the base null or the memory unreadable.
#[inline(always)]
pub fn field<T>(base: Kernel, offset: u32) -> Option<T> {
    if offset == MISSING || base == 0 {
        return None;
    }
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel((base + u64::from(offset)) as *const T) }.ok()
}

/// The `T` at `base + offset`, where `base` is a pointer that the verifier knows by its BTF type (an argument of a
/// `tp_btf` program): a plain load, without a helper.
///
/// # Safety
/// `base` must be such a pointer.
#[inline(always)]
pub unsafe fn direct<T>(base: *const u8, offset: u32) -> T {
    // SAFETY: the verifier checks type and offset of this very load.
    unsafe { core::ptr::read_volatile(base.add(offset as usize).cast::<T>()) }
}
