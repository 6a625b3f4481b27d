//! The tier without probes: threads are looked at in `/proc`, at a rate that is stated, by whoever may read it there.
//!
//! The time on a CPU and on the run queue is the scheduler's own count, exact; the rest of a thread's life was asleep,
//! and is shared out among what samples saw it sleep in. What no file of `/proc` shows — receives, bytes, episodes, the
//! copy — is not measured.

mod thread;
mod waits;
mod wchan;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::convert::Span;
use super::{Options, Progress, Tier, census, clock, own};
use crate::failure::{Code, Failure};
use crate::kernel::proc::{Moment, Proc, Stat};
use crate::snapshot::{
    Calibration, Cost, EndedBy, Process, Sampled, Snapshot, Thread, ThreadSamples, Tool, Window,
};
use thread::{Counts, Watched};
use waits::Sockets;

/// Rounds over all threads that are asked for, a second. A nap of a poller or a wait of 10 ms is seen in some of them.
const ASKED_HZ: f64 = 100.0;
/// Part of one CPU that sampling may take; where a round takes longer, there are fewer.
const BUDGET: f64 = 0.10;
/// How far ahead of its budget it may be, as time of the window: the first looks at sockets take longer than later ones.
const CREDIT: Duration = Duration::from_millis(500);
/// How often the kernel's counts of a thread are read: what it did last is known that well if it ends.
const COUNT_EVERY: u64 = 100_000_000;
/// How often processes, their listeners and descriptors are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// When the first interim snapshot is taken, and how often after it.
const INTERIM: Duration = Duration::from_secs(1);
/// Longest sleep between two looks for an interrupt.
const TICK: Duration = Duration::from_millis(20);
/// Ended threads listed one by one.
const MAX_ENDED: usize = 1_000;
/// Sockets of a process whose flags are looked at.
const MAX_FLAGS: usize = 64;
/// `O_ASYNC`, x86-64.
const O_ASYNC: u32 = 0o20_000;

struct Session<'a> {
    options: &'a Options,
    proc: Proc,
    start: u64,
    started_at: String,
    steal: Option<u64>,
    own_cpu: u64,
    /// Each with when it began, in clock ticks since boot.
    processes: BTreeMap<u32, (Process, u64)>,
    threads: BTreeMap<u32, Watched>,
    ended: Vec<(Thread, ThreadSamples)>,
    unreadable: u64,
    sockets: Sockets,
    o_async: u64,
    rounds: u64,
    degraded: Vec<String>,
}

