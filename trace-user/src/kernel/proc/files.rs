//! Descriptors.

use std::collections::BTreeSet;

use trace_common::syscall::FileKind;

use super::Proc;

impl Proc {
    /// What a descriptor is, from its link.
    pub fn file_kind(&self, pid: u32, fd: u64) -> FileKind {
        self.link(format!("{pid}/fd/{fd}")).map_or(FileKind::Unknown, |link| kind_of_link(&link))
    }

    /// How many descriptors a process has open; 0 if that may not be seen.
    pub fn descriptors(&self, pid: u32) -> usize {
        std::fs::read_dir(self.root.join(format!("{pid}/fd"))).map_or(0, Iterator::count)
    }

    /// Inodes of the sockets that a process holds; `None` if that may not be seen.
    pub fn sockets(&self, pid: u32) -> Option<BTreeSet<u64>> {
        let entries = std::fs::read_dir(self.root.join(format!("{pid}/fd"))).ok()?;
        let inode = |entry: std::fs::DirEntry| {
            let target = std::fs::read_link(entry.path()).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        };
        Some(entries.flatten().filter_map(inode).collect())
    }
}

fn kind_of_link(link: &str) -> FileKind {
    let anonymous = [
        ("anon_inode:[eventfd]", FileKind::EventFd),
        ("anon_inode:[eventpoll]", FileKind::Epoll),
        ("anon_inode:[timerfd]", FileKind::TimerFd),
        ("anon_inode:[signalfd]", FileKind::SignalFd),
        ("anon_inode:inotify", FileKind::Inotify),
    ];
    if let Some((_, kind)) = anonymous.iter().find(|(name, _)| link == *name) {
        return *kind;
    }
    if link.starts_with("socket:[") {
        FileKind::Socket
    } else if link.starts_with("pipe:[") {
        FileKind::Pipe
    } else if link.starts_with("/dev/pts/") || link.starts_with("/dev/tty") {
        FileKind::Tty
    } else if link.starts_with("anon_inode:") || link.starts_with("/dev/") {
        FileKind::Other
    } else {
        FileKind::File
    }
}
