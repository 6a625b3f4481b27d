//! What `/proc` tells of processes and threads. Every reader takes the root, so that tests run on saved trees.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use trace_common::syscall::FileKind;

use crate::snapshot::Schedstat;

/// A `/proc`.
#[derive(Clone, Debug)]
pub struct Proc {
    root: PathBuf,
}

/// What `/proc/PID/task/TID/stat` says of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStat {
    /// State letter.
    pub state: char,
    /// Parent process.
    pub ppid: u32,
    /// Name.
    pub comm: String,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
}

/// What `/proc/PID/task/TID/syscall` says: number and first arguments, `None` while running or outside calls.
pub type InCall = Option<(u32, [u64; 4])>;

impl Proc {
    /// The `/proc` at `root`.
    pub fn at(root: impl Into<PathBuf>) -> Proc {
        Proc { root: root.into() }
    }

    /// The system's.
    pub fn system() -> Proc {
        Proc::at("/proc")
    }

    fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        let bytes = std::fs::read(self.root.join(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn numbers(&self, path: impl AsRef<Path>) -> Vec<u32> {
        let Ok(entries) = std::fs::read_dir(self.root.join(path)) else { return Vec::new() };
        entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
    }

    /// Thread ids of a process; empty if it is gone.
    pub fn threads(&self, pid: u32) -> Vec<u32> {
        self.numbers(format!("{pid}/task"))
    }

    /// Whether a process exists and is no zombie.
    pub fn is_alive(&self, pid: u32) -> bool {
        self.stat(pid, pid).is_some_and(|s| !matches!(s.state, 'Z' | 'X'))
            || self
                .threads(pid)
                .iter()
                .any(|t| self.stat(pid, *t).is_some_and(|s| !matches!(s.state, 'Z' | 'X')))
    }

    /// State, parent and name of a thread.
    pub fn stat(&self, pid: u32, tid: u32) -> Option<TaskStat> {
        parse_stat(&self.read(format!("{pid}/task/{tid}/stat"))?)
    }

    /// The call that a sleeping thread is in.
    pub fn in_call(&self, pid: u32, tid: u32) -> InCall {
        parse_syscall(&self.read(format!("{pid}/task/{tid}/syscall"))?)
    }

    /// Whether the call of a thread may be read at all (`CAP_SYS_PTRACE` is needed for others' threads).
    pub fn may_read_call(&self, pid: u32, tid: u32) -> bool {
        self.read(format!("{pid}/task/{tid}/syscall")).is_some()
    }

    /// Run time and run-queue delay of a thread since it began (`kernel/sched/stats.h`: ns).
    pub fn schedstat(&self, pid: u32, tid: u32) -> Option<Schedstat> {
        let text = self.read(format!("{pid}/task/{tid}/schedstat"))?;
        let mut words = text.split_ascii_whitespace().map(str::parse);
        Some(Schedstat { run_ns: words.next()?.ok()?, delay_ns: words.next()?.ok()? })
    }

    /// Path of the executable.
    pub fn exe(&self, pid: u32) -> Option<String> {
        let path = std::fs::read_link(self.root.join(format!("{pid}/exe"))).ok()?;
        Some(path.to_string_lossy().into_owned())
    }

    /// All processes below `roots`, with them, by their parents.
    pub fn tree(&self, roots: &[u32]) -> BTreeSet<u32> {
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for pid in self.numbers("") {
            if let Some(stat) = self.read(format!("{pid}/stat")).as_deref().and_then(parse_stat) {
                children.entry(stat.ppid).or_default().push(pid);
            }
        }
        let mut found = BTreeSet::new();
        let mut open: Vec<u32> = roots.to_vec();
        while let Some(pid) = open.pop() {
            if found.insert(pid) {
                open.extend(children.get(&pid).into_iter().flatten());
            }
        }
        found
    }

    /// What a descriptor is, from its link.
    pub fn file_kind(&self, pid: u32, fd: u64) -> FileKind {
        let Ok(link) = std::fs::read_link(self.root.join(format!("{pid}/fd/{fd}"))) else {
            return FileKind::Unknown;
        };
        kind_of_link(&link.to_string_lossy())
    }

    /// Inodes of the sockets that a process holds.
    pub fn socket_inodes(&self, pid: u32) -> BTreeSet<u64> {
        let Ok(entries) = std::fs::read_dir(self.root.join(format!("{pid}/fd"))) else {
            return BTreeSet::new();
        };
        entries
            .flatten()
            .filter_map(|e| std::fs::read_link(e.path()).ok())
            .filter_map(|l| l.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
            .collect()
    }

    /// Local TCP ports on which one of the sockets `inodes` listens, in the network namespace of `pid`.
    pub fn listen_ports(&self, pid: u32, inodes: &BTreeSet<u64>) -> BTreeSet<u16> {
        ["tcp", "tcp6"]
            .iter()
            .filter_map(|table| self.read(format!("{pid}/net/{table}")))
            .flat_map(|text| text.lines().skip(1).filter_map(parse_listener).collect::<Vec<_>>())
            .filter(|(_, inode)| inodes.contains(inode))
            .map(|(port, _)| port)
            .collect()
    }

    /// Time that the hypervisor took from all CPUs since boot, ns.
    pub fn steal_ns(&self) -> Option<u64> {
        let text = self.read("stat")?;
        let ticks: u64 = text.lines().next()?.split_ascii_whitespace().nth(8)?.parse().ok()?;
        Some(ticks * 1_000_000_000 / rustix::param::clock_ticks_per_second())
    }

    /// Largest thread id plus one.
    pub fn pid_max(&self) -> u32 {
        self.read("sys/kernel/pid_max").and_then(|t| t.trim().parse().ok()).unwrap_or(4_194_304)
    }
}

fn parse_stat(text: &str) -> Option<TaskStat> {
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    let fields: Vec<&str> = text.get(close + 2..)?.split_ascii_whitespace().collect();
    Some(TaskStat {
        state: fields.first()?.chars().next()?,
        ppid: fields.get(1)?.parse().ok()?,
        comm: text.get(open + 1..close)?.to_owned(),
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

fn parse_syscall(text: &str) -> InCall {
    let mut words = text.split_ascii_whitespace();
    let nr: u32 = words.next()?.parse().ok()?;
    let mut args = [0; 4];
    for arg in &mut args {
        *arg = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    }
    Some((nr, args))
}

/// Port and inode of a line of `/proc/net/tcp` that is a listener (state 0A).
fn parse_listener(line: &str) -> Option<(u16, u64)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if *fields.get(3)? != "0A" {
        return None;
    }
    let port = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
    Some((port, fields.get(9)?.parse().ok()?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields_of_stat() {
        let text = "7 (a) R 1 (x) S 42 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.state, stat.ppid, stat.start_ticks), ('S', 42, 12345));
        assert_eq!(stat.comm, "a) R 1 (x");
    }

    #[test]
    fn syscall_lines() {
        assert_eq!(
            parse_syscall("232 0x5 0x7ffe 0x40 0xffffffffffffffff 0x0 0x8 0x7ff 0x7f\n"),
            Some((232, [5, 0x7ffe, 0x40, u64::MAX]))
        );
        assert_eq!(parse_syscall("running\n"), None);
        assert_eq!(parse_syscall("-1 0x7ff 0x7f\n"), None);
    }

    #[test]
    fn listeners_only() {
        let listen = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0";
        assert_eq!(parse_listener(listen), Some((8080, 4711)));
        assert_eq!(parse_listener(&listen.replace(" 0A ", " 01 ")), None);
    }
}
