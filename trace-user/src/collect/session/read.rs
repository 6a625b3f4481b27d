//! From the records in the kernel to a snapshot.

use std::collections::BTreeMap;

use trace_common::account::Account;
use trace_common::conn::Conn;
use trace_common::ledger;
use trace_common::loss::{Loss, Losses};
use trace_common::thread::{Sched, Thread as Record};

use super::super::convert::{self, Span};
use super::super::timeline::Tail;
use super::super::{census, cost, held, loss, silent};
use super::programs::Key;
use super::{Session, broken};
use crate::failure::Failure;
use crate::snapshot::timeline::Timeline;
use crate::snapshot::{EndedBy, Peer, Schedstat, Snapshot, Thread, Window};

impl Session<'_> {
    pub(super) fn snapshot(
        &mut self,
        span: Span,
        ended_by: EndedBy,
        samples: &BTreeMap<u32, silent::Sample>,
        stats: &BTreeMap<u32, Schedstat>,
    ) -> Result<Snapshot, Failure> {
        let programs = &self.programs;
        let of = |(at, t): &(u64, Thread)| Thread { epoch: programs.epoch_at(t.pid, *at), ..t.clone() };
        let mut threads: Vec<Thread> = self.ended.iter().map(of).collect();
        let mut tail = Tail::default();
        for brief in self.in_use() {
            let Some((record, torn)) = self.maps.slots.read(brief.slot) else { continue };
            self.noticed.torn_reads += u64::from(torn && self.control.end != 0);
            threads.push(self.living(record, span, samples, stats.get(&record.tid), &mut tail));
        }
        convert::add_rings(&mut threads, &self.maps.rings(), |pid, at| self.programs.epoch_at(pid, at));
        threads.sort_by_key(|t| (t.program(), t.tid));
        let losses = self.maps.losses().map_err(broken)?;
        let connections = self.maps.connections();
        let timeline = if ended_by == EndedBy::Open {
            None
        } else {
            self.timeline(tail, &threads, &connections, &losses)
        };
        let turns = self.maps.turns().map_err(broken)?;
        let turns = convert::turns(turns, self.maps.turn_times().map_err(broken)?, &connections);
        let peers: Vec<Peer> = self.maps.peers().iter().map(|(key, sum)| convert::peer(key, sum)).collect();
        let kept = connections.len() as u64 + peers.iter().map(|p| p.connections).sum::<u64>();
        let seen = losses.counts[Loss::ConnectionsSeen as usize];
        self.noticed.connections_evicted = seen.saturating_sub(kept);
        let mut distributions = BTreeMap::new();
        for account in Account::ALL {
            let buckets = self.maps.distribution(account).map_err(broken)?;
            if !buckets.is_empty() {
                distributions.insert(account, buckets);
            }
        }
        Ok(Snapshot {
            tool: self.tool.clone(),
            host: census::host(),
            window: self.window(span, ended_by),
            pids: self.options.pids.clone(),
            processes: self.programs.listing(span.start),
            processes_summed: self.processes_summed,
            threads,
            connections: connections
                .iter()
                .map(|conn| convert::connection(conn, |pid, at| self.programs.epoch_at(pid, at)))
                .collect(),
            peers,
            turns: Some(turns),
            distributions,
            loss: loss::report(&losses, self.noticed, loss::recursion_misses(&self.probes.ebpf)),
            degraded: self.probes.degraded.iter().map(|(hook, lost)| format!("{hook}: {lost}")).collect(),
            calibration: self.calibration.clone(),
            cost: self
                .sampler
                .cost(span.end.saturating_sub(span.start), cost::map_memory().unwrap_or(self.maps.bytes())),
            calls: self.calls.clone(),
            sampled: None,
            timeline,
        })
    }

    /// The timeline of a window that has ended.
    fn timeline(
        &mut self,
        tail: Tail,
        threads: &[Thread],
        connections: &[Conn],
        losses: &Losses,
    ) -> Option<Timeline> {
        let recorder = self.timeline.as_mut()?;
        recorder.add_turns(connections);
        recorder.add_tail(tail);
        for thread in threads.iter().filter(|t| t.alive) {
            recorder.name(thread.tid, thread.pid, &thread.comm);
        }
        if self.options.held {
            let ns = self.released_at.saturating_sub(self.control.start);
            self.options.pids.iter().for_each(|pid| recorder.held(*pid, ns));
        }
        self.noticed.timeline_dropped = recorder.dropped();
        Some(recorder.finish(self.control.start, losses.counts[Loss::TimelineDropped as usize]))
    }

    pub(super) fn window(&self, span: Span, ended_by: EndedBy) -> Window {
        Window {
            started_at: self.started_at.clone(),
            duration_ns: span.end.saturating_sub(span.start),
            ended_by,
            steal_ns: self
                .steal
                .zip(self.proc.steal_ns())
                .map(|(before, after)| after.saturating_sub(before)),
        }
    }

    pub(super) fn living(
        &self,
        mut record: Record,
        span: Span,
        samples: &BTreeMap<u32, silent::Sample>,
        stat: Option<&Schedstat>,
        tail: &mut Tail,
    ) -> Thread {
        let program = (record.tgid, record.program_at);
        let comm = self.name(record.tid, program);
        let before = match self.baseline.get(&record.tid) {
            // What the kernel had counted when the program began is not known.
            _ if convert::began_by_exec(&record) => None,
            Some(before) => Some(*before),
            None if record.born_at != 0 => Some(Schedstat { run_ns: 0, delay_ns: 0 }),
            None => None,
        };
        let stat = stat.zip(before).map(|(after, before)| Schedstat {
            run_ns: after.run_ns.saturating_sub(before.run_ns),
            delay_ns: after.delay_ns.saturating_sub(before.delay_ns),
        });
        let mut thread = if record.sched() == Sched::Unseen {
            silent::thread(&record, comm, span, samples.get(&record.tid), stat, tail)
        } else {
            let asleep = self.is_asleep(&record);
            ledger::close(&mut record, span.end, asleep, tail);
            convert::thread(&record, comm, span)
        };
        thread.schedstat = stat;
        thread.epoch = self.programs.epoch_at(record.tgid, record.program_at);
        self.correct(thread, program)
    }

    pub(super) fn correct(&self, mut thread: Thread, program: Key) -> Thread {
        if self.options.held && self.options.pids.contains(&thread.tid) && program.1 == 0 {
            held::correct(&mut thread, self.released_at.saturating_sub(self.control.start));
        }
        thread
    }

    /// What `/proc` says of a thread whose last wake-up is older than its sleep; see [`ledger::close`].
    pub(super) fn is_asleep(&self, record: &Record) -> Option<bool> {
        let ambiguous = record.sched() == Sched::Asleep
            && record.woken_at > record.on_at
            && record.woken_at < record.off_at;
        if !ambiguous {
            return None;
        }
        Some(self.proc.stat(record.tgid, record.tid)?.state != 'R')
    }
}
