//! The verdict on the server model: how connections are spread over threads and processes.
//!
//! Judged by those who serve connections, and by what they did: loops over several connections, workers bound to one
//! connection at a time, born for it or taking one after another. Where the window shows neither, both are named.

pub(super) mod crew;
mod loops;
#[cfg(test)]
mod tests;
mod workers;

use trace_common::conn::Side;

use super::counted;
use super::storage;
use super::tally::share;
use super::thresholds::{DEDICATED_SHARE, HIGH_EPISODES, SHARED_CONNECTIONS, WINNER_SHARE};
use super::verdict::{Alternative, Confidence, Evidence, IoModel, IoVerdict, Kind, ServerVerdict};
use crate::snapshot::{Connection, Snapshot};
use crew::Server;

/// What is to be judged.
#[derive(Clone, Copy)]
struct Case<'a> {
    snapshot: &'a Snapshot,
    io_model: &'a IoVerdict,
    servers: &'a [Server<'a>],
}

/// The verdict on `snapshot`, whose I/O model is `io_model`.
pub fn decide(snapshot: &Snapshot, io_model: &IoVerdict) -> ServerVerdict {
    let verdict = judge(snapshot, io_model);
    if snapshot.tool.is_full() || verdict.confidence.is_none() {
        return verdict;
    }
    let why = format!("Measured in tier {}, which is below full.", snapshot.tool.tier);
    // Whether a worker was born for its connection or takes one after another shows in who accepts.
    let by_accepts = verdict.name.ends_with("-per-connection") || verdict.name.ends_with("-pool");
    let most = if by_accepts { Confidence::Low } else { Confidence::Medium };
    let confidence = verdict.confidence.min(Some(most));
    with(ServerVerdict { confidence, ..verdict }, evidence("tier", why, 1.0, Some(0.5), false))
}

fn judge(snapshot: &Snapshot, io_model: &IoVerdict) -> ServerVerdict {
    let servers = crew::servers(snapshot);
    if servers.is_empty() {
        return nobody_serves(snapshot, io_model);
    }
    let case = Case { snapshot, io_model, servers: &servers };
    let (loops, bound): (u64, u64) = servers.iter().fold((0, 0), |(l, b), s| (l + s.loops, b + s.bound));
    let total = loops + bound;
    if is_handed_around(snapshot) && total >= HIGH_EPISODES && share(loops, total) >= WINNER_SHARE {
        return loops::shared(case);
    }
    if is_dedicated(&servers) && (total >= HIGH_EPISODES || workers::born_for_one(case) > 0) {
        return workers::each_with_its_own(case);
    }
    let quiet = io_model.name == IoModel::Blocking && io_model.confidence >= Some(Confidence::Medium);
    if total < HIGH_EPISODES && !quiet {
        return few_waits(loops, total);
    }
    match io_model.name {
        // One peer a wait and few connections: only who stands by can tell.
        IoModel::Inconclusive if share(bound, total) >= WINNER_SHARE => workers::pool_with_idle_members(case),
        IoModel::Inconclusive | IoModel::Mixed => few_waits(loops, total),
        _ if total == 0 || share(bound, total) >= WINNER_SHARE => workers::bound(case),
        _ if share(loops, total) >= WINNER_SHARE => loops::own(case),
        _ => neither(loops, total),
    }
}

fn few_waits(loops: u64, total: u64) -> ServerVerdict {
    let why = format!("{total} waits for data of those who serve were seen, {loops} of them in loops.");
    undecided(&[], evidence("episodes", why, total as f64, Some(HIGH_EPISODES as f64), false))
}

fn neither(loops: u64, total: u64) -> ServerVerdict {
    let why = format!("{loops} of {total} waits for data were in loops, the others bound to one connection.");
    undecided(&[], evidence("loops", why, share(loops, total), Some(WINNER_SHARE), false))
}

/// Whether connections go back and forth between threads.
fn is_handed_around(snapshot: &Snapshot) -> bool {
    let (shared, all) = crew::handed_over(snapshot);
    share(shared, all) >= SHARED_CONNECTIONS
}

/// Whether there are several who serve, and each serves but one connection: a loop for each connection (over its socket
/// and a child's pipes) is a worker bound to that connection.
fn is_dedicated(servers: &[Server]) -> bool {
    let loops = servers.iter().filter(|s| s.loops > 0);
    let (one, all) = loops.fold((0, 0), |(one, all), s| {
        (one + if s.first <= s.thread.count { s.thread.count } else { 0 }, all + s.thread.count)
    });
    all >= 2 && share(one, all) >= DEDICATED_SHARE
}

fn nobody_serves(snapshot: &Snapshot, io_model: &IoVerdict) -> ServerVerdict {
    if io_model.qualifier.as_deref() == Some(storage::QUALIFIER) {
        let why = "No receive, no accept, and no wait for a connection: it serves nobody.".to_owned();
        return named("none", Some(Confidence::Medium), evidence("no-network", why, 0.0, Some(1.0), true));
    }
    let accepted: u64 = snapshot.threads.iter().map(|t| t.accepts.accepted).sum();
    let seen = connections_seen(snapshot, accepted);
    let why = format!("Nobody waited for a connection and then received on it; {seen}.");
    undecided(&[], evidence("no-episodes", why, 0.0, Some(1.0), false))
}

/// Connections of the window in words: most of a server's are often older than it.
fn connections_seen(snapshot: &Snapshot, accepted: u64) -> String {
    let older = |c: &&Connection| matches!(c.side, Side::Server) && !c.accepted;
    let others = snapshot.connections.iter().filter(older).count() as u64;
    let accepts = counted(accepted, "connection was accepted", "connections were accepted");
    match (accepted, others) {
        (_, 0) => accepts,
        (0, n) => format!("no accept was seen, and data came on {}", counted(n, "connection", "connections")),
        (_, n) => format!("{accepts}, and data came on {}", counted(n, "other", "others")),
    }
}

fn named(name: &str, confidence: Option<Confidence>, why: Evidence) -> ServerVerdict {
    ServerVerdict {
        name: name.to_owned(),
        qualifier: None,
        units: None,
        count: None,
        confidence,
        alternatives: Vec::new(),
        evidence: vec![why],
    }
}

fn with(mut verdict: ServerVerdict, why: Evidence) -> ServerVerdict {
    verdict.evidence.push(why);
    verdict
}

fn undecided(candidates: &[&str], why: Evidence) -> ServerVerdict {
    let alternative = |name: &&str| Alternative { name: (*name).to_owned(), share: None };
    ServerVerdict {
        alternatives: candidates.iter().map(alternative).collect(),
        ..named("inconclusive", None, why)
    }
}

fn structure(code: &str, text: String, measured: f64, threshold: f64) -> Evidence {
    Evidence { kind: Kind::Structure, ..evidence(code, text, measured, Some(threshold), true) }
}

fn evidence(code: &str, text: String, measured: f64, threshold: Option<f64>, supports: bool) -> Evidence {
    Evidence { code: code.to_owned(), text, measured, threshold, kind: Kind::Behaviour, supports }
}

fn plural(n: u64, unit: &str) -> String {
    match (n, unit) {
        (1, _) => unit.to_owned(),
        (_, "process") => "processes".to_owned(),
        _ => format!("{unit}s"),
    }
}
