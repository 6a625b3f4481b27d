//! Loads the object into the kernel and attaches its programs.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use super::program::{Program, RAW_COST, RAW_TRACEPOINTS, Way, is_absent};
use super::registers::{self, SAVED_REGISTERS};
use super::{Tier, slots, timeline};
use crate::kernel::btf::Facts;
use crate::kernel::ids;
use crate::kernel::proc::Proc;
use aya::programs::ProgramError;
use aya::{Btf, Ebpf, EbpfLoader};
use trace_common::kernel::{MISSING, Offsets};
use trace_common::slot;

/// One program, and where it is attached.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    /// Name of the program in the object.
    pub program: &'static str,
    /// Tracepoint, by the names that kernels have for it, the newest first.
    pub tracepoints: &'static [&'static str],
    /// What is lost without it; `None` if nothing can be measured then.
    pub lost: Option<&'static str>,
}

const fn required(name: &'static [&'static str]) -> Hook {
    Hook { program: name[0], tracepoints: name, lost: None }
}

const fn optional(name: &'static [&'static str], lost: &'static str) -> Hook {
    Hook { program: name[0], tracepoints: name, lost: Some(lost) }
}

impl Hook {
    /// The tracepoints to try, the best first. What a kernel has that is asked for its types is in them. None: it has none
    /// of those, and can do without.
    fn candidates(&self, facts: &Facts, way: Way) -> &'static [&'static str] {
        if way == Way::Raw {
            return self.tracepoints; // by attempt: the types are somebody's file
        }
        match self.tracepoints.iter().position(|tracepoint| facts.tracepoints.contains_key(tracepoint)) {
            Some(at) => &self.tracepoints[at..=at],
            // Where nothing can replace it, the kernel is asked all the same, and says what is wrong.
            None if self.lost.is_none() => &self.tracepoints[..1],
            None => &[],
        }
    }

    /// That the kernel refused it.
    pub fn refused(&self, source: ProgramError) -> LoadError {
        LoadError::Refused { hook: self.program, source }
    }
}

/// What is lost without any of the hooks on rings.
const NO_RINGS: &str = "io_uring is not seen";

/// The hooks, in the order in which they are attached: the scheduler first, then exits, then entries, so that nothing
/// that begins under trace ends unseen; one gate opens last.
pub const HOOKS: [Hook; 18] = [
    required(&["sched_process_exit"]),
    required(&["sched_process_exec"]),
    required(&["task_newtask"]),
    required(&["sched_waking"]),
    required(&["sched_switch"]),
    required(&["sys_exit"]),
    optional(&["io_uring_complete"], NO_RINGS),
    optional(&["io_uring_task_work_run"], "user time after a copy in task work counts as kernel time"),
    optional(&["io_uring_queue_async_work"], "io-wq's share is not known"),
    optional(&["io_uring_poll_arm"], "receives by multishot requests may not be recognised"),
    optional(&["io_uring_task_add"], "multishot requests older than the trace are not known"),
    Hook {
        program: "io_uring_submit",
        tracepoints: &["io_uring_submit_req", "io_uring_submit_sqe"],
        lost: Some("io_uring's multishot and readiness requests are not known"),
    },
    optional(&["io_uring_create"], "rings are known from their first request on only"),
    optional(&["signal_generate"], "signals dequeued without siginfo are not recognised"),
    optional(&["signal_deliver"], "signal-driven I/O is not seen"),
    optional(&["sock_recv_length"], "receives are resolved by descriptor (kernel before 6.3)"),
    optional(&["skb_copy_datagram_iovec"], "no first-byte event: every copy is an upper bound"),
    required(&["sys_enter"]),
];

/// All tracepoints that a hook may be attached to.
pub fn tracepoints() -> impl Iterator<Item = &'static str> {
    HOOKS.iter().flat_map(|hook| hook.tracepoints.iter().copied())
}

