//! Threads that ended within the window: their records are folded and freed.

use trace_common::thread::Sched;

use super::super::clock;
use super::super::convert::{self, Span};
use super::super::timeline::Recorder;
use super::Session;
use crate::snapshot::{Process, Thread};

/// Ended threads listed one by one; further ones are summed up per process.
const MAX_ENDED: usize = 1_000;

/// What a fold found.
pub(super) struct Folded {
    pub(super) living: usize,
    pub(super) freed: usize,
}

impl Session<'_> {
    /// Folds the records of ended threads and frees them. If `thorough`, it also frees those of threads that ended without
    /// that being booked, as before the window was open.
    pub(super) fn fold(&mut self, thorough: bool) -> anyhow::Result<Folded> {
        let fresh = self.maps.logged();
        let room = (self.options.log_calls as usize).saturating_sub(self.calls.len());
        self.calls.extend(fresh.into_iter().take(room));
        self.timeline.iter_mut().for_each(Recorder::drain);
        let mut found = Folded { living: 0, freed: 0 };
        for brief in self.in_use() {
            let ask = thorough || brief.sched == Sched::Dead as u8;
            if !ask || self.maps.slot_of(brief.tid)? == brief.slot {
                found.living += 1;
                self.note_newborn(brief);
                continue;
            }
            let span = Span { start: self.control.start, end: clock::now() };
            if let Some((record, _)) = self.maps.record(brief.slot)
                && record.sched() == Sched::Dead
            {
                let comm = convert::last_name(&record).unwrap_or_else(|| self.name(record.tid, record.tgid));
                self.timeline.iter_mut().for_each(|t| t.name(record.tid, record.tgid, &comm));
                let thread = self.correct(convert::thread(&record, comm, span));
                self.end(thread);
            }
            self.names.remove(&brief.tid);
            self.maps.free(brief.slot)?;
            found.freed += 1;
        }
        Ok(found)
    }

    /// Keeps an ended thread: one by one up to a limit, then summed up with one of its kind: of the same process, or of any
    /// that was not asked for.
    pub(super) fn end(&mut self, mut thread: Thread) {
        thread.alive = false;
        if self.ended.len() >= MAX_ENDED {
            let asked_for = |t: &Thread| self.options.pids.contains(&t.pid);
            let alike = |t: &Thread| kind(t) == kind(&thread);
            let same = self.ended.iter().rposition(|t| t.pid == thread.pid && alike(t));
            let of_others = || self.ended.iter().rposition(|t| !asked_for(t) && alike(t));
            let sum = same.or_else(|| if asked_for(&thread) { None } else { of_others() });
            if let Some(sum) = sum {
                // A process ends with its first thread, or is listed by another one of its own.
                let unlisted = thread.tid == thread.pid && !self.processes.contains_key(&thread.pid);
                self.processes_summed += u64::from(unlisted);
                self.ended[sum].merge(&thread);
                return;
            }
        }
        // Of a process that lived between two looks nothing is known but what it did.
        self.processes.entry(thread.pid).or_insert_with(|| Process {
            pid: thread.pid,
            comm: thread.comm.clone(),
            exe: None,
            alive: false,
            listens: None,
            listeners: Vec::new(),
        });
        self.ended.push(thread);
    }
}

/// What threads must have in common to be summed up: whoever accepts is no worker, and who was there before was not born
/// for a connection.
fn kind(thread: &Thread) -> (bool, bool, bool, bool) {
    (thread.born, thread.kernel_io, thread.accepts.calls > 0, thread.receives.calls > 0)
}