/// Measures without probes. `why` says what kept a better tier from it, if one was asked for.
///
/// # Errors
/// If nobody is there, or nothing of them may be read.
pub fn measure(
    options: &Options,
    why: Option<&str>,
    stop: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Snapshot, Failure> {
    let proc = Proc::system();
    progress(Progress::Step("reading the target's threads in /proc"));
    let mut session = Session {
        options,
        start: clock::now(),
        started_at: clock::wall(),
        steal: proc.steal_ns(),
        own_cpu: own::cpu_ns(),
        proc,
        processes: BTreeMap::new(),
        threads: BTreeMap::new(),
        ended: Vec::new(),
        unreadable: 0,
        sockets: Sockets::default(),
        o_async: 0,
        rounds: 0,
        degraded: why.map(|why| format!("tier proc: {why}")).into_iter().collect(),
    };
    census::check_chosen(&session.proc, options)?;
    session.look();
    (session.start, session.started_at, session.own_cpu) = (clock::now(), clock::wall(), own::cpu_ns());
    session.enumerate(false);
    census::check_chosen(&session.proc, options)?;
    if session.threads.is_empty() {
        return Err(session.nobody());
    }
    progress(Progress::Open);
    let (processes, threads) = (session.processes.len(), session.threads.len());
    progress(Progress::Attached { processes, threads });
    session.run(stop, progress)
}

impl Session<'_> {
    fn nobody(&self) -> Failure {
        if self.unreadable == 0 {
            return census::gone(&self.options.pids);
        }
        let why = format!(
            "/proc shows {} of its threads, and none of their files may be read (is /proc mounted with hidepid?)",
            self.unreadable
        );
        Failure::new(Code::NotPermitted, "the target may not be sampled", why)
            .fix("run trace as the target's user, or with sudo")
    }

    fn run(
        mut self,
        stop: &dyn Fn() -> bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Snapshot, Failure> {
        let begun = Instant::now();
        let deadline = self.options.duration.map(|d| begun + d);
        let mut next_look = begun + LOOK_EVERY;
        let mut next_interim = begun + INTERIM;
        let mut next_interval = self.options.interval.map(|every| begun + every);
        let budget = self.options.max_overhead.unwrap_or(BUDGET).min(BUDGET);
        let asked = Duration::from_secs_f64(1.0 / ASKED_HZ);
        let mut next_round = begun;
        let ended_by = loop {
            if stop() {
                break EndedBy::Interrupt;
            }
            let now = Instant::now();
            if deadline.is_some_and(|d| now >= d) {
                break EndedBy::Duration;
            }
            if now >= next_round {
                if now >= next_look {
                    next_look = now + LOOK_EVERY;
                    self.look();
                }
                self.round();
                if self.threads.is_empty() {
                    break EndedBy::TargetExit;
                }
                let spent = Duration::from_nanos(own::cpu_ns().saturating_sub(self.own_cpu));
                let earned = begun + spent.div_f64(budget).saturating_sub(CREDIT);
                next_round = (next_round + asked).max(now).max(earned);
            }
            if now >= next_interim {
                next_interim = now + INTERIM;
                progress(Progress::Interim(Box::new(self.snapshot(EndedBy::Open))));
            }
            if let (Some(next), Some(every)) = (next_interval, self.options.interval)
                && now >= next
            {
                next_interval = Some(next.max(now - every) + every);
                progress(Progress::Interval(Box::new(self.snapshot(EndedBy::Open))));
            }
            let until = deadline.map_or(next_round, |d| d.min(next_round));
            std::thread::sleep(until.saturating_duration_since(Instant::now()).min(TICK));
        };
        self.close();
        Ok(self.snapshot(ended_by))
    }

    /// Processes of the target, their listeners, and flags of their sockets.
    fn look(&mut self) {
        for (pid, started) in census::tree(&self.proc, self.options) {
            let known = self.processes.remove(&pid).filter(|(_, then)| *then == started);
            let Some((mut process, started)) = known.or_else(|| census::process(&self.proc, pid)) else {
                continue;
            };
            self.sockets.ports.extend(census::look_at_listeners(&self.proc, &mut process));
            self.processes.insert(pid, (process, started));
        }
    }

    /// Begins to watch threads that are not watched yet; `born`: since the window is open.
    fn enumerate(&mut self, born: bool) {
        self.unreadable = 0;
        for pid in self.processes.keys().copied().collect::<Vec<_>>() {
            for tid in self.proc.threads(pid) {
                if self.threads.contains_key(&tid) {
                    continue;
                }
                let Some(stat) = self.proc.stat(pid, tid) else {
                    self.unreadable += 1;
                    continue;
                };
                if matches!(stat.state, 'Z' | 'X' | 'x') {
                    continue;
                }
                let counts = Counts::read(&self.proc, pid, tid, &stat);
                self.threads.insert(tid, Watched::new(pid, &stat, counts, born, clock::now()));
            }
        }
    }

    /// One sample of every thread.
    fn round(&mut self) {
        self.enumerate(true);
        self.rounds += 1;
        let mut gone = Vec::new();
        for (&tid, watched) in &mut self.threads {
            let pid = watched.pid;
            // Another one may have its id by now.
            let same = |s: &Stat| s.start_ticks == watched.start_ticks && !matches!(s.state, 'Z' | 'X' | 'x');
            let Some(stat) = self.proc.stat(pid, tid).filter(same) else {
                gone.push(tid);
                continue;
            };
            let moment = self.proc.moment(pid, tid);
            let now = clock::now();
            let look = match (stat.state, moment) {
                ('R', _) | (_, Moment::Runnable) => None,
                (state, Moment::Asleep(call)) => {
                    watched.told += 1;
                    waits::in_call(&self.proc, &mut self.sockets, pid, tid, call, state)
                }
                (state, Moment::Denied | Moment::Gone) => {
                    let look = waits::in_function(&self.proc, &mut self.sockets, pid, tid, state);
                    let known =
                        look.as_ref().is_some_and(|l| l.wait.width.is_some() || l.wait.syscall.is_some());
                    watched.told += u64::from(known);
                    watched.by_function += u64::from(known);
                    look
                }
            };
            watched.sample(look, now);
            watched.rename(&stat.comm);
            if now.saturating_sub(watched.counted_at) >= COUNT_EVERY {
                watched.count(Counts::read(&self.proc, pid, tid, &stat), now);
            }
        }
        for tid in gone {
            let Some(watched) = self.threads.remove(&tid) else { continue };
            let (thread, samples) = (watched.thread(tid, None), watched.samples(tid));
            let room = self.ended.len() < MAX_ENDED;
            match self.ended.iter_mut().rev().find(|(t, _)| !room && t.pid == thread.pid) {
                Some((sum, _)) => sum.merge(&thread),
                None => self.ended.push((thread, samples)),
            }
        }
    }

    /// Last looks, while the window is still open.
    fn close(&mut self) {
        for (&tid, watched) in &mut self.threads {
            if let Some(stat) = self.proc.stat(watched.pid, tid) {
                let counts = Counts::read(&self.proc, watched.pid, tid, &stat);
                watched.count(counts, clock::now());
            }
        }
        for (process, started) in self.processes.values_mut() {
            process.alive = false;
            if self.proc.start_ticks(process.pid) == Some(*started) {
                census::refresh(&self.proc, process);
            }
        }
        self.o_async = self.processes.keys().map(|pid| self.with_o_async(*pid)).sum();
    }

    fn with_o_async(&self, pid: u32) -> u64 {
        let sockets = self.proc.open_fds(pid).into_iter();
        let sockets = sockets.filter(|fd| self.proc.socket_inode(pid, *fd).is_some()).take(MAX_FLAGS);
        let is_async = |fd: &u64| self.proc.file_flags(pid, *fd).is_some_and(|flags| flags & O_ASYNC != 0);
        sockets.filter(is_async).count() as u64
    }

    fn snapshot(&self, ended_by: EndedBy) -> Snapshot {
        let span = Span { start: self.start, end: clock::now() };
        let living = self.threads.iter().map(|(tid, w)| (w.thread(*tid, Some(span.end)), w.samples(*tid)));
        let mut threads: Vec<(Thread, ThreadSamples)> = self.ended.iter().cloned().chain(living).collect();
        threads.sort_by_key(|(t, _)| (t.pid, t.tid));
        let (threads, samples): (Vec<Thread>, Vec<ThreadSamples>) = threads.into_iter().unzip();
        let duration_ns = span.end.saturating_sub(span.start);
        Snapshot {
            tool: Tool {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                tier: Tier::Proc.name().to_owned(),
                object_sha256: String::new(),
                command: Some(super::command_line()),
                steps: Vec::new(),
            },
            host: census::host(),
            window: Window {
                started_at: self.started_at.clone(),
                duration_ns,
                ended_by,
                steal_ns: self.steal.zip(self.proc.steal_ns()).map(|(b, a)| a.saturating_sub(b)),
            },
            pids: self.options.pids.clone(),
            processes_summed: 0,
            processes: self.processes.values().map(|(process, _)| process.clone()).collect(),
            threads,
            connections: Vec::new(),
            peers: Vec::new(),
            turns: None,
            distributions: BTreeMap::new(),
            loss: super::loss::none(),
            degraded: self.degraded.clone(),
            calibration: Calibration::default(),
            cost: Cost { own_cpu_ns: Some(own::cpu_ns().saturating_sub(self.own_cpu)), ..Cost::default() },
            calls: Vec::new(),
            timeline: None,
            sampled: Some(self.sampled(duration_ns, samples)),
        }
    }

    fn sampled(&self, duration_ns: u64, threads: Vec<ThreadSamples>) -> Sampled {
        let watched = || self.threads.values();
        Sampled {
            asked_hz: ASKED_HZ,
            achieved_hz: self.rounds as f64 * 1e9 / duration_ns.max(1) as f64,
            rounds: self.rounds,
            denied: watched().filter(|w| w.is_denied()).count() as u64,
            by_wchan: watched().filter(|w| w.by_function > 0).count() as u64,
            yama: self.proc.yama(),
            o_async: self.o_async,
            threads,
        }
    }
}