/// Maps of what a target has, whose length can be limited.
const LIMITED: [&str; 8] =
    ["CONNS", "PEERS", "EPOLLS", "PIPES", "RINGS", "MULTISHOTS", "REQUESTS", "SIGNALS"];

/// How large the maps are made.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Length of the table of thread ids: `pid_max`.
    pub pid_max: u32,
    /// Records of threads to begin with.
    pub slots: u32,
    /// Records of connections, and of requests in flight on rings. Where they do not suffice, the one that was used
    /// longest ago gives way.
    pub conns: u32,
    /// Most entries of the maps beside them; for tests.
    pub limit: Option<u32>,
    /// A timeline is recorded: its ring has [`timeline::RING_BYTES`] instead of a page.
    pub timeline: bool,
}

/// Most programs that are verified at once.
const MOST_WORKERS: usize = 4;
/// Fewest records of threads to begin with: a burst of births must not wait for the first look. One takes 1.8 KB.
const MIN_SLOTS: u32 = 4 * slot::CHUNK;
/// Fewest records of connections, and most: that many take 100 MB of the kernel's memory.
const CONNS: RangeInclusive<u32> = 16_384..=262_144;

impl Sizes {
    /// For these processes. Connections: twice what they have, since they may come to have more.
    pub fn of(proc: &Proc, pids: &BTreeSet<u32>) -> Sizes {
        let descriptors: usize = pids.iter().map(|pid| proc.descriptors(*pid)).sum();
        let conns = u32::try_from(descriptors).unwrap_or(u32::MAX).saturating_mul(2);
        let threads = pids.iter().map(|pid| proc.threads(*pid).len()).sum();
        let slots = slots::wanted(threads, 0).max(MIN_SLOTS);
        let conns = conns.clamp(*CONNS.start(), *CONNS.end());
        Sizes { pid_max: proc.pid_max(), slots, conns, timeline: false, limit: None }
    }

    /// With maps of so many entries, if any.
    pub fn limited(self, limit: Option<u32>) -> Sizes {
        Sizes { conns: limit.unwrap_or(self.conns), limit, ..self }
    }

    /// For a trial: the canary needs one record of a thread.
    pub fn small(proc: &Proc) -> Sizes {
        Sizes { pid_max: proc.pid_max(), slots: 2, conns: *CONNS.start(), timeline: false, limit: None }
    }
}

