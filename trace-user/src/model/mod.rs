//! The model: a pure function from a snapshot to verdicts. No I/O, no clock, and the only place that names a verdict.

pub mod balance;
pub mod findings;
pub mod following;
pub mod io_model;
mod loops;
mod programs;
pub mod roles;
mod sampled;
pub mod server_model;
pub mod storage;
pub mod tally;
pub mod thresholds;
pub mod verdict;
pub mod wilson;
mod workers;

use std::collections::BTreeMap;

use trace_common::conn::Side;

use crate::snapshot::{Connection, Program, Snapshot, Thread};
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
    if let Some(samples) = &snapshot.sampled {
        return sampled::classify(snapshot, samples);
    }
    let limits = limits(snapshot);
    let whole = Members {
        threads: snapshot.threads.iter().collect(),
        connections: snapshot.connections.iter().collect(),
    };
    let mut io_model = judge(&whole, limits);
    io_model.upstream = upstream(&whole, &io_model, limits);
    io_model.storage = storage::decide(snapshot.threads.iter(), limits).map(Box::new);
    let by_program = members(snapshot, Thread::program, |c| (c.pid, c.epoch));
    let nobody = Members::default();
    let of_program = |program: Program| judge(by_program.get(&program).unwrap_or(&nobody), limits);
    let processes = snapshot.processes.iter().map(|p| (p.program(), of_program(p.program()))).collect();
    let by_thread = members(snapshot, |t| (t.tid, t.epoch), |c| (c.tid, c.epoch));
    let threads = by_thread.iter().filter(|(_, members)| !members.threads.is_empty());
    // Later programs of a thread come later.
    let threads: BTreeMap<u32, IoVerdict> =
        threads.map(|((tid, _), members)| (*tid, judge(members, limits))).collect();
    let joined = programs::joined(snapshot);
    let snapshot = &*joined;
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
        below_full: !snapshot.tool.is_full(),
        signals_seen: !snapshot.degraded.iter().any(|lost| lost.starts_with("signal_deliver:")),
        hooks_missing: snapshot.degraded.iter().filter(|lost| hides_a_model(lost)).count(),
        server_side: true,
    }
}

/// Some threads, and the connections that they serve.
#[derive(Default)]
struct Members<'a> {
    threads: Vec<&'a Thread>,
    connections: Vec<&'a Connection>,
}

/// All threads and connections by a key of theirs: in one pass, since there may be ten thousand of each.
fn members<K: Ord>(
    snapshot: &Snapshot,
    of_thread: impl Fn(&Thread) -> K,
    of_connection: impl Fn(&Connection) -> K,
) -> BTreeMap<K, Members<'_>> {
    let mut all: BTreeMap<K, Members> = BTreeMap::new();
    for thread in &snapshot.threads {
        all.entry(of_thread(thread)).or_default().threads.push(thread);
    }
    for connection in &snapshot.connections {
        all.entry(of_connection(connection)).or_default().connections.push(connection);
    }
    all
}

/// The verdict on some threads and their connections.
fn judge(members: &Members, limits: Limits) -> IoVerdict {
    let tally = |sides: &[Side]| Tally::of(&members.threads, &members.connections, sides);
    let server = tally(&SERVER_SIDES);
    let watched = limits.below_full && server.watched();
    if server.decided() + server.undecided > 0 || server.never_waited() || watched {
        return io_model::decide(&server, limits);
    }
    let others = tally(&OTHER_SIDES);
    let threads = || members.threads.iter().copied();
    if limits.canary.is_some()
        && others.decided() + others.undecided == 0
        && storage::alone(threads())
        && let Some(verdict) = storage::decide(threads(), limits)
    {
        return IoVerdict { qualifier: Some(storage::QUALIFIER.to_owned()), ..verdict };
    }
    io_model::decide(&others, Limits { server_side: false, ..limits })
}

/// How the target waits for those whom it asks itself.
fn upstream(whole: &Members, verdict: &IoVerdict, limits: Limits) -> Option<Box<IoVerdict>> {
    let judged_by_client = verdict.evidence.iter().any(|e| e.code == "client-side");
    let tally = Tally::of(&whole.threads, &whole.connections, &[Side::Client]);
    if judged_by_client || tally.decided() == 0 {
        return None;
    }
    Some(Box::new(io_model::decide(&tally, limits)))
}

/// `1 switch`, `2 switches`.
fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
