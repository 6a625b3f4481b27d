//! One measurement: load, prove, enumerate, open the window, watch, close, read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use trace_common::account::Account;
use trace_common::call::LoggedCall;
use trace_common::kernel::Control;
use trace_common::ledger;
use trace_common::loss::{Loss, Nowhere};
use trace_common::thread::{Sched, Thread as Record};

use super::convert::{self, Span};
use super::cost::Sampler;
use super::kmaps::{Brief, Maps};
use super::load::{self, LoadError, Probes, Sizes};
use super::loss::{self, Noticed};
use super::{Options, Progress, canary, clock, held, object, pace, permitted, silent};
use crate::failure::{Code, Failure};
use crate::kernel::btf::{BtfError, Facts};
use crate::kernel::drop;
use crate::kernel::proc::{Proc, Stat};
use crate::snapshot::{
    Calibration, EndedBy, Host, Listener, Peer, Process, Schedstat, Snapshot, Thread, Tool, Window,
};

/// Passes over `/proc` until one finds no thread without a record.
const MAX_PASSES: u32 = 50;
/// Ended threads listed one by one; further ones are summed up per process.
const MAX_ENDED: usize = 1_000;
/// Processes born in the window whose listeners are looked for at its end; each takes a read of `/proc/PID/fd`.
const MAX_LOOKS: usize = 64;
/// How far ahead the end of the window is set, ns: it must be known to all handlers before it is reached.
const LEAD: u64 = 200_000;
/// How long handlers that were in flight when the gate shut may take to finish.
const GRACE: Duration = Duration::from_millis(2);
/// When the first interim snapshot is taken: what a busy server did until then decides.
const FIRST_INTERIM: Duration = Duration::from_millis(500);
/// How often after it.
const INTERIM: Duration = Duration::from_secs(1);
/// How often the table of thread ids is asked, too, which records are in use: a thread whose end was booked says so in its
/// record.
const THOROUGH: Duration = Duration::from_secs(1);

/// What a fold found.
struct Folded {
    living: usize,
    freed: usize,
}

/// A measurement under way. Dropping it detaches everything.
pub struct Session<'a> {
    options: &'a Options,
    probes: Probes,
    maps: Maps,
    proc: Proc,
    control: Control,
    tool: Tool,
    calibration: Calibration,
    started_at: String,
    /// When a held target was let go.
    released_at: u64,
    steal: Option<u64>,
    names: BTreeMap<u32, String>,
    baseline: BTreeMap<u32, Schedstat>,
    processes: BTreeMap<u32, Process>,
    processes_summed: u64,
    ended: Vec<Thread>,
    calls: Vec<LoggedCall>,
    noticed: Noticed,
    sampler: Sampler,
}

pub(super) fn broken(e: anyhow::Error) -> Failure {
    Failure::internal("the measurement broke", format!("{e:#}"))
}

