//! One measurement: load, prove, enumerate, open the window, watch, close, read.

mod ended;
mod programs;
mod read;
mod roll;
mod room;
mod start;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use trace_common::call::LoggedCall;
use trace_common::kernel::Control;

use super::convert::Span;
use super::cost::Sampler;
use super::kmaps::Maps;
use super::load::Probes;
use super::loss::Noticed;
use super::program::Way;
use super::timeline::Recorder;
use super::{Options, Progress, canary, census, clock, each, object, pace, silent};
use crate::failure::{Code, Failure};
use crate::kernel::drop;
use crate::kernel::proc::Proc;
use crate::snapshot::{Calibration, EndedBy, Schedstat, Snapshot, Step, Thread, Tool};
use programs::Programs;
use room::Room;

pub(super) use start::refused;

/// Processes born in the window whose listeners are looked for at its end; each takes a read of `/proc/PID/fd`.
const MAX_LOOKS: usize = 64;
/// How far ahead the end of the window is set, ns: it must be known to all handlers before it is reached.
const LEAD: u64 = 200_000;
/// How long handlers that were in flight when the gate shut may take to finish.
const GRACE: Duration = Duration::from_millis(2);
/// When the first interim snapshot is taken: what a busy server did until then decides.
const FIRST_INTERIM: Duration = Duration::from_millis(250);
/// How often after it.
const INTERIM: Duration = Duration::from_secs(1);
/// Silent threads are asked for one part in so many of the time, until all have been.
const ASKING: u32 = 4;
/// How often the table of thread ids is asked, too, which records are in use: a thread whose end was booked says so in its
/// record.
const THOROUGH: Duration = Duration::from_secs(1);

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
    /// Names of threads, by id and by the beginning of their program.
    names: BTreeMap<(u32, u64), String>,
    baseline: BTreeMap<u32, Schedstat>,
    programs: Programs,
    processes_summed: u64,
    /// Ended threads, each with the beginning of its program.
    ended: Vec<(u64, Thread)>,
    calls: Vec<LoggedCall>,
    timeline: Option<Recorder>,
    noticed: Noticed,
    sampler: Sampler,
    silent: silent::Samples,
    room: Room,
}

/// What was loaded and does not work all the same.
pub(super) fn broken(e: anyhow::Error) -> Failure {
    let denied = start::errno(&e) == Some(libc::EPERM);
    let code = if denied { Code::NotPermitted } else { Code::Internal };
    Failure::new(code, "the measurement broke", format!("{e:#}"))
}

