//! What `/proc` tells of processes and threads. Every reader takes the root, so that tests run on saved trees.

mod files;
mod look;
mod net;
mod process;
mod stat;
mod tasks;
mod thread;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub use look::Moment;
pub use net::{Listener, Protocol, Socket};
pub use stat::Stat;
pub use tasks::Tasks;
pub use thread::InCall;

/// Room for a first read, bytes: most files fit.
const FIRST: usize = 1024;

/// A `/proc`.
#[derive(Clone, Debug)]
pub struct Proc {
    root: PathBuf,
}

impl Proc {
    /// The `/proc` at `root`.
    pub fn at(root: impl Into<PathBuf>) -> Proc {
        Proc { root: root.into() }
    }

    /// The system's.
    pub fn system() -> Proc {
        Proc::at("/proc")
    }

    /// All processes, in order.
    pub fn pids(&self) -> BTreeSet<u32> {
        self.numbers("").collect()
    }

    /// Time that the hypervisor took from all CPUs since boot, ns.
    pub fn steal_ns(&self) -> Option<u64> {
        let text = self.read("stat")?;
        let ticks: u64 = text.lines().next()?.split_ascii_whitespace().nth(8)?.parse().ok()?;
        Some(ticks.checked_mul(1_000_000_000)? / rustix::param::clock_ticks_per_second())
    }

    /// Largest thread id plus one.
    pub fn pid_max(&self) -> u32 {
        self.read("sys/kernel/pid_max").and_then(|t| t.trim().parse().ok()).unwrap_or(4_194_304)
    }

    /// Contents of a file, whatever bytes a name in it holds.
    fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        // Files here have no size: to ask for it, as `fs::read` does, costs two calls each of ten thousand times.
        let mut bytes = Vec::with_capacity(FIRST);
        File::open(self.root.join(path)).ok()?.take(u64::MAX).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    /// Where a link points.
    fn link(&self, path: impl AsRef<Path>) -> Option<String> {
        let target = std::fs::read_link(self.root.join(path)).ok()?;
        Some(target.to_string_lossy().into_owned())
    }

    /// Entries of a directory that are numbers; none if it is gone.
    fn numbers(&self, path: impl AsRef<Path>) -> impl Iterator<Item = u32> {
        let entries = std::fs::read_dir(self.root.join(path)).into_iter().flatten().flatten();
        entries.filter_map(|e| e.file_name().to_str()?.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steal_time_that_no_machine_reaches_is_none() {
        let root = tempfile::tempdir().expect("a directory");
        let steal = |ticks: &str| {
            std::fs::write(root.path().join("stat"), format!("cpu 1 2 3 4 5 6 7 {ticks} 0 0\n"))
                .expect("written");
            Proc::at(root.path()).steal_ns()
        };
        let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second();
        assert_eq!(steal("163"), Some(163 * tick_ns));
        assert_eq!(steal("1631442563552315217"), None);
        assert_eq!(steal("-1"), None);
    }
}
