//! From a snapshot and its verdicts to the report: pure, and the only place that fills a [`Report`].

use std::collections::BTreeMap;

use trace_common::conn::Side;
use trace_common::receive::{Accepts, Receives};

use super::ledger::Ledger;
use super::measured::Measured;
use super::peers::peers;
use super::residual::residual;
use super::schema::{
    BySide, Calibration, Call, Cost, Exited, Host, Process, Report, Samples, Sampling, Target, Thread, Tool,
    VERSION, Verdict,
};
use super::timeline::Timeline;
use super::turns::Turns;
use crate::model::verdict::Verdicts;
use crate::snapshot::{self, Snapshot, ThreadSamples};

/// Loss counters that every report has (contract, DESIGN §7).
pub const LOSSES: [&str; 13] = [
    "exit_without_enter",
    "enter_without_exit",
    "clock_backwards",
    "slots_exhausted",
    "map_full",
    "ring_full",
    "recursion_missed",
    "compat_calls",
    "torn_reads",
    "user_faults",
    "threads_missed",
    "completed_unmatched",
    "generation_dropped",
];

/// Counters that stand among the losses and are none: what they count was put right, or is only information.
pub const NO_LOSSES: [&str; 5] =
    ["early_wakeups", "recovered_wakeups", "recovered_switches", "connections_seen", "connections_folded"];

/// The report on `snapshot`.
pub fn build(snapshot: &Snapshot, verdicts: &Verdicts) -> Report {
    let mut loss: BTreeMap<String, u64> = LOSSES.map(|name| (name.to_owned(), 0)).into();
    loss.extend(snapshot.loss.iter().map(|(name, &count)| (name.clone(), count)));
    let sampled: BySampled = snapshot.sampled.iter().flat_map(|s| &s.threads).map(|s| (s.tid, s)).collect();
    let mut threads: BTreeMap<snapshot::Program, Vec<&snapshot::Thread>> = BTreeMap::new();
    snapshot.threads.iter().for_each(|thread| threads.entry(thread.program()).or_default().push(thread));
    let of_process = |p: &snapshot::Process| {
        process(p, threads.get(&p.program()).map_or(&[], Vec::as_slice), snapshot, verdicts, &sampled)
    };
    Report {
        schema_version: VERSION.into(),
        tool: Tool {
            name: "trace".into(),
            version: snapshot.tool.version.clone(),
            tier: snapshot.tool.tier.clone(),
            object_sha256: Some(snapshot.tool.object_sha256.clone()).filter(|sha| !sha.is_empty()),
            command: snapshot.tool.command.clone(),
            steps: snapshot.tool.steps.clone(),
        },
        host: Host { kernel: snapshot.host.kernel.clone(), arch: snapshot.host.arch.clone() },
        window: snapshot.window.clone(),
        target: target(snapshot),
        verdict: Verdict { io_model: verdicts.io_model.clone(), server_model: verdicts.server_model.clone() },
        processes: snapshot.processes.iter().map(of_process).collect(),
        peers: peers(snapshot),
        turns: snapshot.turns.as_ref().filter(|_| sees_calls(snapshot)).map(Turns::of).unwrap_or_default(),
        handovers: verdicts.handovers.clone(),
        balance: verdicts.balance.clone(),
        following: verdicts.following.clone(),
        distributions: snapshot.distributions.clone(),
        findings: verdicts.findings.clone(),
        blind_spots: verdicts.blind_spots.clone(),
        loss,
        calibration: calibration(&snapshot.calibration),
        cost: cost(snapshot.cost, snapshot.window.duration_ns),
        // What is made of the scheduler's own count says nothing about it.
        residual: residual(snapshot.threads.iter().filter(|_| probed(snapshot))),
        sampling: snapshot.sampled.as_ref().map(sampling),
        degraded: snapshot.degraded.clone(),
        calls: (!snapshot.calls.is_empty()).then(|| snapshot.calls.iter().map(call).collect()),
        timeline: snapshot.timeline.as_ref().map(Timeline::of),
    }
}