impl<'a> Session<'a> {
    /// Loads, lets the canary sing, gives every thread a record and opens the window.
    pub fn open(options: &'a Options, progress: &mut dyn FnMut(Progress)) -> Result<Session<'a>, Failure> {
        let proc = Proc::system();
        progress(Progress::Step("loading the probes"));
        let object = object::bytes().map_err(|e| Failure::internal("the probe object cannot be read", e))?;
        let mut probes = load_probes(options, &object, &proc)?;
        let mut maps = Maps::take(&mut probes.ebpf, options.tier).map_err(broken)?;
        for slot in 1..maps.slot_count() {
            maps.free(slot).map_err(broken)?;
        }
        let by_descriptor =
            options.by_descriptor || probes.degraded.iter().any(|(h, _)| *h == "sock_recv_length");
        let mut control = Control {
            start: 0,
            end: 0,
            log_calls: options.log_calls.min(1),
            by_descriptor: u32::from(by_descriptor),
            follow: u32::from(options.follow),
            reserved: 0,
            rq_offset: 0,
        };
        progress(Progress::Step("checking the probes with known receives"));
        let (calibration, rq_offset) = canary::run(&mut maps, &proc, control).map_err(broken)?;
        canary::check(&calibration)?;
        control.rq_offset = rq_offset;
        let tool = Tool {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            tier: options.tier.name().to_owned(),
            object_sha256: object::sha256(&object),
            command: Some(std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()),
        };
        let mut session = Session {
            options,
            probes,
            maps,
            proc,
            control,
            tool,
            calibration,
            started_at: String::new(),
            released_at: 0,
            steal: None,
            names: BTreeMap::new(),
            baseline: BTreeMap::new(),
            processes: BTreeMap::new(),
            processes_summed: 0,
            ended: Vec::new(),
            calls: Vec::new(),
            noticed: Noticed::default(),
            sampler: Sampler::Unavailable,
        };
        session.begin(progress)?;
        Ok(session)
    }

    fn begin(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), Failure> {
        progress(Progress::Step("listing the target's threads"));
        self.maps.set_control(self.control).map_err(broken)?;
        self.enumerate()?;
        self.listeners().map_err(broken)?;
        let threads: Vec<(u32, u32)> = self.in_use().iter().map(|r| (r.tgid, r.tid)).collect();
        if threads.is_empty() {
            let pids: Vec<String> = self.options.pids.iter().map(u32::to_string).collect();
            return Err(Failure::new(
                Code::NoTarget,
                format!("cannot attach to process {}", pids.join(", ")),
                "it ended before any of its threads was seen",
            ));
        }
        self.steal = self.proc.steal_ns();
        self.started_at = clock::wall();
        for (pid, tid) in &threads {
            if let Some(stat) = self.proc.schedstat(*pid, *tid) {
                self.baseline.insert(*tid, stat);
            }
        }
        self.control.start = clock::now();
        self.maps.set_control(self.control).map_err(broken)?;
        progress(Progress::Open);
        self.released_at = clock::now();
        progress(Progress::Attached { processes: self.processes.len(), threads: threads.len() });
        Ok(())
    }

    /// Processes of the target at present.
    fn tree(&self) -> BTreeSet<u32> {
        let mut pids = if self.options.follow {
            self.proc.tree(&self.options.pids)
        } else {
            self.options.pids.iter().copied().collect()
        };
        pids.remove(&std::process::id());
        pids
    }

    /// Gives every thread a record, until a pass finds none without one: `task_newtask` reports all that come later.
    fn enumerate(&mut self) -> Result<(), Failure> {
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

    fn register(&mut self, pid: u32, tid: u32) -> Result<bool, Failure> {
        if self.maps.slot_of(tid) != 0 {
            return Ok(false);
        }
        let Some(slot) = self.maps.allocate() else { return Ok(false) };
        let stat = self.proc.stat(pid, tid);
        let kernel_io = stat.as_ref().is_some_and(Stat::is_kernel_io);
        self.maps.register(tid, pid, slot, kernel_io).map_err(broken)?;
        if let Some(stat) = stat {
            self.names.insert(tid, stat.comm);
        }
        Ok(true)
    }

    fn note_process(&mut self, pid: u32) {
        if let Some(stat) = self.proc.stat(pid, pid) {
            let exe = self.proc.exe(pid);
            let process =
                Process { pid, comm: stat.comm, exe, alive: true, listens: None, listeners: Vec::new() };
            self.processes.insert(pid, process);
        }
    }

    fn listeners(&mut self) -> anyhow::Result<()> {
        let pids: Vec<u32> = self.processes.keys().copied().collect();
        for pid in pids {
            for port in self.look_at_listeners(pid) {
                self.maps.listen_on(port)?;
            }
        }
        Ok(())
    }

    /// Notes whether a process holds a listener, and returns the ports of those it does.
    fn look_at_listeners(&mut self, pid: u32) -> BTreeSet<u16> {
        let Some(inodes) = self.proc.sockets(pid) else { return BTreeSet::new() };
        let theirs = self.proc.listening(pid, &inodes);
        let listeners: Vec<Listener> =
            theirs.iter().map(|l| Listener { port: l.address.port(), inode: l.inode }).collect();
        let ports = listeners.iter().map(|l| l.port).collect();
        if let Some(process) = self.processes.get_mut(&pid) {
            process.listens = Some(!listeners.is_empty());
            process.listeners = listeners;
        }
        ports
    }

    /// All records in use.
    fn in_use(&self) -> Vec<Brief> {
        (1..self.maps.slot_count()).filter_map(|slot| self.maps.brief(slot)).collect()
    }

    /// Watches until the window ends, and reads what was measured.
    pub fn run(
        mut self,
        stop: &dyn Fn() -> bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Snapshot, Failure> {
        let begun = Instant::now();
        let deadline = self.options.duration.map(|d| begun + d);
        let mut next_interim = begun + FIRST_INTERIM;
        let mut next_interval = self.options.interval.map(|every| begun + every);
        let mut next_thorough = begun;
        self.sampler = Sampler::begin(&self.probes.ebpf);
        if let Some(ahead) = self.options.ahead {
            drop::all_but(ahead)?;
        }
        let ended_by = loop {
            if stop() {
                break EndedBy::Interrupt;
            }
            let now = Instant::now();
            if deadline.is_some_and(|d| now >= d) {
                break EndedBy::Duration;
            }
            self.sampler.poll(&self.probes.ebpf, false);
            let thorough = now >= next_thorough;
            if thorough {
                next_thorough = now + THOROUGH;
            }
            let Folded { living, freed } = self.fold(thorough).map_err(broken)?;
            if living == 0 {
                break EndedBy::TargetExit;
            }
            let spare = (self.maps.slot_count() as usize).saturating_sub(living);
            let pause = pace::after_fold(now.elapsed(), freed, spare);
            if now >= next_interim {
                let begun = Instant::now();
                let snapshot = self.so_far()?;
                progress(Progress::Read { threads: snapshot.threads.len(), took: begun.elapsed() });
                progress(Progress::Interim(Box::new(snapshot)));
                next_interim = now + pace::after_interim(INTERIM, begun.elapsed());
            }
            if let (Some(next), Some(every)) = (next_interval, self.options.interval)
                && now >= next
            {
                // What is late does not make the next one late.
                next_interval = Some(next.max(now - every) + every);
                progress(Progress::Interval(Box::new(self.so_far()?)));
            }
            let due = [deadline, next_interval].into_iter().flatten().min();
            let until = due.map_or(pause, |due| due.saturating_duration_since(Instant::now()).min(pause));
            std::thread::sleep(until);
        };
        let asked = Instant::now();
        let snapshot = self.finish(ended_by)?;
        progress(Progress::Read { threads: snapshot.threads.len(), took: asked.elapsed() });
        Ok(snapshot)
    }

    /// What was seen since the window's start; threads without an event stay unknown until its end.
    fn so_far(&mut self) -> Result<Snapshot, Failure> {
        let span = Span { start: self.control.start, end: clock::now() };
        self.snapshot(span, EndedBy::Open, &BTreeMap::new(), &BTreeMap::new())
    }

    /// Folds the records of ended threads and frees them. If `thorough`, it also frees those of threads that ended without
    /// that being booked, as before the window was open.
    fn fold(&mut self, thorough: bool) -> anyhow::Result<Folded> {
        let fresh = self.maps.logged();
        let room = (self.options.log_calls as usize).saturating_sub(self.calls.len());
        self.calls.extend(fresh.into_iter().take(room));
        let mut found = Folded { living: 0, freed: 0 };
        for brief in self.in_use() {
            let ask = thorough || brief.sched == Sched::Dead as u8;
            if !ask || self.maps.slot_of(brief.tid) == brief.slot {
                found.living += 1;
                self.note_newborn(brief);
                continue;
            }
            let span = Span { start: self.control.start, end: clock::now() };
            if let Some((record, _)) = self.maps.record(brief.slot)
                && record.sched() == Sched::Dead
            {
                let comm = convert::last_name(&record).unwrap_or_else(|| self.name(record.tid, record.tgid));
                let thread = self.correct(convert::thread(&record, comm, span));
                self.end(thread);
            }
            self.names.remove(&brief.tid);
            self.maps.free(brief.slot)?;
            found.freed += 1;
        }
        Ok(found)
    }

    fn note_newborn(&mut self, record: Brief) {
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

    /// Keeps an ended thread: one by one up to a limit, then summed up with one of its kind: of the same process, or of any
    /// that was not asked for.
    fn end(&mut self, mut thread: Thread) {
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

    fn name(&self, tid: u32, pid: u32) -> String {
        self.names
            .get(&tid)
            .cloned()
            .or_else(|| self.processes.get(&pid).map(|p| p.comm.clone()))
            .unwrap_or_else(|| "?".to_owned())
    }

    /// Closes the window and reads.
    fn finish(mut self, ended_by: EndedBy) -> Result<Snapshot, Failure> {
        self.sampler.poll(&self.probes.ebpf, true);
        let living = self.in_use();
        let samples: BTreeMap<u32, silent::Sample> = living
            .iter()
            .filter(|r| r.sched == Sched::Unseen as u8)
            .filter_map(|r| Some((r.tid, silent::sample(&self.proc, r.tgid, r.tid)?)))
            .collect();
        self.control.end = clock::now() + LEAD;
        self.maps.set_control(self.control).map_err(broken)?;
        // On a crowded machine that may have taken longer; until then handlers went on booking.
        self.control.end = self.control.end.max(clock::now());
        while clock::now() < self.control.end {
            std::hint::spin_loop();
        }
        let stats: BTreeMap<u32, Schedstat> =
            living.iter().filter_map(|r| Some((r.tid, self.proc.schedstat(r.tgid, r.tid)?))).collect();
        std::thread::sleep(GRACE);
        self.fold(false).map_err(broken)?;
        self.count_missed();
        let born = self.processes.values().filter(|p| p.alive && p.listens.is_none());
        for pid in born.map(|p| p.pid).take(MAX_LOOKS).collect::<Vec<_>>() {
            self.look_at_listeners(pid);
        }
        let span = Span { start: self.control.start, end: self.control.end };
        self.snapshot(span, ended_by, &samples, &stats)
    }

    fn count_missed(&mut self) {
        for pid in self.tree() {
            for tid in self.proc.threads(pid) {
                if self.maps.slot_of(tid) != 0 {
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
            process.alive = self.proc.is_alive(process.pid);
            if let Some(stat) = self.proc.stat(process.pid, process.pid) {
                process.comm = stat.comm;
            }
        }
    }

    fn snapshot(
        &mut self,
        span: Span,
        ended_by: EndedBy,
        samples: &BTreeMap<u32, silent::Sample>,
        stats: &BTreeMap<u32, Schedstat>,
    ) -> Result<Snapshot, Failure> {
        let mut threads = self.ended.clone();
        for brief in self.in_use() {
            let Some((record, torn)) = self.maps.record(brief.slot) else { continue };
            self.noticed.torn_reads += u64::from(torn && self.control.end != 0);
            threads.push(self.living(record, span, samples, stats.get(&record.tid)));
        }
        convert::add_rings(&mut threads, &self.maps.rings());
        threads.sort_by_key(|t| (t.pid, t.tid));
        let losses = self.maps.losses().map_err(broken)?;
        let connections = self.maps.connections();
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
            host: host(),
            window: self.window(span, ended_by),
            pids: self.options.pids.clone(),
            processes: self.processes.values().cloned().collect(),
            processes_summed: self.processes_summed,
            threads,
            connections: connections.iter().map(convert::connection).collect(),
            peers,
            turns: Some(turns),
            distributions,
            loss: loss::report(&losses, self.noticed, loss::recursion_misses(&self.probes.ebpf)),
            degraded: self.probes.degraded.iter().map(|(hook, lost)| format!("{hook}: {lost}")).collect(),
            calibration: self.calibration.clone(),
            cost: self.sampler.cost(span.end.saturating_sub(span.start), self.maps.bytes()),
            calls: self.calls.clone(),
        })
    }

    fn window(&self, span: Span, ended_by: EndedBy) -> Window {
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

    fn living(
        &self,
        mut record: Record,
        span: Span,
        samples: &BTreeMap<u32, silent::Sample>,
        stat: Option<&Schedstat>,
    ) -> Thread {
        let comm = self.name(record.tid, record.tgid);
        let before = match self.baseline.get(&record.tid) {
            Some(before) => Some(*before),
            None if record.born_at != 0 => Some(Schedstat { run_ns: 0, delay_ns: 0 }),
            None => None,
        };
        let stat = stat.zip(before).map(|(after, before)| Schedstat {
            run_ns: after.run_ns.saturating_sub(before.run_ns),
            delay_ns: after.delay_ns.saturating_sub(before.delay_ns),
        });
        let mut thread = if record.sched() == Sched::Unseen {
            silent::thread(&record, comm, span, samples.get(&record.tid), stat)
        } else {
            let asleep = self.is_asleep(&record);
            ledger::close(&mut record, span.end, asleep, &mut Nowhere);
            convert::thread(&record, comm, span)
        };
        thread.schedstat = stat;
        self.correct(thread)
    }

    fn correct(&self, mut thread: Thread) -> Thread {
        if self.options.held && self.options.pids.contains(&thread.tid) {
            held::correct(&mut thread, self.released_at.saturating_sub(self.control.start));
        }
        thread
    }

    /// What `/proc` says of a thread whose last wake-up is older than its sleep; see [`ledger::close`].
    fn is_asleep(&self, record: &Record) -> Option<bool> {
        let ambiguous = record.sched() == Sched::Asleep
            && record.woken_at > record.on_at
            && record.woken_at < record.off_at;
        if !ambiguous {
            return None;
        }
        Some(self.proc.stat(record.tgid, record.tid)?.state != 'R')
    }
}

/// What threads must have in common to be summed up: whoever accepts is no worker, and who was there before was not born
/// for a connection.
fn kind(thread: &Thread) -> (bool, bool, bool, bool) {
    (thread.born, thread.kernel_io, thread.accepts.calls > 0, thread.receives.calls > 0)
}

fn load_probes(options: &Options, object: &[u8], proc: &Proc) -> Result<Probes, Failure> {
    let facts = Facts::read(&options.btf, load::tracepoints()).map_err(no_btf)?;
    give_back();
    let pids = if options.follow { proc.tree(&options.pids) } else { options.pids.iter().copied().collect() };
    let sizes = Sizes::of(proc, &pids).limited(options.faults.map_entries);
    let (tier, without) = (options.tier, &options.faults.without);
    let probes = load::load(object, &options.btf, &facts, sizes, tier, without).map_err(refused);
    give_back();
    probes
}

/// Gives freed memory back to the system: the kernel's types are large and needed only at the start.
fn give_back() {
    // SAFETY: no preconditions.
    unsafe { libc::malloc_trim(0) };
}

pub(super) fn no_btf(e: BtfError) -> Failure {
    Failure::new(Code::Kernel, "the kernel's types (BTF) cannot be used", e.to_string())
        .fix("a kernel built with CONFIG_DEBUG_INFO_BTF=y; check with: ls -l /sys/kernel/btf/vmlinux")
}

pub(super) fn refused(e: LoadError) -> Failure {
    let denied = {
        let mut source: Option<&dyn std::error::Error> = Some(&e);
        let mut found = false;
        while let Some(error) = source {
            found |= error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error)
                == Some(libc::EPERM);
            source = error.source();
        }
        found
    };
    let denied = denied || permitted::is_loading_forbidden();
    let detail = format!("{:?}", anyhow::Error::from(e));
    let why = detail.lines().next().unwrap_or_default().to_owned();
    if denied {
        return Failure::new(Code::NotPermitted, "the kernel does not permit the probes", why)
            .fix("sudo, or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE; check: cat /sys/kernel/security/lockdown")
            .detail(detail);
    }
    Failure::new(Code::Kernel, "the kernel refused the probes", why)
        .fix("a kernel from 6.1 on; -vv shows the verifier's log")
        .detail(detail)
}

fn host() -> Host {
    let uname = rustix::system::uname();
    Host {
        kernel: uname.release().to_string_lossy().into_owned(),
        arch: uname.machine().to_string_lossy().into_owned(),
    }
}
