//! A thread at one moment: what it sleeps in, and what that is about. Each is read by whoever may.

use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;

use super::Proc;
use super::thread::{InCall, parse_syscall};

/// What `/proc/PID/task/TID/syscall` says at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It runs, or waits for a CPU.
    Runnable,
    /// It sleeps, in this call or outside calls.
    Asleep(InCall),
    /// It may not be read: that takes `PTRACE_MODE_ATTACH` (`fs/proc/base.c`, `proc_pid_syscall`).
    Denied,
    /// It is gone.
    Gone,
}

impl Proc {
    /// What a thread is in.
    pub fn moment(&self, pid: u32, tid: u32) -> Moment {
        match std::fs::read_to_string(self.root.join(format!("{pid}/task/{tid}/syscall"))) {
            Ok(text) if text.starts_with("running") => Moment::Runnable,
            Ok(text) => Moment::Asleep(parse_syscall(&text)),
            // Without CONFIG_HAVE_ARCH_TRACEHOOK there is no such file of a thread that is there.
            Err(e) if e.kind() == ErrorKind::NotFound => match self.stat(pid, tid) {
                Some(_) => Moment::Denied,
                None => Moment::Gone,
            },
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Moment::Gone,
            Err(_) => Moment::Denied,
        }
    }

    /// The kernel function that a thread sleeps in; `None` where it sleeps in none or that may not be read
    /// (`PTRACE_MODE_READ`; the file then holds `0`).
    pub fn wchan(&self, pid: u32, tid: u32) -> Option<String> {
        self.read(format!("{pid}/task/{tid}/wchan")).filter(|name| !name.is_empty() && name != "0")
    }

    /// Voluntary and involuntary switches of a thread since it began.
    pub fn switches(&self, pid: u32, tid: u32) -> Option<(u64, u64)> {
        let status = self.read(format!("{pid}/task/{tid}/status"))?;
        let value = |key: &str| status.lines().find_map(|l| l.strip_prefix(key))?.trim().parse().ok();
        Some((value("voluntary_ctxt_switches:")?, value("nonvoluntary_ctxt_switches:")?))
    }

    /// Inodes of the members of an epoll set (`fs/eventpoll.c`, `ep_show_fdinfo`; `ino` since 4.13); `None` where that may
    /// not be read.
    pub fn epoll_members(&self, pid: u32, fd: u64) -> Option<Vec<u64>> {
        let text = self.read(format!("{pid}/fdinfo/{fd}"))?;
        let member = |line: &str| {
            let rest = line.strip_prefix("tfd:")?;
            let inode = rest.split("ino:").nth(1)?.split_ascii_whitespace().next()?;
            u64::from_str_radix(inode, 16).ok()
        };
        Some(text.lines().filter_map(member).collect())
    }

    /// Epoll instances that a process holds, by descriptor.
    pub fn epoll_instances(&self, pid: u32) -> Vec<u64> {
        let is_epoll = |fd: &u32| {
            self.link(format!("{pid}/fd/{fd}")).is_some_and(|link| link == "anon_inode:[eventpoll]")
        };
        self.numbers(format!("{pid}/fd")).filter(is_epoll).map(u64::from).collect()
    }

    /// Inode of the socket behind a descriptor; `None` if it is none, or that may not be read.
    pub fn socket_inode(&self, pid: u32, fd: u64) -> Option<u64> {
        let link = self.link(format!("{pid}/fd/{fd}"))?;
        link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    }

    /// Status flags of an open file (`F_GETFL`).
    pub fn file_flags(&self, pid: u32, fd: u64) -> Option<u32> {
        let text = self.read(format!("{pid}/fdinfo/{fd}"))?;
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
        u32::from_str_radix(flags.trim(), 8).ok()
    }

    /// Reads `length` bytes of a process's memory; takes what reading its calls takes, and stops nobody.
    pub fn memory(&self, pid: u32, address: u64, length: usize) -> Option<Vec<u8>> {
        let file = std::fs::File::open(self.root.join(format!("{pid}/mem"))).ok()?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, address).ok()?;
        Some(bytes)
    }

    /// The numbers of the descriptors of a process.
    pub fn open_fds(&self, pid: u32) -> Vec<u64> {
        self.numbers(format!("{pid}/fd")).map(u64::from).collect()
    }

    /// `kernel.yama.ptrace_scope`; `None` where the kernel has no Yama.
    pub fn yama(&self) -> Option<u32> {
        self.read("sys/kernel/yama/ptrace_scope")?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A saved `/proc` with one thread's files.
    fn saved(files: &[(&str, &str)]) -> (tempfile::TempDir, Proc) {
        let dir = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        let proc = Proc::at(dir.path());
        (dir, proc)
    }

    #[test]
    fn a_moment_is_a_call_or_why_there_is_none() {
        let stat = "7 (a) S 1 7 7 0 -1 4 0 0 0 0 3 4 0 0 20 0 1 0 12345 0 0";
        let (_dir, proc) = saved(&[
            ("7/task/7/syscall", "232 0x5 0x7ffe 0x40 0x1 0x0 0x8 0x7ff 0x7f\n"),
            ("7/task/8/syscall", "running\n"),
            ("7/task/9/syscall", "-1 0x7ff 0x7f\n"),
            ("7/task/10/stat", stat),
        ]);
        assert_eq!(proc.moment(7, 7), Moment::Asleep(Some((232, [5, 0x7ffe, 0x40, 1]))));
        assert_eq!(proc.moment(7, 8), Moment::Runnable);
        assert_eq!(proc.moment(7, 9), Moment::Asleep(None));
        assert_eq!(proc.moment(7, 10), Moment::Denied);
        assert_eq!(proc.moment(7, 11), Moment::Gone);
    }

    #[test]
    fn members_of_an_epoll_set_are_told_by_inode() {
        let text = "pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t1057\n\
                    tfd:        7 events:       19 data:                7  pos:0 ino:3ab sdev:9\n\
                    tfd:        8 events:       19 data: ffffffffffffffff  pos:0 ino:3ac sdev:9\n";
        let (_dir, proc) = saved(&[("7/fdinfo/5", text), ("7/fdinfo/6", "flags:\t0222002\n")]);
        assert_eq!(proc.epoll_members(7, 5), Some(vec![0x3ab, 0x3ac]));
        assert_eq!(proc.epoll_members(7, 9), None);
        assert_eq!(proc.file_flags(7, 6), Some(0o222_002));
    }
}
