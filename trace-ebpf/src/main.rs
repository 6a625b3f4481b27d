//! The probes: thin adapters from a hook to the state machine of `trace-common`.
//!
//! All of them are `tp_btf` programs. None waits, allocates or streams: a handler looks up the record of its thread,
//! calls one function of the state machine, and returns. Threads of no interest cost one array look-up.
#![no_std]
#![no_main]

mod calls;
mod conns;
mod file;
mod hooks;
mod maps;
mod programs;
mod read;
mod readiness;
mod signals;
mod slots;
mod uring;

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The state machine has no panics; the verifier would refuse an endless loop that can be reached.
    loop {}
}

/// `bpf_probe_read_*` and `bpf_task_pt_regs` are GPL-only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
