//! The programs that processes of the target ran, one after another.

use std::collections::BTreeMap;

use super::super::census;
use crate::kernel::proc::Proc;
use crate::snapshot::Process;

/// What tells a program from others: its process id, and when it began by the clock of the probes; 0 if before the window.
pub(super) type Key = (u32, u64);

/// What is known of each.
#[derive(Default)]
pub(super) struct Programs {
    known: BTreeMap<Key, Process>,
    /// When the process that was looked at began, in clock ticks since boot.
    looked_at: BTreeMap<Key, u64>,
}

impl Programs {
    /// Looks at a process that lives; `by_exec`: it executed this program in the window.
    pub fn look(&mut self, proc: &Proc, key: Key, by_exec: bool) {
        if let Some((process, started)) = census::process(proc, key.0) {
            self.known.insert(key, Process { by_exec, ..process });
            self.looked_at.insert(key, started);
        }
    }

    /// A thread of a program has ended; its last name is that of the program if it is the `first` of its process, or nothing
    /// else is known.
    pub fn ended(&mut self, key: Key, by_exec: bool, comm: &str, first: bool) {
        let known = self.known.contains_key(&key);
        let process = self.known.entry(key).or_default();
        if first || !known {
            comm.clone_into(&mut process.comm);
        }
        (process.pid, process.by_exec) = (key.0, by_exec);
    }

    /// Whether anything is known of it.
    pub fn knows(&self, key: Key) -> bool {
        self.known.contains_key(&key)
    }

    /// Whether it was looked at while it lived: a thread that ended first makes it known, but says little of it.
    pub fn is_looked_at(&self, key: Key) -> bool {
        self.looked_at.contains_key(&key)
    }

    /// Its name.
    pub fn name(&self, key: Key) -> Option<&str> {
        self.known.get(&key).map(|process| &*process.comm)
    }

    /// How many processes there were, and are.
    pub fn processes(&self) -> usize {
        self.known.values().filter(|process| !process.by_exec).count()
    }

    /// Which program process `pid` ran at `moment`: the how manieth of those that had this id.
    pub fn epoch_at(&self, pid: u32, moment: u64) -> u32 {
        (self.known.range((pid, 0)..=(pid, moment)).count() as u32).saturating_sub(1)
    }

    /// The process that has `pid` now, or had it last.
    pub fn latest(&mut self, pid: u32) -> Option<&mut Process> {
        self.known.range_mut((pid, 0)..=(pid, u64::MAX)).next_back().map(|(_, process)| process)
    }

    /// All processes.
    pub fn pids(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.known.keys().map(|key| key.0).collect();
        pids.dedup();
        pids
    }

    /// Notes who lives, and the names that they have by now.
    pub fn refresh(&mut self, proc: &Proc) {
        for pid in self.pids() {
            let latest = self.known.range((pid, 0)..=(pid, u64::MAX)).next_back().map(|(key, _)| *key);
            for (key, process) in self.known.range_mut((pid, 0)..=(pid, u64::MAX)) {
                process.alive = false;
                if Some(*key) == latest && self.looked_at.get(key).copied() == proc.start_ticks(pid) {
                    census::refresh(proc, process);
                }
            }
        }
    }

    /// All of them, of a window that began at `start`.
    pub fn listing(&self, start: u64) -> Vec<Process> {
        let of = |(&(pid, at), process): (&Key, &Process)| Process {
            epoch: self.epoch_at(pid, at),
            began_ns: (at != 0).then(|| at.saturating_sub(start)),
            ..process.clone()
        };
        self.known.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_counted_by_id_and_processes_without_execs() {
        let mut programs = Programs::default();
        programs.ended((7, 0), false, "worker", false);
        programs.ended((7, 0), false, "sh", true);
        programs.ended((7, 500), true, "sleep", true);
        // Its id again, for another process.
        programs.ended((7, 900), false, "true", true);
        programs.ended((8, 600), false, "worker", false);
        assert_eq!(programs.processes(), 3);
        assert_eq!([0, 499, 500, 899, 900].map(|at| programs.epoch_at(7, at)), [0, 0, 1, 1, 2]);
        assert_eq!(programs.epoch_at(8, 100), 0);
        let listed: Vec<_> =
            programs.listing(100).into_iter().map(|p| (p.pid, p.epoch, p.began_ns, p.by_exec)).collect();
        let wanted = [
            (7, 0, None, false),
            (7, 1, Some(400), true),
            (7, 2, Some(800), false),
            (8, 0, Some(500), false),
        ];
        assert_eq!(listed, wanted);
        assert_eq!(
            [(7, 0), (7, 500), (8, 600)].map(|key| programs.name(key)),
            [Some("sh"), Some("sleep"), Some("worker")]
        );
    }
}
