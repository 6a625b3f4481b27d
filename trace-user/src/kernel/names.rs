//! Names of the system calls that threads sleep in.

/// x86-64, `arch/x86/entry/syscalls/syscall_64.tbl`.
const NAMES: &[(u32, &str)] = &[
    (0, "read"),
    (1, "write"),
    (7, "poll"),
    (16, "ioctl"),
    (17, "pread64"),
    (18, "pwrite64"),
    (19, "readv"),
    (20, "writev"),
    (23, "select"),
    (34, "pause"),
    (35, "nanosleep"),
    (40, "sendfile"),
    (42, "connect"),
    (43, "accept"),
    (44, "sendto"),
    (45, "recvfrom"),
    (46, "sendmsg"),
    (47, "recvmsg"),
    (56, "clone"),
    (57, "fork"),
    (58, "vfork"),
    (59, "execve"),
    (61, "wait4"),
    (72, "fcntl"),
    (73, "flock"),
    (74, "fsync"),
    (75, "fdatasync"),
    (128, "rt_sigtimedwait"),
    (130, "rt_sigsuspend"),
    (202, "futex"),
    (208, "io_getevents"),
    (219, "restart_syscall"),
    (230, "clock_nanosleep"),
    (232, "epoll_wait"),
    (247, "waitid"),
    (257, "openat"),
    (270, "pselect6"),
    (271, "ppoll"),
    (275, "splice"),
    (281, "epoll_pwait"),
    (288, "accept4"),
    (295, "preadv"),
    (299, "recvmmsg"),
    (307, "sendmmsg"),
    (327, "preadv2"),
    (333, "io_pgetevents"),
    (426, "io_uring_enter"),
    (435, "clone3"),
    (441, "epoll_pwait2"),
    (449, "futex_waitv"),
    (455, "futex_wait"),
];

/// The name of system call `nr`, or `syscall NR` for one that has none here.
pub fn syscall(nr: u32) -> String {
    match NAMES.binary_search_by_key(&nr, |(n, _)| *n) {
        Ok(i) => NAMES[i].1.to_owned(),
        Err(_) => format!("syscall {nr}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(NAMES.is_sorted_by_key(|(n, _)| *n));
        assert_eq!(syscall(45), "recvfrom");
        assert_eq!(syscall(9999), "syscall 9999");
    }
}
