//! Who belongs to the target: its processes, its threads and their records, its listeners.

use std::collections::BTreeSet;

use super::super::census;
use super::super::kmaps::Brief;
use super::{Session, broken};
use crate::failure::Failure;
use crate::kernel::proc::Stat;

/// Passes over `/proc` until one finds no thread without a record.
const MAX_PASSES: u32 = 50;

impl Session<'_> {
    /// Processes of the target at present.
    pub(super) fn tree(&self) -> BTreeSet<u32> {
        census::tree(&self.proc, self.options)
    }

    /// Gives every thread a record, until a pass finds none without one: `task_newtask` reports all that come later.
    pub(super) fn enumerate(&mut self) -> Result<(), Failure> {
        for _ in 0..MAX_PASSES {
            let mut missing = 0;
            for pid in self.tree() {
                self.note_process(pid);
                for tid in self.proc.threads(pid) {
                    missing += usize::from(self.register(pid, tid)?);
                }
            }
            if missing == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    pub(super) fn register(&mut self, pid: u32, tid: u32) -> Result<bool, Failure> {
        if self.maps.slot_of(tid).map_err(broken)? != 0 {
            return Ok(false);
        }
        let Some(slot) = self.maps.allocate().map_err(broken)? else { return Ok(false) };
        let stat = self.proc.stat(pid, tid);
        let kernel_io = stat.as_ref().is_some_and(Stat::is_kernel_io);
        self.maps.register(tid, pid, slot, kernel_io).map_err(broken)?;
        if let Some(stat) = stat {
            self.names.insert(tid, stat.comm);
        }
        Ok(true)
    }

    pub(super) fn note_process(&mut self, pid: u32) {
        if let Some(process) = census::process(&self.proc, pid) {
            self.processes.insert(pid, process);
        }
    }

    pub(super) fn listeners(&mut self) -> anyhow::Result<()> {
        let pids: Vec<u32> = self.processes.keys().copied().collect();
        for pid in pids {
            for port in self.look_at_listeners(pid) {
                self.maps.listen_on(port)?;
            }
        }
        Ok(())
    }

    /// Notes whether a process holds a listener, and returns the ports of those it does.
    pub(super) fn look_at_listeners(&mut self, pid: u32) -> BTreeSet<u16> {
        let process = self.processes.get_mut(&pid);
        process.map(|process| census::look_at_listeners(&self.proc, process)).unwrap_or_default()
    }

    /// All records in use.
    pub(super) fn in_use(&self) -> Vec<Brief> {
        (1..self.maps.slot_count()).filter_map(|slot| self.maps.brief(slot)).collect()
    }

    pub(super) fn note_newborn(&mut self, record: Brief) {
        if self.names.contains_key(&record.tid) {
            return;
        }
        if let Some(stat) = self.proc.stat(record.tgid, record.tid) {
            self.names.insert(record.tid, stat.comm);
        }
        if !self.processes.contains_key(&record.tgid) {
            self.note_process(record.tgid);
        }
    }

    pub(super) fn name(&self, tid: u32, pid: u32) -> String {
        self.names
            .get(&tid)
            .cloned()
            .or_else(|| self.processes.get(&pid).map(|p| p.comm.clone()))
            .unwrap_or_else(|| "?".to_owned())
    }

    pub(super) fn count_missed(&mut self) -> anyhow::Result<()> {
        for pid in self.tree() {
            for tid in self.proc.threads(pid) {
                if self.maps.slot_of(tid)? != 0 {
                    continue;
                }
                // A thread younger than the window's end has no record and is none of ours.
                let old = self.proc.stat(pid, tid).is_some_and(|s| {
                    let ns = s.start_ticks * (1_000_000_000 / rustix::param::clock_ticks_per_second());
                    ns + 50_000_000 < self.control.end && !matches!(s.state, 'Z' | 'X')
                });
                self.noticed.threads_missed += u64::from(old);
            }
        }
        for process in self.processes.values_mut() {
            census::refresh(&self.proc, process);
        }
        Ok(())
    }
}
