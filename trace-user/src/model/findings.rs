//! What is worth a second look, and what cannot be seen.

use super::counted;
use super::storage;
use super::tally::share;
use super::thresholds::{BURNING_ASKS_PER_SECOND, SPIN_ASKS, SPIN_FINDING};
use super::verdict::{Finding, IoModel, IoVerdict};
use crate::snapshot::Snapshot;

/// Findings on `snapshot`, whose verdict is `verdict`.
pub fn find(snapshot: &Snapshot, verdict: &IoVerdict) -> Vec<Finding> {
    [spins_before_sleep(snapshot, verdict), polling_burns_cpu(snapshot, verdict), idle(snapshot, verdict)]
        .into_iter()
        .flatten()
        .collect()
}

/// One finding.
pub(super) fn finding(code: &str, severity: &str, title: &str, evidence: String, advice: &str) -> Finding {
    Finding {
        code: code.to_owned(),
        severity: severity.to_owned(),
        title: title.to_owned(),
        evidence,
        advice: advice.to_owned(),
    }
}

fn spins_before_sleep(snapshot: &Snapshot, verdict: &IoVerdict) -> Option<Finding> {
    let polled: u64 = snapshot.threads.iter().map(|t| t.receives.polled).sum();
    let with_data: u64 = snapshot.threads.iter().map(|t| t.receives.with_data).sum();
    let empty: u64 = snapshot.threads.iter().map(|t| t.readiness.empty).sum();
    let slept: u64 = snapshot.threads.iter().map(|t| t.readiness.slept).sum();
    let spins = share(polled, with_data) >= SPIN_FINDING || share(empty, with_data) >= SPIN_ASKS;
    (verdict.name == IoModel::Multiplexing && spins).then(|| {
        finding(
            "spins-before-sleep",
            "info",
            "The loop asks in vain several times before it sleeps",
            format!(
                "{empty} readiness calls found nothing and did not sleep, for {slept} that slept; {polled} of \
                 {with_data} receives with data ended while polling"
            ),
            "Look for a busy-poll setting; it buys latency with CPU time.",
        )
    })
}

fn polling_burns_cpu(snapshot: &Snapshot, verdict: &IoVerdict) -> Option<Finding> {
    let seconds = snapshot.window.duration_ns as f64 / 1e9;
    let busiest = snapshot.threads.iter().max_by_key(|t| t.receives.eagain)?;
    let rate = busiest.receives.eagain as f64 / seconds.max(1e-9);
    (verdict.name == IoModel::Nonblocking && rate >= BURNING_ASKS_PER_SECOND).then(|| {
        finding(
            "polling-burns-cpu",
            "warning",
            "Polling keeps a CPU busy",
            format!("thread {} asked in vain {rate:.0} times a second", busiest.tid),
            "Wait for readiness (epoll), or nap between rounds.",
        )
    })
}

fn idle(snapshot: &Snapshot, verdict: &IoVerdict) -> Option<Finding> {
    let on_files = verdict.qualifier.as_deref() == Some(storage::QUALIFIER);
    let receives: u64 = snapshot.threads.iter().map(|t| t.receives.with_data).sum();
    (receives == 0 && !on_files).then(|| {
        finding(
            "idle",
            "info",
            "No data was received in the window",
            "0 receives with data".to_owned(),
            "Idle is not bad: its peers had nothing to ask. Attach under load for a verdict.",
        )
    })
}

/// What this run cannot see, each a sentence.
pub fn blind_spots(snapshot: &Snapshot) -> Vec<String> {
    let mut spots = vec!["Time in interrupts lies inside user, kernel and copy.".to_owned()];
    if snapshot.tool.tier == "sched" {
        spots.push(
            "Tier sched sees no system call begin or end: time on a CPU outside of copies is not told apart (it is in \
             unknown), and accepts and readiness waits count only if they slept; no sends, turns, loops or hand-overs."
                .to_owned(),
        );
    }
    if snapshot.threads.iter().any(|t| t.announced.rings > 0) {
        spots.push(
            "What an io_uring does in task work before its first copied byte counts as user time.".to_owned(),
        );
    }
    if snapshot.turns.as_ref().is_some_and(|turns| turns.totals.count > 0) {
        spots.push(
            "How long a request lies in the socket's buffer before it is received is in no service time."
                .to_owned(),
        );
    }
    if snapshot.loss.get("compat_calls").is_some_and(|n| *n > 0) {
        spots.push(
            "32-bit system calls were seen; their numbers mean other calls and are not classified."
                .to_owned(),
        );
    }
    let recovered =
        ["recovered_switches", "recovered_wakeups"].map(|n| snapshot.loss.get(n).copied().unwrap_or(0));
    if recovered.iter().sum::<u64>() > 0 {
        spots.push(format!(
            "Hidden from tracing, and taken from the scheduler's own stamps: {} and {}.",
            counted(recovered[0], "switch", "switches"),
            counted(recovered[1], "wake-up", "wake-ups")
        ));
    }
    spots
}
