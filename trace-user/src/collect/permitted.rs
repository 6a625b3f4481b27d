//! Whether this process may load programs at all, by loading one: the loader asks the kernel what it can by loading
//! programs, too, and takes a refusal for an old kernel.

use std::io;

/// `BPF_PROG_LOAD`, `BPF_PROG_TYPE_SOCKET_FILTER` (include/uapi/linux/bpf.h).
const PROG_LOAD: libc::c_int = 5;
const SOCKET_FILTER: u32 = 1;
/// `r0 = 0; exit`.
const NOTHING: [u64; 2] = [0xb7, 0x95];

/// The beginning of `union bpf_attr` for [`PROG_LOAD`]; what follows it is zero to the kernel.
#[repr(C)]
struct Attributes {
    kind: u32,
    instructions: u32,
    code: u64,
    license: u64,
}

/// Whether the kernel says EPERM to a program that does nothing: a seccomp filter (a container manager's) does.
pub fn is_loading_forbidden() -> bool {
    let attributes = Attributes {
        kind: SOCKET_FILTER,
        instructions: NOTHING.len() as u32,
        code: NOTHING.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
    };
    // SAFETY: the attributes, and what they point to, live until the call returns.
    let fd =
        unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const attributes, size_of::<Attributes>()) };
    if fd < 0 {
        return io::Error::last_os_error().raw_os_error() == Some(libc::EPERM);
    }
    // SAFETY: the kernel just gave it to us.
    unsafe { libc::close(fd as libc::c_int) };
    false
}
