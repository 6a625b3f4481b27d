//! The floor: the hooks of `hooks.rs` with programs that do nothing. `cargo xtask bench` attaches them, to tell what it
//! costs that there is a program at all from what the programs of `trace` cost. No part of `trace` loads this object.
#![no_std]
#![no_main]

mod object;

mod hooks {
    use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

    macro_rules! empty {
    ($($tracepoint:ident),+ $(,)?) => {$(
        #[btf_tracepoint]
        pub fn $tracepoint(_ctx: BtfTracePointContext) -> i32 {
            0
        }
    )+};
}

    empty! {
        sched_process_exit,
        sched_process_exec,
        task_newtask,
        sched_waking,
        sched_switch,
        sys_exit,
        io_uring_complete,
        io_uring_task_work_run,
        io_uring_queue_async_work,
        io_uring_poll_arm,
        io_uring_task_add,
        io_uring_submit,
        io_uring_create,
        signal_generate,
        signal_deliver,
        sock_recv_length,
        skb_copy_datagram_iovec,
        sys_enter,
    }
}
