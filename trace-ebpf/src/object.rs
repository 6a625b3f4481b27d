//! What every object has beside its programs.

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
