//! What the probes and user space share: the record layouts, the classes of system calls, and the per-thread
//! state machine itself.
//!
//! The functions here run in two places, unchanged: in the kernel, called by the thin adapters of `trace-ebpf`,
//! and on the host, called by unit tests, property tests, and by user space when it credits what is still in
//! flight at the end of a window. Everything is `no_std`, free of allocation, of panics and of unbounded loops.
//!
//! Times are nanoseconds of `CLOCK_MONOTONIC` (`bpf_ktime_get_ns`), sizes are bytes.
#![no_std]

pub mod account;
pub mod call;
pub mod conn;
pub mod event_loop;
pub mod handover;
pub mod hist;
pub mod inferred;
pub mod kernel;
pub mod ledger;
pub mod loss;
pub mod ready;
pub mod receive;
pub mod signal;
pub mod slot;
pub mod stamps;
pub mod syscall;
pub mod thread;
pub mod timeline;
pub mod turn;
pub mod uring;

/// `i` masked into an array of `N`, a power of two. The compiler, which often knows the range of `i`, must not drop the
/// mask: the verifier does not know that range.
#[inline(always)]
pub(crate) fn bounded<const N: usize>(i: usize) -> usize {
    const { assert!(N.is_power_of_two()) };
    core::hint::black_box(i) & (N - 1)
}
