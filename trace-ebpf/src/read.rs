//! Reading kernel memory at offsets that are known only at load time.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
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

/// A plain value that may be all zeroes.
pub trait Plain: Copy {
    /// All zeroes.
    const ZERO: Self;
}

macro_rules! plain {
    ($($t:ty = $zero:expr),*) => { $(impl Plain for $t { const ZERO: Self = $zero; })* };
}
plain!(u8 = 0, u16 = 0, u32 = 0, u64 = 0, i64 = 0, [u8; 4] = [0; 4], [u8; 16] = [0; 16]);

/// The `T` at `base + offset`; zero if the field is missing, the base null or the memory unreadable.
///
/// There is no branch on the result on purpose: the helper zeroes what it cannot read (`bpf_probe_read_kernel_common`,
/// kernel/trace/bpf_trace.c), and every branch would double the paths that the verifier walks.
#[inline(always)]
pub fn field<T: Plain>(base: Kernel, offset: u32) -> T {
    let mut value = T::ZERO;
    if offset != MISSING {
        // SAFETY: the helper checks the source, and `value` is as long as it says.
        unsafe {
            bpf_probe_read_kernel(
                (&raw mut value).cast(),
                size_of::<T>() as u32,
                (base + u64::from(offset)) as *const core::ffi::c_void,
            );
        }
    }
    value
}
