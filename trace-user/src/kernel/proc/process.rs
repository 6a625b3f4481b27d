//! Processes: who they are, whose children, and under which names.

use std::collections::BTreeMap;

use super::{Proc, Stat};
use crate::kernel::container::{self, Container};

impl Proc {
    /// `PID/stat`, also of a thread id.
    pub fn process_stat(&self, pid: u32) -> Option<Stat> {
        Stat::parse(&self.read(format!("{pid}/stat"))?)
    }

    /// When a process began, in clock ticks since boot; `None` if there is none.
    pub fn start_ticks(&self, pid: u32) -> Option<u64> {
        Some(self.process_stat(pid)?.start_ticks)
    }

    /// Whether a process exists and is no zombie.
    pub fn is_alive(&self, pid: u32) -> bool {
        self.process_stat(pid).is_some_and(|stat| !stat.is_zombie())
    }

    /// Whether a process is there and none of its files may be read (`hidepid=1`, `fs/proc/base.c`).
    pub fn hides(&self, pid: u32) -> bool {
        let denied = |e: std::io::Error| e.kind() == std::io::ErrorKind::PermissionDenied;
        std::fs::read(self.root.join(format!("{pid}/stat"))).is_err_and(denied)
    }

    /// The process that a process or thread id belongs to.
    pub fn tgid(&self, tid: u32) -> Option<u32> {
        self.status(tid, "Tgid:")?.parse().ok()
    }

    /// The id of a process in the innermost PID namespace it is in; `None` if that is the one of this `/proc`.
    pub fn inner_pid(&self, pid: u32) -> Option<u32> {
        let ids = self.status(pid, "NSpid:")?;
        ids.split_whitespace().skip(1).last()?.parse().ok()
    }

    /// Path of the executable, with the mark ` (deleted)` if it is.
    pub fn exe(&self, pid: u32) -> Option<String> {
        self.link(format!("{pid}/exe"))
    }

    /// Path of the executable that it was started from, deleted or not.
    pub fn exe_path(&self, pid: u32) -> Option<String> {
        self.exe(pid).map(|exe| exe.trim_end_matches(" (deleted)").to_owned())
    }

    /// The container that a process is in.
    pub fn container(&self, pid: u32) -> Option<Container> {
        container::of(&self.read(format!("{pid}/cgroup"))?)
    }

    /// The names that a process goes by: its own, and the file name of its executable.
    pub fn names(&self, pid: u32) -> Vec<String> {
        let comm = self.process_stat(pid).map(|stat| stat.comm);
        let exe = self.exe_path(pid).and_then(|exe| exe.rsplit('/').next().map(str::to_owned));
        comm.into_iter().chain(exe).collect()
    }

    /// What to call a process in a message.
    pub fn label(&self, pid: u32) -> String {
        self.process_stat(pid).map_or_else(|| "gone".to_owned(), |stat| stat.comm)
    }

    /// All processes below `roots`, with them, by their parents: when each began, in clock ticks since boot.
    pub fn tree(&self, roots: &[u32]) -> BTreeMap<u32, u64> {
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let mut started = BTreeMap::new();
        for pid in self.numbers("") {
            if let Some(stat) = self.process_stat(pid) {
                children.entry(stat.ppid).or_default().push(pid);
                started.insert(pid, stat.start_ticks);
            }
        }
        let mut found = BTreeMap::new();
        let mut open: Vec<u32> = roots.to_vec();
        while let Some(pid) = open.pop() {
            if let Some(ticks) = started.get(&pid)
                && found.insert(pid, *ticks).is_none()
            {
                open.extend(children.get(&pid).into_iter().flatten());
            }
        }
        found
    }

    /// What stands behind `name` in `fdinfo` of a descriptor of this process.
    pub fn own_fd_info(&self, fd: i32, name: &str) -> Option<String> {
        value(&self.read(format!("self/fdinfo/{fd}"))?, name)
    }

    /// What stands behind `name` in `PID/status`.
    fn status(&self, pid: u32, name: &str) -> Option<String> {
        value(&self.read(format!("{pid}/status"))?, name)
    }
}

fn value(text: &str, name: &str) -> Option<String> {
    Some(text.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned())
}