/// Why the probes could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The object itself is unusable.
    #[error("the probe object cannot be loaded: {0}")]
    Object(#[from] aya::EbpfError),
    /// The kernel's types are unusable for the loader.
    #[error("the kernel's BTF cannot be used: {0}")]
    Btf(#[from] aya::BtfError),
    /// The kernel refused a program.
    #[error("the kernel refused hook {hook}: {source}")]
    Refused {
        /// The hook.
        hook: &'static str,
        /// Its answer.
        source: ProgramError,
    },
    /// It was left out on purpose, and nothing can replace it.
    #[error("hook {0} was left out")]
    Withheld(&'static str),
    /// There is no such hook to leave out.
    #[error("there is no hook {0}")]
    Unknown(String),
    /// The object has no such program or map.
    #[error("the probe object has no {0}")]
    NoProgram(&'static str),
    /// Tier sched has no other source.
    #[error(
        "it could not be learned where this kernel saves a task's registers, which tier sched reads calls from"
    )]
    Unlearned,
}

/// The probes, attached but with the gate shut. Dropping it detaches and frees everything.
pub struct Probes {
    /// Maps and programs.
    pub ebpf: Ebpf,
    /// Hooks that are not there, and what is lost by it; and that the programs are raw tracepoints, if they are.
    pub degraded: Vec<(&'static str, &'static str)>,
    /// Records of threads to begin with.
    pub slots: u32,
}

/// Loads `object`, whose programs are of this kind, and attaches all hooks of a tier but those that this kernel refuses and
/// that can be done without, and those that `without` names.
///
/// # Errors
/// If the kernel refuses the object, or a hook that nothing can replace.
pub fn load(
    loader: EbpfLoader<'static>,
    object: &[u8],
    way: Way,
    facts: &Facts,
    sizes: Sizes,
    tier: Tier,
    without: &[String],
) -> Result<Probes, LoadError> {
    let is_hook = |name: &str| HOOKS.iter().any(|hook| hook.program == name) || name == SAVED_REGISTERS;
    if let Some(name) = without.iter().find(|name| !is_hook(name)) {
        return Err(LoadError::Unknown(name.clone()));
    }
    let mut object = open(loader, object, way, facts, sizes, tier)?;
    let is_left_out = |hook: &Hook| without.iter().any(|name| name == hook.program);
    let mut hooks: Vec<Hook> = HOOKS.into_iter().filter(|hook| tier.has(hook.program)).collect();
    if let Some(hook) = hooks.iter().find(|hook| is_left_out(hook) && hook.lost.is_none()) {
        return Err(LoadError::Withheld(hook.program));
    }
    let left_out = hooks.iter().filter(|hook| is_left_out(hook));
    let mut degraded: Vec<_> = left_out.filter_map(|hook| Some((hook.program, hook.lost?))).collect();
    hooks.retain(|hook| !is_left_out(hook));
    let refused_ones = verify(&mut object, facts, &hooks)?;
    degraded.extend(refused_ones.iter().filter_map(|hook| Some((hook.program, hook.lost?))));
    hooks.retain(|hook| refused_ones.iter().all(|refused| refused.program != hook.program));
    if way == Way::Raw {
        degraded.push((RAW_TRACEPOINTS, RAW_COST));
        let is_asked = without.iter().all(|name| name != SAVED_REGISTERS);
        degraded.extend(object.learn(tier, is_asked)?);
    }
    for hook in hooks {
        let candidates = hook.candidates(facts, way);
        if candidates.is_empty() {
            degraded.extend(hook.lost.map(|lost| (hook.program, lost)));
            continue;
        }
        match (object.program(hook)?.attach(candidates), hook.lost) {
            (Ok(()), _) => {}
            (Err(_), Some(lost)) => degraded.push((hook.program, lost)),
            (Err(e), None) => return Err(hook.refused(e)),
        }
    }
    Ok(Probes { ebpf: object.ebpf, degraded, slots: sizes.slots })
}

/// Has the kernel verify the programs of these hooks, several at once: that is most of the time that loading takes. Returns
/// those that it refused and that can be done without.
fn verify(object: &mut Object, facts: &Facts, hooks: &[Hook]) -> Result<Vec<Hook>, LoadError> {
    let way = object.way();
    let mut programs = BTreeMap::new();
    for (name, program) in object.ebpf.programs_mut() {
        programs.insert(name.to_owned(), program);
    }
    let mut work = Vec::new();
    for hook in hooks {
        let candidates = hook.candidates(facts, way);
        if candidates.is_empty() {
            continue;
        }
        let program = programs.remove(hook.program).ok_or(LoadError::NoProgram(hook.program))?;
        let program = Program::of(program, object.types.as_ref()).map_err(|e| hook.refused(e))?;
        work.push((*hook, candidates, program));
    }
    // Taken from the end, where sys_enter is: what takes longest comes first.
    let work = Mutex::new(work);
    let next = || work.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let refused_ones = Mutex::new(Vec::new());
    let worker = || -> Result<(), LoadError> {
        while let Some((hook, candidates, mut program)) = next() {
            match (program.load(candidates), hook.lost) {
                (Ok(()), _) => {}
                (Err(_), Some(_)) => {
                    refused_ones.lock().unwrap_or_else(PoisonError::into_inner).push(hook);
                }
                (Err(e), None) => return Err(hook.refused(e)),
            }
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_WORKERS);
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let own = worker();
        // A worker that panicked left its program unloaded: attaching says so.
        others.into_iter().filter_map(|other| other.join().ok()).fold(own, Result::and)
    })?;
    Ok(refused_ones.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// A loader. Made, it has parsed the kernel's types, which takes some 50 ms and which nothing here has a use for
/// ([`ids::table`]): a work for another thread, before anything is known that it is told later.
pub fn loader() -> EbpfLoader<'static> {
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    loader
}

/// An object whose maps are made.
pub struct Object {
    /// Maps and programs.
    pub ebpf: Ebpf,
    /// The types that its programs are verified against; none for raw tracepoints.
    types: Option<Btf>,
}

/// Makes the maps of `object`; no program is loaded yet.
///
/// # Errors
/// If the kernel refuses a map, or its types cannot be used.
pub fn open(
    loader: EbpfLoader<'static>,
    object: &[u8],
    way: Way,
    facts: &Facts,
    sizes: Sizes,
    tier: Tier,
) -> Result<Object, LoadError> {
    let calls_untraced = if tier == Tier::Full { MISSING } else { 0 };
    let timeline = if sizes.timeline { 0 } else { MISSING };
    let words = Offsets { calls_untraced, timeline, ..facts.offsets }.words();
    let types = match way {
        Way::Typed => Some(ids::table(&facts.tracepoints)?),
        Way::Raw => None,
    };
    let mut loader: EbpfLoader<'_> = loader;
    if let Some(entries) = sizes.limit {
        for map in LIMITED {
            loader.map_max_entries(map, entries);
        }
    }
    if sizes.timeline {
        loader.map_max_entries(timeline::RING, timeline::RING_BYTES);
    }
    let ebpf = loader
        .override_global("OFFSETS", &words[..], true)
        .map_max_entries("TID_SLOT", sizes.pid_max)
        .map_max_entries("CONNS", sizes.conns)
        .map_max_entries("MULTISHOTS", sizes.conns)
        .map_max_entries("REQUESTS", sizes.conns)
        .load(object)?;
    Ok(Object { ebpf, types })
}

impl Object {
    fn way(&self) -> Way {
        if self.types.is_some() { Way::Typed } else { Way::Raw }
    }

    fn program(&mut self, hook: Hook) -> Result<Program<'_>, LoadError> {
        let program = self.ebpf.program_mut(hook.program).ok_or(LoadError::NoProgram(hook.program))?;
        Program::of(program, self.types.as_ref()).map_err(|e| hook.refused(e))
    }

    /// Loads and attaches one hook; returns it and what is lost if this kernel does not have it and need not.
    ///
    /// # Errors
    /// If the kernel refuses it, or it is missing and nothing can replace it.
    pub fn attach(
        &mut self,
        facts: &Facts,
        hook: Hook,
    ) -> Result<Option<(&'static str, &'static str)>, LoadError> {
        let candidates = hook.candidates(facts, self.way());
        let absent = hook.lost.map(|lost| (hook.program, lost));
        if candidates.is_empty() {
            return Ok(absent);
        }
        let mut program = self.program(hook)?;
        match program.load(candidates).and_then(|()| program.attach(candidates)) {
            Ok(()) => Ok(None),
            Err(e) if absent.is_some() && is_absent(&e) => Ok(absent),
            Err(e) => Err(hook.refused(e)),
        }
    }

    /// Learns where saved registers lie, which raw tracepoints have to be told; returns what is lost if that is not known.
    ///
    /// # Errors
    /// If the kernel refuses the program that learns it, or if nothing can be measured without.
    pub fn learn(
        &mut self,
        tier: Tier,
        is_asked: bool,
    ) -> Result<Option<(&'static str, &'static str)>, LoadError> {
        match is_asked && registers::learn(&mut self.ebpf)? {
            true => Ok(None),
            // There they are all that is known of a call.
            false if tier == Tier::Sched => Err(LoadError::Unlearned),
            false => Ok(Some((SAVED_REGISTERS, registers::LOST))),
        }
    }
}
