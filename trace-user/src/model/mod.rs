//! The model: a pure function from a snapshot to verdicts. No I/O, no clock, and the only place that names a verdict.

pub mod balance;
pub mod findings;
pub mod following;
pub mod io_model;
mod loops;
pub mod roles;
pub mod server_model;
pub mod storage;
pub mod tally;
pub mod thresholds;
pub mod verdict;
pub mod wilson;
mod workers;

use std::collections::BTreeMap;

use trace_common::conn::Side;

use crate::snapshot::{Connection, Snapshot, Thread};
use io_model::Limits;
use tally::Tally;
use verdict::{IoVerdict, Verdicts};

/// The sides on which verdicts are decided.
const SERVER_SIDES: [Side; 2] = [Side::Server, Side::Datagram];
/// The sides that decide where no server side was seen. What processes of the target say to each other is not among
/// them: an idle uvicorn would be judged by its parent's messages to the workers.
const OTHER_SIDES: [Side; 2] = [Side::Client, Side::Other];

/// Loss counters that can touch a verdict; the others are information.
pub const LOSSES: [&str; 14] = [
    "exit_without_enter",
    "enter_without_exit",
    "clock_backwards",
    "slots_exhausted",
    "map_full",
    "recursion_missed",
    "nested",
    "compat_calls",
    "torn_reads",
    "user_faults",
    "lost_wakeups",
    "missed_switches",
    "completed_unmatched",
    "generation_dropped",
];

/// What the model says of `snapshot`.
pub fn classify(snapshot: &Snapshot) -> Verdicts {
    let limits = limits(snapshot);
    let mut io_model = judge(snapshot, &|_| true, &|_| true, limits);
    io_model.upstream = upstream(snapshot, &io_model, limits);
    io_model.storage = storage::decide(snapshot.threads.iter(), limits).map(Box::new);
    let processes = snapshot
        .processes
        .iter()
        .map(|p| (p.pid, judge(snapshot, &|t| t.pid == p.pid, &|c| c.pid == p.pid, limits)))
        .collect();
    let threads: BTreeMap<u32, IoVerdict> = snapshot
        .threads
        .iter()
        .map(|t| (t.tid, judge(snapshot, &|other| other.tid == t.tid, &|c| c.tid == t.tid, limits)))
        .collect();
    let server_model = server_model::decide(snapshot, &io_model);
    let mut verdicts = Verdicts {
        roles: roles::assign(snapshot, &server_model),
        findings: findings::find(snapshot, &io_model),
        blind_spots: findings::blind_spots(snapshot),
        server_model,
        balance: balance::of(snapshot),
        handovers: balance::handovers(snapshot),
        following: Some(following::of(snapshot)),
        io_model,
        processes,
        threads,
    };
    let more = [loops::find(snapshot, &verdicts), workers::find(snapshot, &verdicts)];
    verdicts.findings.extend(more.into_iter().flatten());
    verdicts
}

/// Whether the hook that is not there is one of those by which asynchronous or signal-driven I/O is known.
fn hides_a_model(lost: &str) -> bool {
    let hook = lost.split(':').next().unwrap_or_default();
    let only_times = ["io_uring_task_work_run"];
    (hook.starts_with("io_uring_") || hook.starts_with("signal_")) && !only_times.contains(&hook)
}

fn limits(snapshot: &Snapshot) -> Limits {
    let calibration = &snapshot.calibration;
    Limits {
        losses: LOSSES.iter().filter_map(|name| snapshot.loss.get(*name)).sum(),
        threads_missed: snapshot.loss.get("threads_missed").copied().unwrap_or(0),
        canary: (calibration.measured > 0).then(|| calibration.is_exact()),
        signals_seen: !snapshot.degraded.iter().any(|lost| lost.starts_with("signal_deliver:")),
        hooks_missing: snapshot.degraded.iter().filter(|lost| hides_a_model(lost)).count(),
        server_side: true,
    }
}

/// The verdict on the threads that `member` accepts and the connections that `mine` accepts.
fn judge(
    snapshot: &Snapshot,
    member: &dyn Fn(&Thread) -> bool,
    mine: &dyn Fn(&Connection) -> bool,
    limits: Limits,
) -> IoVerdict {
    let tally =
        |sides: &[Side]| Tally::of(snapshot, snapshot.threads.iter().filter(|t| member(t)), mine, sides);
    let server = tally(&SERVER_SIDES);
    if server.decided() + server.undecided > 0 || server.never_waited() {
        return io_model::decide(&server, limits);
    }
    let others = tally(&OTHER_SIDES);
    let members = || snapshot.threads.iter().filter(|t| member(t));
    if limits.canary.is_some()
        && others.decided() + others.undecided == 0
        && storage::alone(members())
        && let Some(verdict) = storage::decide(members(), limits)
    {
        return IoVerdict { qualifier: Some(storage::QUALIFIER.to_owned()), ..verdict };
    }
    io_model::decide(&others, Limits { server_side: false, ..limits })
}

/// How the target waits for those whom it asks itself.
fn upstream(snapshot: &Snapshot, verdict: &IoVerdict, limits: Limits) -> Option<Box<IoVerdict>> {
    let judged_by_client = verdict.evidence.iter().any(|e| e.code == "client-side");
    let tally = Tally::of(snapshot, snapshot.threads.iter(), |_| true, &[Side::Client]);
    if judged_by_client || tally.decided() == 0 {
        return None;
    }
    Some(Box::new(io_model::decide(&tally, limits)))
}

/// `1 switch`, `2 switches`.
fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
