//! The two phases of a read, the receives behind them, and whom the target waited for.

use tabled::builder::Builder;
use trace_common::account::Account;
use trace_common::receive::{Accepts, Receives};

use super::export::words;
use super::ledger_table::{AT_MOST, lay_out};
use super::schema::{Peer, Report};
use super::text::{Page, cut};
use super::unit;
use crate::snapshot::quantile;

/// Waits of phase 1, each with the words for it.
const PHASE_1: [(Account, &str); 4] = [
    (Account::WaitData, "waiting, in the receive"),
    (Account::WaitReady, "waiting, for readiness"),
    (Account::WaitCompletion, "waiting, for completions"),
    (Account::WaitSignal, "waiting, for a signal"),
];
/// A `copy` is an upper bound where more than this share of receives had no first-byte event (DESIGN §5).
pub const BOUNDED_SHARE: f64 = 0.01;
/// Peers in the table.
const PEERS: usize = 5;

/// Median and 99th percentile of both phases, over all threads.
pub fn phases(page: &mut Page, report: &Report) {
    let rows = figures(report);
    if rows.is_empty() {
        return;
    }
    let mut table = Builder::default();
    table.push_record(["The two phases", "count", "median", "p99"]);
    for row in rows {
        let name = format!("  {} ({})", row.name, row.account.name());
        table.push_record([name, unit::count(row.count), row.median, row.p99]);
    }
    let text = lay_out(table, 1);
    page.table("\n");
    page.table(&text);
    if text.contains(AT_MOST) {
        page.paragraph(2, &bound(report));
    }
}

/// One way to wait, or the copy: how often, and how long.
pub struct Phase {
    /// Its account.
    pub account: Account,
    /// In words.
    pub name: &'static str,
    /// How often it was measured.
    pub count: u64,
    /// Median, with its unit and its bound.
    pub median: String,
    /// 99th percentile, likewise.
    pub p99: String,
}

/// The phases that were seen, over all threads.
pub fn figures(report: &Report) -> Vec<Phase> {
    let (receives, _) = totals(report);
    let bound = if is_bounded(&receives) { AT_MOST } else { "" };
    let waits = PHASE_1.into_iter().map(|(account, name)| (account, name, ""));
    let all = waits.chain([(Account::Copy, "copying", bound)]);
    all.filter_map(|(account, name, bound)| phase(report, account, name, bound)).collect()
}

/// What the mark of an upper bound means here.
pub fn bound(report: &Report) -> String {
    let (receives, _) = totals(report);
    let share = unit::percent(receives.copy_bounded, receives.with_data);
    format!("{AT_MOST}: {share} of the receives showed no first byte of the copy")
}

/// What was called how often, and how it ended.
pub fn calls(page: &mut Page, report: &Report) {
    let mut lines = call_lines(report).into_iter();
    lines.next().iter().for_each(|line| page.heading(line));
    let hang = |line: &str| if line.starts_with("Accepts") { 2 } else { 4 };
    lines.for_each(|line| page.paragraph(hang(&line), &line));
}

/// The lines of it: the receives, with details that begin with two blanks, and the accepts.
pub fn call_lines(report: &Report) -> Vec<String> {
    if report.sampling.is_some() {
        return vec!["Receives: not measured, which takes probes (tier full or sched)".to_owned()];
    }
    let (r, a) = totals(report);
    let mut lines = Vec::new();
    if r.calls == 0 {
        let none = "Receives: no receive was seen in the window; idle is not bad, but it decides nothing";
        lines.push(none.to_owned());
    } else {
        lines.push(format!("Receives: {} calls = {}", unit::count(r.calls), sum(&ends(&r))));
        if r.with_data > 0 {
            lines.push(format!("  with data = {}; {} in all", sum(&episodes(&r)), unit::bytes(r.bytes)));
        }
        if r.zero_copy > 0 {
            lines.push(format!("  {} without a phase 2 (splice, zero-copy)", unit::count(r.zero_copy)));
        }
    }
    if a.calls > 0 {
        let [calls, accepted, eagain, slept] = [a.calls, a.accepted, a.eagain, a.slept].map(unit::count);
        lines
            .push(format!("Accepts: {calls} calls, {accepted} accepted, {eagain} found none, {slept} slept"));
    }
    lines
}