fn target(snapshot: &Snapshot) -> Target {
    // What it ran last.
    let last = |pid: &u32| snapshot.processes.iter().rfind(|p| p.pid == *pid);
    let first = snapshot.pids.first().and_then(last).or(snapshot.processes.first());
    // Who executed a program is a thread of both.
    let executed = snapshot.processes.iter().filter(|p| p.by_exec).count() as u64;
    let threads: u64 = snapshot.threads.iter().map(|t| t.count).sum();
    Target {
        pids: snapshot.pids.clone(),
        comm: first.map(|p| p.comm.clone()),
        exe: first.and_then(|p| p.exe.clone()),
        processes: (snapshot.processes.len() as u64).saturating_sub(executed) + snapshot.processes_summed,
        threads: threads.saturating_sub(executed),
        container: first.and_then(|p| p.container.clone()),
    }
}

/// What samples showed, by thread.
type BySampled<'a> = BTreeMap<u32, &'a ThreadSamples>;

fn process(
    process: &snapshot::Process,
    threads: &[&snapshot::Thread],
    snapshot: &Snapshot,
    verdicts: &Verdicts,
    sampled: &BySampled,
) -> Process {
    let threads = || threads.iter().copied();
    let verdict = verdicts.processes.get(&process.program());
    // The verdict on the whole tree is that of its only process; of several, none has one of its own.
    let only = snapshot.processes.len() == 1;
    Process {
        pid: process.pid,
        comm: process.comm.clone(),
        io_model: verdict.map(|v| v.name),
        server_model: only.then(|| verdicts.server_model.name.clone()),
        exited: exited(threads().filter(|t| !t.alive), snapshot),
        threads: threads().filter(|t| t.alive).map(|t| thread(t, snapshot, verdicts, sampled)).collect(),
        exe: process.exe.clone(),
        alive: process.alive,
        epoch: process.epoch,
        by_exec: process.by_exec,
        began_ns: process.began_ns,
        inner_pid: process.inner_pid,
        container: process.container.clone(),
        io_verdict: verdict.cloned(),
    }
}

/// Whether it was measured by probes, and not by samples.
fn probed(snapshot: &Snapshot) -> bool {
    snapshot.sampled.is_none()
}

/// Whether it was measured by probes on system calls.
fn sees_calls(snapshot: &Snapshot) -> bool {
    probed(snapshot) && snapshot.tool.is_full()
}

/// No time in any account that is measured.
fn nothing(snapshot: &Snapshot) -> Ledger {
    match (snapshot.threads.first(), probed(snapshot)) {
        (_, false) => Ledger::zero(snapshot::is_sampled),
        (Some(thread), true) => Ledger(thread.ledger.keys().map(|&account| (account, 0)).collect()),
        (None, true) => Ledger::zero(|_| true),
    }
}

fn exited<'a>(threads: impl Iterator<Item = &'a snapshot::Thread>, snapshot: &Snapshot) -> Exited {
    let (mut receives, mut accepts) = (Receives::ZERO, Accepts::ZERO);
    let mut sum = Exited {
        threads: 0,
        ledger: nothing(snapshot),
        receives: Measured::default(),
        lived_ns: 0,
        unsplit_ns: 0,
        accepts: Measured::default(),
        wait_data_by_side: BySide::default(),
    };
    for thread in threads {
        sum.threads += thread.count;
        sum.lived_ns += thread.lived_ns;
        sum.unsplit_ns += thread.unsplit_ns;
        sum.ledger.add(&thread.ledger);
        receives.add(&thread.receives);
        accepts.add(&thread.accepts);
        add_sides(&mut sum.wait_data_by_side, by_side(&thread.wait_data_by_side));
    }
    sum.receives = Measured::when(probed(snapshot), receives);
    sum.accepts = Measured::when(sees_calls(snapshot), accepts);
    sum
}

