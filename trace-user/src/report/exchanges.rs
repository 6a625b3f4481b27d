//! What exchanges take, how connections came to those who serve them, and what loops do between their waits.

use tabled::builder::Builder;
use trace_common::handover::Handover;

use super::ledger_table::lay_out;
use super::schema::{Report, Thread};
use super::text::{Page, cut};
use super::unit;
use crate::snapshot::EventLoop;

/// Loops in the table.
const LOOPS: usize = 8;

/// Turns, hand-over and balance.
pub fn exchanges(page: &mut Page, report: &Report) {
    turns(report).iter().for_each(|line| page.heading(line));
    spread(report).iter().for_each(|line| page.paragraph(2, line));
}

/// What exchanges take, in a sentence; nothing if no turn was measured.
pub fn turns(report: &Report) -> Option<String> {
    let t = &report.turns;
    let (count, receive, build, send) = (t.count?, t.receive_ns?, t.build_ns?, t.send_ns?);
    let [receive, build, send] = [receive, build, send].map(unit::time);
    let at = |ns: Option<u64>| ns.map_or("–".to_owned(), unit::time);
    Some(format!(
        "Turns: {} exchanges, on average receive {receive} + build {build} + send {send}; service p50 {}, p99 {}",
        unit::count(count),
        at(t.service_p50_ns),
        at(t.service_p99_ns)
    ))
}

/// How connections came to those who serve them, and how evenly; a sentence each, where it is known.
pub fn spread(report: &Report) -> Vec<String> {
    let way =
        |(way, connections): (&Handover, &u64)| format!("{} {}", unit::count(*connections), words(*way));
    let ways: Vec<String> = report.handovers.iter().map(way).collect();
    let served = (!ways.is_empty()).then(|| format!("Connections served: {}", ways.join(", ")));
    let balance = report.balance.as_ref().map(|balance| {
        format!(
            "Balance over {}: Gini {:.2} by receives, {:.2} by CPU time; {}",
            unit::plural(balance.workers, "worker", "workers"),
            balance.gini,
            balance.gini_cpu,
            balance.cause
        )
    });
    served.into_iter().chain(balance).collect()
}

fn words(way: Handover) -> &'static str {
    match way {
        Handover::Unseen => "accepted before the window",
        Handover::SameThread => "by the thread that accepted",
        Handover::Fork => "by a process born after the accept",
        Handover::NewThread => "by a thread born after the accept",
        Handover::Queue => "by another thread that was there before",
        Handover::PassedDescriptor => "by another process that was given the descriptor",
    }
}

/// Whether requests can be followed by thread id.
pub fn advice(page: &mut Page, report: &Report) {
    if let Some(following) = &report.following {
        page.heading(&format!("Following requests: {}", following.advice));
    }
}

/// Heads of the columns of [`loop_rows`].
pub const LOOP_HEAD: [&str; 7] = ["Loops", "waits", "events/wait", "no work", "blocked", "longest", "mostly"];

/// What loops do between their waits, the busiest first.
pub fn loops(page: &mut Page, report: &Report) {
    let rows = loop_rows(report);
    if rows.is_empty() {
        return;
    }
    let mut table = Builder::default();
    table.push_record(LOOP_HEAD);
    for row in rows.iter().take(LOOPS) {
        table.push_record(row.iter().map(|cell| cut(cell, 20)));
    }
    page.table("\n");
    page.table(&lay_out(table, 1));
    if rows.len() > LOOPS {
        page.item("·", &format!("{} more in the JSON report", rows.len() - LOOPS));
    }
}

/// A row for each thread with a loop, the busiest first. Nothing is sanitised yet.
pub fn loop_rows(report: &Report) -> Vec<[String; 7]> {
    let threads = report.processes.iter().flat_map(|p| &p.threads);
    let mut loops: Vec<(&Thread, &EventLoop)> =
        threads.filter_map(|t| Some((t, t.event_loop.as_ref()?))).collect();
    // A thread that waits once in a while has no loop worth a row.
    loops.retain(|(t, l)| l.iterations > 1 && t.readiness.returned > 0);
    loops.sort_by_key(|(_, l)| std::cmp::Reverse(l.iterations));
    let row = |(thread, l): (&Thread, &EventLoop)| {
        let r = &thread.readiness;
        [
            format!("{} {}", thread.comm, thread.tid),
            unit::count(r.calls),
            format!("{:.2}", r.events as f64 / r.returned as f64),
            unit::percent(l.without_work, r.returned),
            unit::percent(l.blocked_ns, l.ns),
            unit::time(l.longest.ns),
            mostly(l),
        ]
    };
    loops.into_iter().map(row).collect()
}

/// What the longest iteration did most of its time.
fn mostly(l: &EventLoop) -> String {
    let longest = &l.longest;
    let blocked_ns = longest.ns.saturating_sub(longest.cpu_ns + longest.runqueue_ns);
    if longest.cpu_ns >= longest.runqueue_ns.max(blocked_ns) {
        return "CPU".to_owned();
    }
    if longest.runqueue_ns >= blocked_ns {
        return "run queue".to_owned();
    }
    longest.sleep_syscall.clone().unwrap_or_else(|| "asleep".to_owned())
}
