//! Who belongs to the target: its processes, its threads and their records, its listeners.

use std::collections::BTreeSet;

use super::super::slots::Brief;
use super::super::{Point, census};
use super::programs::Key;
use super::{Session, broken};
use crate::failure::Failure;

/// Passes over `/proc` until one finds no thread without a record.
const MAX_PASSES: u32 = 50;

impl Session<'_> {
    /// Gives every thread a record, until a pass finds none without one: `task_newtask` reports all that come later.
    pub(super) fn enumerate(&mut self) -> Result<(), Failure> {
        census::check_chosen(&self.proc, self.options)?;
        for pass in 0..MAX_PASSES {
            let tree = census::tree(&self.proc, self.options);
            if pass == 0 {
                self.options.faults.pass(Point::Listed);
            }
            let mut missing = 0;
            for (pid, started) in tree {
                missing += self.register_process(pid, started)?;
            }
            census::check_chosen(&self.proc, self.options)?;
            if missing == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Gives the threads of a process a record that have none, and returns how many. If by then the process is not the one
    /// that began at `started`, it has ended and another one has its id: none of what was read is of the target.
    fn register_process(&mut self, pid: u32, started: u64) -> Result<usize, Failure> {
        let mut given = Vec::new();
        for tid in self.proc.threads(pid) {
            given.extend(self.register(pid, tid)?.map(|slot| (tid, slot)));
        }
        if self.proc.start_ticks(pid) == Some(started) {
            self.programs.look(&self.proc, (pid, 0), false);
        } else {
            for (tid, slot) in given.drain(..) {
                self.take_back(tid, slot)?;
            }
        }
        Ok(given.len())
    }

    /// Gives a thread a record, if it has none; the slot of that.
    fn register(&mut self, pid: u32, tid: u32) -> Result<Option<u32>, Failure> {
        if self.maps.slot_of(tid).map_err(broken)? != 0 {
            return Ok(None);
        }
        let Some(stat) = self.proc.stat(pid, tid) else { return Ok(None) };
        let Some(slot) = self.maps.slots.allocate().map_err(broken)? else { return Ok(None) };
        self.maps.register(tid, pid, slot, stat.is_kernel_io()).map_err(broken)?;
        // Had it ended before that, nothing would take the record away again, and its id could become another's.
        if self.proc.stat(pid, tid).map(|now| now.start_ticks) != Some(stat.start_ticks) {
            self.take_back(tid, slot)?;
            return Ok(None);
        }
        self.names.insert((tid, 0), stat.comm);
        Ok(Some(slot))
    }

    /// Thread `tid`, which was given `slot`, is none of the target's; unless it took over the id of its process by an exec,
    /// and its record with it.
    fn take_back(&mut self, tid: u32, slot: u32) -> Result<(), Failure> {
        if self.maps.slots.brief(slot).is_some_and(|record| record.tid != tid) {
            return Ok(());
        }
        if self.maps.slot_of(tid).map_err(broken)? == slot {
            self.maps.unregister(tid).map_err(broken)?;
        }
        self.names.remove(&(tid, 0));
        self.maps.slots.give(slot).map_err(broken)
    }

    pub(super) fn listeners(&mut self) -> anyhow::Result<()> {
        for pid in self.programs.pids() {
            for port in self.look_at_listeners(pid) {
                self.maps.listen_on(port)?;
            }
        }
        Ok(())
    }

    /// Notes whether a process holds a listener, and returns the ports of those it does.
    pub(super) fn look_at_listeners(&mut self, pid: u32) -> BTreeSet<u16> {
        let process = self.programs.latest(pid);
        process.map(|process| census::look_at_listeners(&self.proc, process)).unwrap_or_default()
    }

    /// All records in use.
    pub(super) fn in_use(&self) -> Vec<Brief> {
        (1..self.maps.slots.count()).filter_map(|slot| self.maps.slots.brief(slot)).collect()
    }

    pub(super) fn note_newborn(&mut self, record: Brief) {
        let named = (record.tid, record.program_at);
        if self.names.contains_key(&named) {
            return;
        }
        if let Some(stat) = self.proc.stat(record.tgid, record.tid) {
            self.names.insert(named, stat.comm);
        }
        if !self.programs.is_looked_at(record.program()) {
            self.programs.look(&self.proc, record.program(), record.by_exec);
        }
    }

    /// The name of a thread of a program.
    pub(super) fn name(&self, tid: u32, program: Key) -> String {
        let of_program = || self.programs.name(program);
        self.names.get(&(tid, program.1)).map(String::as_str).or_else(of_program).unwrap_or("?").to_owned()
    }

    pub(super) fn count_missed(&mut self) -> anyhow::Result<()> {
        for pid in census::tree(&self.proc, self.options).into_keys() {
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
        self.programs.refresh(&self.proc);
        Ok(())
    }
}