fn thread(
    thread: &snapshot::Thread,
    snapshot: &Snapshot,
    verdicts: &Verdicts,
    sampled: &BySampled,
) -> Thread {
    let (known, calls) = (probed(snapshot), sees_calls(snapshot));
    let verdict = verdicts.threads.get(&thread.tid);
    Thread {
        tid: thread.tid,
        comm: thread.comm.clone(),
        role: verdicts.roles.get(&thread.tid).copied(),
        io_model: verdict.map(|v| v.name),
        lived_ns: thread.lived_ns,
        check: thread.schedstat,
        ledger: Ledger(thread.ledger.clone()),
        unsplit_ns: thread.unsplit_ns,
        wait_data_by_side: by_side(&thread.wait_data_by_side),
        receives: Measured::when(known, thread.receives),
        accepts: Measured::when(calls, thread.accepts),
        in_flight: thread.in_flight.clone(),
        confidence: verdict.and_then(|v| v.confidence),
        receive_syscall: thread.receive_syscall.clone(),
        readiness: Measured::when(known, thread.readiness),
        event_loop: thread.event_loop.clone().filter(|_| calls),
        served: Measured::when(calls, thread.served.clone()),
        busy_share: share(thread.on_cpu_ns(), thread.lived_ns),
        episodes: Measured::when(known, thread.episodes.clone()),
        announced: Measured::when(known, thread.announced),
        storage: Measured::when(known, thread.storage),
        sends: Measured::when(calls, thread.sends),
        sent_bytes: Measured::when(calls, thread.sent_bytes),
        sleeps: thread.sleeps,
        preemptions: thread.preemptions,
        waited_before: thread.waited_before,
        silent: thread.silent,
        kernel_io: thread.kernel_io,
        samples: sampled.get(&thread.tid).map(|s| samples(s)),
    }
}

fn samples(of: &ThreadSamples) -> Samples {
    Samples { count: of.samples, runnable: of.runnable, seen: of.seen.clone() }
}

fn sampling(s: &snapshot::Sampled) -> Sampling {
    Sampling {
        asked_hz: s.asked_hz,
        achieved_hz: s.achieved_hz,
        rounds: s.rounds,
        threads_denied: s.denied,
        threads_by_wchan: s.by_wchan,
        yama_scope: s.yama,
        o_async_sockets: s.o_async,
    }
}

/// `None` of nothing.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn by_side(ns: &BTreeMap<Side, u64>) -> BySide {
    let of = |side| ns.get(&side).copied().unwrap_or(0);
    BySide {
        server_ns: of(Side::Server),
        client_ns: of(Side::Client),
        local_ns: of(Side::Local),
        other_ns: of(Side::Other) + of(Side::Datagram),
    }
}

/// Adds `more` to `sum`.
pub(super) fn add_sides(sum: &mut BySide, more: BySide) {
    let BySide { server_ns, client_ns, local_ns, other_ns } = more;
    sum.server_ns += server_ns;
    sum.client_ns += client_ns;
    sum.local_ns += local_ns;
    sum.other_ns += other_ns;
}

fn calibration(c: &snapshot::Calibration) -> Calibration {
    Calibration {
        done: c.done,
        done_bytes: c.done_bytes,
        measured: c.measured,
        measured_bytes: c.measured_bytes,
        measured_slept: c.measured_slept,
        exact: c.is_exact(),
        floor_ns: c.floor_ns,
    }
}

fn cost(c: snapshot::Cost, window_ns: u64) -> Cost {
    Cost {
        bpf_run_ns: c.bpf_run_ns,
        events: c.events,
        cpu_share: c.cpu_share,
        map_bytes: c.map_bytes,
        sampled_ns: c.sampled_ns,
        own_cpu_ns: c.own_cpu_ns,
        own_cpu_share: c.own_cpu_ns.and_then(|ns| share(ns, window_ns)),
    }
}

fn call(c: &trace_common::call::LoggedCall) -> Call {
    Call {
        tid: c.tid,
        nr: c.nr,
        entered_at_ns: c.entered_at,
        ended_at_ns: c.ended_at,
        result: c.result,
        wait_data_ns: c.wait_data_ns,
        wait_other_ns: c.wait_other_ns,
        runqueue_ns: c.runqueue_ns,
        preempted_ns: c.preempted_ns,
        copy_ns: c.copy_ns,
        kernel_ns: c.kernel_ns,
    }
}