/// Whom the target waited for longest.
pub fn peers(page: &mut Page, peers: &[Peer]) {
    let waited: Vec<&Peer> = peers.iter().filter(|p| p.wait_ns + p.reply_ns > 0).collect();
    if waited.is_empty() {
        return;
    }
    let mut table = Builder::default();
    table.push_record(["Waited for", "side", "conns", "in receives", "for replies", "bytes"]);
    for peer in waited.iter().take(PEERS) {
        table.push_record([
            cut(&peer.address, 30),
            format!("{:?}", peer.side).to_lowercase(),
            unit::count(peer.connections),
            unit::time(peer.wait_ns),
            words::replies(peer),
            unit::bytes(peer.bytes),
        ]);
    }
    page.table("\n");
    page.table(&lay_out(table, 2));
    if waited.len() > PEERS {
        page.item("·", &format!("{} more in the JSON report", waited.len() - PEERS));
    }
}

/// Receives and accepts of all threads, ended ones too.
pub fn totals(report: &Report) -> (Receives, Accepts) {
    let (mut receives, mut accepts) = (Receives::ZERO, Accepts::ZERO);
    for process in &report.processes {
        receives.add(&process.exited.receives);
        accepts.add(&process.exited.accepts);
        for thread in &process.threads {
            receives.add(&thread.receives);
            accepts.add(&thread.accepts);
        }
    }
    (receives, accepts)
}

/// Whether `copy` of these receives is only an upper bound.
pub fn is_bounded(r: &Receives) -> bool {
    r.copy_bounded as f64 > BOUNDED_SHARE * r.with_data as f64
}

fn phase(report: &Report, account: Account, name: &'static str, bound: &str) -> Option<Phase> {
    let buckets = report.distributions.get(&account)?;
    let count: u64 = buckets.iter().map(|b| b.1).sum();
    let at =
        |share| quantile(buckets, share).map_or_else(|| "–".into(), |ns| spell(report, account, bound, ns));
    (count > 0).then(|| Phase { account, name, count, median: at(0.5), p99: at(0.99) })
}

/// How long a spell of `account` lasted, with `bound` before it. Below the floor it is the probes' own time.
pub fn spell(report: &Report, account: Account, bound: &str, ns: u64) -> String {
    match report.calibration.floor_ns {
        Some(floor) if account.is_on_cpu() && ns < floor => format!("< {}", unit::time(floor)),
        _ if ns == u64::MAX => "> 0.3 h".into(),
        _ => format!("{bound}{}", unit::time(ns)),
    }
}

fn ends(r: &Receives) -> [(u64, &'static str); 5] {
    [
        (r.with_data, "with data"),
        (r.eof, "end of file"),
        (r.eagain, "found nothing"),
        (r.interrupted, "interrupted"),
        (r.failed, "failed"),
    ]
}

fn episodes(r: &Receives) -> [(u64, &'static str); 6] {
    [
        (r.slept, "slept in the call"),
        (r.after_ready, "after readiness"),
        (r.polled, "after empty asks"),
        (r.signalled, "after a signal"),
        (r.completed, "by completion"),
        (r.immediate, "already there"),
    ]
}

/// `3 a + 4 b`, without the parts that are 0.
fn sum(parts: &[(u64, &str)]) -> String {
    let parts: Vec<String> =
        parts.iter().filter(|p| p.0 > 0).map(|(n, name)| format!("{} {name}", unit::count(*n))).collect();
    if parts.is_empty() { "0".into() } else { parts.join(" + ") }
}
