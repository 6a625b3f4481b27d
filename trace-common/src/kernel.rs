//! What user space tells the probes: the window, the switches, and where the kernel keeps its fields.

/// The offset of a field that this kernel does not have; the branch that needs it is pruned by the verifier.
pub const MISSING: u32 = u32::MAX;

macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident = $path:literal,)*) => {
        /// Byte offsets of kernel fields, resolved by user space from `/sys/kernel/btf/vmlinux` and passed as one
        /// read-only global: there is no CO-RE in Rust.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(C)]
        pub struct Offsets { $($(#[$doc])* pub $name: u32,)* }

        impl Offsets {
            /// No field resolved.
            pub const UNSET: Offsets = Offsets { $($name: MISSING,)* };

            /// Name, `struct:path` in BTF, and value of each field, in declaration order.
            pub fn fields(&mut self) -> [(&'static str, &'static str, &mut u32); FIELDS] {
                [$((stringify!($name), $path, &mut self.$name),)*]
            }

            /// The offsets as plain words, in declaration order.
            pub fn words(&self) -> [u32; FIELDS] {
                [$(self.$name,)*]
            }
        }

        /// Number of fields in [`Offsets`].
        pub const FIELDS: usize = [$($path,)*].len();
    };
}

offsets! {
    /// Thread id in the initial PID namespace.
    task_pid = "task_struct:pid",
    /// Process id in the initial PID namespace.
    task_tgid = "task_struct:tgid",
    /// `TIF_*` flags.
    task_tif = "task_struct:thread_info.flags",
    /// `TS_*` status, with `TS_COMPAT`.
    task_status = "task_struct:thread_info.status",
    /// `PF_*` flags.
    task_flags = "task_struct:flags",
    /// The bit `in_iowait`: byte offset; the bit is in [`Offsets::iowait_bit`].
    task_iowait = "task_struct:in_iowait",
    /// Bit number of `in_iowait` within that byte.
    iowait_bit = "",
    /// When it last got onto a CPU, in the scheduler's clock.
    task_last_arrival = "task_struct:sched_info.last_arrival",
    /// When it was last put on a run queue, in the scheduler's clock; 0 once it runs.
    task_last_queued = "task_struct:sched_info.last_queued",
    /// Time it has waited on run queues.
    task_run_delay = "task_struct:sched_info.run_delay",
    /// Beginning of its stack in the kernel.
    task_stack = "task_struct:stack",
    /// Table of open files.
    task_files = "task_struct:files",
    /// Its `fdtable`.
    files_fdt = "files_struct:fdt",
    /// Array of `struct file *`.
    fdt_fd = "fdtable:fd",
    /// Its length.
    fdt_max_fds = "fdtable:max_fds",
    /// Inode of an open file.
    file_inode = "file:f_inode",
    /// Private data: the socket, the epoll instance.
    file_private = "file:private_data",
    /// `O_*` flags of the open file.
    file_flags = "file:f_flags",
    /// Dentry of an open file; `f_path` sits in an anonymous union since 6.17.
    file_dentry = "file:f_path.dentry",
    /// Head of the epoll items that watch this file; non-null while it is in any set.
    file_ep = "file:f_ep",
    /// Name of a dentry.
    dentry_name = "dentry:d_name.name",
    /// Type and permissions.
    inode_mode = "inode:i_mode",
    /// Its pipe, if it is one.
    inode_pipe = "inode:i_pipe",
    /// Buffers of a pipe that were read.
    pipe_tail = "pipe_inode_info:tail",
    /// Super block.
    inode_sb = "inode:i_sb",
    /// Magic number of a file system.
    sb_magic = "super_block:s_magic",
    /// Device number of a device file.
    inode_rdev = "inode:i_rdev",
    /// `struct sock` of a socket.
    socket_sk = "socket:sk",
    /// Open file of a socket.
    socket_file = "socket:file",
    /// Address family.
    sk_family = "sock:__sk_common.skc_family",
    /// TCP or unix state.
    sk_state = "sock:__sk_common.skc_state",
    /// Local port, host order.
    sk_num = "sock:__sk_common.skc_num",
    /// Remote port, network order.
    sk_dport = "sock:__sk_common.skc_dport",
    /// Remote IPv4 address.
    sk_daddr = "sock:__sk_common.skc_daddr",
    /// Remote IPv6 address.
    sk_v6_daddr = "sock:__sk_common.skc_v6_daddr",
    /// `SOCK_STREAM`, `SOCK_DGRAM`…
    sk_type = "sock:sk_type",
    /// The `struct socket`, null for a connection that is not accepted yet or is closed.
    sk_socket = "sock:sk_socket",
    /// Who opened the other end of a unix connection.
    sk_peer_pid = "sock:sk_peer_pid",
    /// Number of a `struct pid` in the initial namespace: the first member of its first `struct upid`.
    pid_nr = "pid:numbers",
    /// Bound address of a unix socket.
    unix_addr = "unix_sock:addr",
    /// Other end of a connected unix socket.
    unix_peer = "unix_sock:peer",
    /// Root of an epoll instance's tree.
    ep_root = "eventpoll:rbr.rb_root.rb_node",
    /// Tree node within an epoll item.
    epitem_rbn = "epitem:rbn",
    /// Watched file of an epoll item.
    epitem_file = "epitem:ffd.file",
    /// Link of an epoll item in the list at [`Offsets::file_ep`].
    epitem_fllink = "epitem:fllink",
    /// Instance of an epoll item.
    epitem_ep = "epitem:ep",
    /// Ring of an io_uring request.
    kiocb_ctx = "io_kiocb:ctx",
    /// Its opcode.
    kiocb_opcode = "io_kiocb:opcode",
    /// Its `REQ_F_*` flags.
    kiocb_flags = "io_kiocb:flags",
    /// Its name, given by the program.
    kiocb_user_data = "io_kiocb:cqe.user_data",
    /// Its descriptor, until the file is looked up.
    kiocb_fd = "io_kiocb:cqe.fd",
    /// Its open file.
    kiocb_file = "io_kiocb:file",
    /// Its task, before 6.13.
    kiocb_task = "io_kiocb:task",
    /// Its task's `struct io_uring_task`, since 6.13.
    kiocb_tctx = "io_kiocb:tctx",
    /// The task of that.
    tctx_task = "io_uring_task:task",
    /// Bit number of `REQ_F_FIXED_FILE`: the descriptor is an index into the ring's own table.
    fixed_file_bit = "enum:REQ_F_FIXED_FILE_BIT",
    /// Bit number of `REQ_F_POLLED`: the kernel waits, or waited, for readiness.
    polled_bit = "enum:REQ_F_POLLED_BIT",
    /// Bit number of `REQ_F_APOLL_MULTISHOT`.
    multishot_bit = "enum:REQ_F_APOLL_MULTISHOT_BIT",
    /// 0 where system calls are not traced (tier `sched`): the call in flight is what the saved registers show.
    calls_untraced = "",
    /// 0 where the third argument of `io_uring_complete` is the completion itself (6.13 and later), not its fields.
    complete_by_cqe = "",
    /// 0 where a timeline is recorded: no offset, but a switch that the verifier knows, so that it costs nothing else.
    timeline = "",
    /// Parent and colour.
    rb_parent = "rb_node:__rb_parent_color",
    /// Left child.
    rb_left = "rb_node:rb_left",
    /// Right child.
    rb_right = "rb_node:rb_right",
}

/// Most openings of the gate in a run: the canary's and the window's.
pub const EPOCHS: u32 = 2;

/// The window and the switches of a run; user space writes it, the probes read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Control {
    /// Start of the window; 0 keeps the gate shut.
    pub start: u64,
    /// End of the window; 0 while it is open.
    pub end: u64,
    /// Non-zero: a record of each receive goes to the ring.
    pub log_calls: u32,
    /// Non-zero: resolve descriptors at the exit of a receive call although `sock_recv_length` exists.
    pub by_descriptor: u32,
    /// Non-zero: follow descendants, not only threads.
    pub follow: u32,
    /// Which opening of the gate this is, 1 to [`EPOCHS`]; 0 while it is shut. What the probes remember of threads holds
    /// within one.
    pub epoch: u32,
    /// `CLOCK_MONOTONIC` minus the scheduler's clock, as the canary found it; 0 if unknown.
    pub rq_offset: u64,
}

impl Control {
    /// The gate is shut, and nothing is switched on.
    pub const SHUT: Control =
        Control { start: 0, end: 0, log_calls: 0, by_descriptor: 0, follow: 0, epoch: 0, rq_offset: 0 };

    /// Whether `now` lies in the window from `start` to `end`, which are as in [`Control`].
    #[inline(always)]
    pub const fn is_open(start: u64, end: u64, now: u64) -> bool {
        start != 0 && now >= start && (end == 0 || now <= end)
    }
}

/// Offsets of the saved registers in `struct pt_regs`, which are ABI on x86-64 (`arch/x86/include/asm/ptrace.h`).
pub mod regs {
    /// Fifth argument.
    pub const R8: usize = 72;
    /// Fourth argument.
    pub const R10: usize = 56;
    /// Third argument.
    pub const DX: usize = 96;
    /// Second argument.
    pub const SI: usize = 104;
    /// First argument.
    pub const DI: usize = 112;
    /// Number of the system call; negative for interrupts.
    pub const ORIG_AX: usize = 120;
    /// The address that the call returns to.
    pub const IP: usize = 128;
    /// What `syscall` leaves that address in.
    pub const CX: usize = 88;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_passes_while_the_gate_is_shut() {
        assert!(!Control::is_open(0, 0, 5));
        assert!(!Control::is_open(10, 0, 9));
        assert!(Control::is_open(10, 0, 10));
        assert!(Control::is_open(10, 20, 20));
        assert!(!Control::is_open(10, 20, 21));
    }

    #[test]
    fn words_and_fields_agree() {
        let mut offsets = Offsets::UNSET;
        for (i, (_, _, field)) in offsets.fields().into_iter().enumerate() {
            *field = i as u32;
        }
        assert!(offsets.words().into_iter().eq(0..FIELDS as u32));
    }
}
