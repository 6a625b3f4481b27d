//! Threads that ended within the window: their records are folded and freed.

use trace_common::thread::Sched;

use super::super::clock;
use super::super::convert::{self, Span};
use super::super::slots::Brief;
use super::super::timeline::Recorder;
use super::Session;
use crate::snapshot::Thread;

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
            if let Some((record, _)) = self.maps.slots.read(brief.slot)
                && record.sched() == Sched::Dead
            {
                let program = (record.tgid, record.program_at);
                let comm = convert::last_name(&record).unwrap_or_else(|| self.name(record.tid, program));
                self.timeline.iter_mut().for_each(|t| t.name(record.tid, record.tgid, &comm));
                let thread = self.correct(convert::thread(&record, comm, span), program);
                self.end(thread, brief);
            }
            self.names.remove(&(brief.tid, brief.program_at));
            self.silent.forget(brief.tid);
            self.baseline.remove(&brief.tid);
            self.maps.slots.give(brief.slot)?;
            found.freed += 1;
        }
        Ok(found)
    }

    /// Keeps an ended thread, `brief` being its record: one by one up to a limit, then summed up with one of its kind: of the
    /// same program, of the same process, or of any process that was not asked for.
    fn end(&mut self, mut thread: Thread, brief: Brief) {
        thread.alive = false;
        let (pid, at) = brief.program();
        let first = thread.tid == pid;
        if self.ended.len() >= MAX_ENDED {
            let asked_for = |t: &Thread| self.options.pids.contains(&t.pid);
            let find = |alike: &dyn Fn(u64, &Thread) -> bool| {
                self.ended.iter().rposition(|(at, t)| alike(*at, t) && kind(t) == kind(&thread))
            };
            let of_process = || find(&|_, t| t.pid == pid);
            let of_others = || if asked_for(&thread) { None } else { find(&|_, t| !asked_for(t)) };
            let sum = find(&|began, t| (t.pid, began) == (pid, at)).or_else(of_process).or_else(of_others);
            if let Some(sum) = sum {
                // A process ends with its first thread, or is listed by another one of its own. What it executed is no
                // further process, and who executed it no further thread.
                let unlisted = first && !self.programs.knows((pid, at));
                self.processes_summed += u64::from(unlisted && !brief.by_exec);
                thread.count = u64::from(!(unlisted && brief.by_exec));
                self.ended[sum].1.merge(&thread);
                return;
            }
        }
        self.programs.ended((pid, at), brief.by_exec, &thread.comm, first);
        self.ended.push((at, thread));
    }
}

/// What threads must have in common to be summed up: whoever accepts is no worker, and who was there before was not born
/// for a connection.
fn kind(thread: &Thread) -> (bool, bool, bool, bool) {
    (thread.born, thread.kernel_io, thread.accepts.calls > 0, thread.receives.calls > 0)
}