impl<'a> Session<'a> {
    /// Loads, lets the canary sing, gives every thread a record and opens the window.
    pub fn open(options: &'a Options, progress: &mut dyn FnMut(Progress)) -> Result<Session<'a>, Failure> {
        let proc = Proc::system();
        progress(Progress::Step("loading the probes"));
        let way = Way::here();
        let object =
            object::bytes(way).map_err(|e| Failure::internal("the probe object cannot be read", e))?;
        let mut probes = start::probes(options, way, &object, &proc)?;
        let limit = options.faults.map_entries;
        let mut maps = Maps::take(&mut probes.ebpf, options.tier, probes.slots, limit).map_err(broken)?;
        let recorder = options.timeline.map(|limit| Recorder::take(&mut probes.ebpf, limit));
        let mut timeline = recorder.transpose().map_err(broken)?;
        let by_descriptor =
            options.by_descriptor || probes.degraded.iter().any(|(h, _)| *h == "sock_recv_length");
        let mut control = Control {
            log_calls: options.log_calls.min(1),
            by_descriptor: u32::from(by_descriptor),
            follow: u32::from(options.follow),
            ..Control::SHUT
        };
        progress(Progress::Step("checking the probes with known receives"));
        let (calibration, rq_offset) = canary::run(&mut maps, &proc, control).map_err(broken)?;
        canary::check(&calibration)?;
        timeline.iter_mut().for_each(Recorder::forget);
        control.rq_offset = rq_offset;
        let tool = Tool {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            tier: options.tier.name().to_owned(),
            object_sha256: object::sha256(&object),
            command: Some(super::command_line()),
            steps: Vec::new(),
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
            programs: Programs::default(),
            processes_summed: 0,
            ended: Vec::new(),
            calls: Vec::new(),
            timeline,
            noticed: Noticed::default(),
            sampler: Sampler::idle(),
            silent: silent::Samples::default(),
            room: Room::default(),
        };
        session.begin(progress)?;
        Ok(session)
    }

    fn begin(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), Failure> {
        progress(Progress::Step("listing the target's threads"));
        self.maps.set_control(self.control).map_err(broken)?;
        self.enumerate()?;
        self.listeners().map_err(broken)?;
        let threads = self.in_use();
        if threads.is_empty() {
            return Err(census::gone(&self.options.pids));
        }
        self.steal = self.proc.steal_ns();
        self.started_at = clock::wall();
        self.baseline =
            each::of_threads(&self.proc, &threads, |tasks, thread| tasks.schedstat(thread.tgid, thread.tid));
        self.room = Room::of(threads.len());
        self.control.epoch = 2;
        self.control.start = clock::now();
        self.maps.set_control(self.control).map_err(broken)?;
        progress(Progress::Open);
        self.released_at = clock::now();
        progress(Progress::Attached { processes: self.programs.processes(), threads: threads.len() });
        Ok(())
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
        self.sampler = Sampler::begin(&self.probes.ebpf, self.options.max_overhead.is_some());
        // Who may have to load a lower tier keeps the rights to.
        if let (Some(ahead), None) = (self.options.ahead, self.options.max_overhead) {
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
            if self.is_too_dear() {
                break EndedBy::Overhead;
            }
            let thorough = now >= next_thorough;
            if thorough {
                next_thorough = now + THOROUGH;
            }
            let found = self.fold(thorough).map_err(broken)?;
            if found.living == 0 {
                break EndedBy::TargetExit;
            }
            let (births, spare) = self.make_room(&found);
            let pause = pace::after_fold(now.elapsed(), births, spare);
            // The ring of a timeline is made for this pace.
            let pause = if self.timeline.is_some() { pause.min(pace::TICK) } else { pause };
            if now >= next_interim {
                let begun = Instant::now();
                let snapshot = self.so_far()?;
                progress(Progress::Read { threads: snapshot.threads.len(), took: begun.elapsed() });
                progress(Progress::Interim(Box::new(snapshot)));
                next_interim = now + pace::after_interim(INTERIM, begun.elapsed());
            }
            if found.living >= silent::Samples::WORTH && now >= begun + FIRST_INTERIM {
                let slots = &self.maps.slots;
                self.silent.go_on(&self.proc, slots.count(), |slot| slots.brief(slot), pause / ASKING);
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

    /// Whether it costs more than it may; then the step down is noted.
    fn is_too_dear(&mut self) -> bool {
        let Some(limit) = self.options.max_overhead else { return false };
        let Some(cost_share) = self.sampler.above(limit) else { return false };
        self.tool.steps.push(Step {
            at_ns: 0,
            from: self.tool.tier.clone(),
            to: None,
            cost_share,
            limit_share: limit,
            window_ns: clock::now().saturating_sub(self.control.start),
            io_model: None,
            confidence: None,
            reported: false,
        });
        true
    }

    /// What was seen since the window's start; threads without an event stay unknown until its end.
    fn so_far(&mut self) -> Result<Snapshot, Failure> {
        let span = Span { start: self.control.start, end: clock::now() };
        self.snapshot(span, EndedBy::Open, &BTreeMap::new(), &BTreeMap::new())
    }

    /// Closes the window and reads.
    fn finish(mut self, ended_by: EndedBy) -> Result<Snapshot, Failure> {
        self.sampler.poll(&self.probes.ebpf, true);
        let living = self.in_use();
        let samples = std::mem::take(&mut self.silent).complete(&self.proc, &living);
        self.control.end = clock::now() + LEAD;
        self.maps.set_control(self.control).map_err(broken)?;
        // On a crowded machine that may have taken longer; until then handlers went on booking.
        self.control.end = self.control.end.max(clock::now());
        while clock::now() < self.control.end {
            std::hint::spin_loop();
        }
        let stats = each::of_threads(&self.proc, &living, |tasks, r| tasks.schedstat(r.tgid, r.tid));
        std::thread::sleep(GRACE);
        self.fold(false).map_err(broken)?;
        self.count_missed().map_err(broken)?;
        let mut born = self.programs.pids();
        born.retain(|pid| self.programs.latest(*pid).is_some_and(|p| p.alive && p.listens.is_none()));
        for pid in born.into_iter().take(MAX_LOOKS) {
            self.look_at_listeners(pid);
        }
        let span = Span { start: self.control.start, end: self.control.end };
        self.snapshot(span, ended_by, &samples, &stats)
    }
}
