//! What resolving a target needs of `/proc`; its root is an argument, so that tests run on saved trees.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// `PF_KTHREAD`, `include/linux/sched.h`.
const PF_KTHREAD: u32 = 0x0020_0000;

/// A `/proc`.
pub struct Proc {
    root: PathBuf,
}

/// What `/proc/PID/stat` says.
#[derive(Debug, PartialEq, Eq)]
pub struct Stat {
    /// Name.
    pub comm: String,
    /// State letter.
    pub state: char,
    /// Parent.
    pub ppid: u32,
    /// `task_struct::flags`.
    pub flags: u32,
    /// Threads.
    pub threads: u32,
}

impl Stat {
    /// Whether it is a kernel thread.
    pub fn is_kernel(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }

    /// Whether nothing of it runs any more. A process whose first thread alone ended is a `Z` with threads.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x') && self.threads <= 1
    }

    fn parse(text: &str) -> Option<Stat> {
        // The name may hold blanks and parentheses; the last one closes it (proc(5)).
        let (open, close) = (text.find('(')?, text.rfind(')')?);
        let fields: Vec<&str> = text.get(close + 1..)?.split_whitespace().collect();
        Some(Stat {
            comm: text.get(open + 1..close)?.to_owned(),
            state: fields.first()?.chars().next()?,
            ppid: fields.get(1)?.parse().ok()?,
            flags: fields.get(6)?.parse().ok()?,
            threads: fields.get(17)?.parse().ok()?,
        })
    }
}

impl Proc {
    /// The `/proc` at `root`.
    pub fn at(root: &Path) -> Proc {
        Proc { root: root.into() }
    }

    /// Contents of a file, whatever bytes a name in it holds.
    pub fn read(&self, path: &str) -> Option<String> {
        let bytes = std::fs::read(self.root.join(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Where a link points.
    pub fn link(&self, path: &str) -> Option<String> {
        let target = std::fs::read_link(self.root.join(path)).ok()?;
        Some(target.to_string_lossy().into_owned())
    }

    /// All processes, in order.
    pub fn pids(&self) -> BTreeSet<u32> {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
    }

    /// `PID/stat`, also of a thread id.
    pub fn stat(&self, pid: u32) -> Option<Stat> {
        Stat::parse(&self.read(&format!("{pid}/stat"))?)
    }

    /// The process that a process or thread id belongs to.
    pub fn tgid(&self, tid: u32) -> Option<u32> {
        let status = self.read(&format!("{tid}/status"))?;
        status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
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

    /// The names that a process goes by: its own, and the file name of its executable.
    pub fn names(&self, pid: u32) -> Vec<String> {
        let comm = self.stat(pid).map(|stat| stat.comm);
        let exe = self.exe(pid).and_then(|exe| exe.rsplit('/').next().map(str::to_owned));
        comm.into_iter().chain(exe).collect()
    }

    /// Path of the executable, without the mark of a deleted file.
    pub fn exe(&self, pid: u32) -> Option<String> {
        self.link(&format!("{pid}/exe")).map(|exe| exe.trim_end_matches(" (deleted)").to_owned())
    }

    /// What to call a process in a message.
    pub fn label(&self, pid: u32) -> String {
        self.stat(pid).map_or_else(|| "gone".to_owned(), |stat| stat.comm)
    }
}
