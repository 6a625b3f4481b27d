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
    turns(page, report);
    handovers(page, report);
    if let Some(balance) = &report.balance {
        page.paragraph(
            2,
            &format!(
                "Balance over {}: Gini {:.2} by receives, {:.2} by CPU time; {}",
                unit::plural(balance.workers, "worker", "workers"),
                balance.gini,
                balance.gini_cpu,
                balance.cause
            ),
        );
    }
}

fn turns(page: &mut Page, report: &Report) {
    let t = &report.turns;
    let (Some(count), Some(receive), Some(build), Some(send)) =
        (t.count, t.receive_ns, t.build_ns, t.send_ns)
    else {
        return;
    };
    let [receive, build, send] = [receive, build, send].map(unit::time);
    let at = |ns: Option<u64>| ns.map_or("–".to_owned(), unit::time);
    page.heading(&format!(
        "Turns: {} exchanges, on average receive {receive} + build {build} + send {send}; service p50 {}, p99 {}",
        unit::count(count),
        at(t.service_p50_ns),
        at(t.service_p99_ns)
    ));
}

fn handovers(page: &mut Page, report: &Report) {
    let parts: Vec<String> = report
        .handovers
        .iter()
        .map(|(way, connections)| format!("{} {}", unit::count(*connections), words(*way)))
        .collect();
    if !parts.is_empty() {
        page.paragraph(2, &format!("Connections served: {}", parts.join(", ")));
    }
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

/// What loops do between their waits, the busiest first.
pub fn loops(page: &mut Page, report: &Report) {
    let threads = report.processes.iter().flat_map(|p| &p.threads);
    let mut loops: Vec<(&Thread, &EventLoop)> =
        threads.filter_map(|t| Some((t, t.event_loop.as_ref()?))).collect();
    // A thread that waits once in a while has no loop worth a row.
    loops.retain(|(t, l)| l.iterations > 1 && t.readiness.returned > 0);
    if loops.is_empty() {
        return;
    }
    loops.sort_by_key(|(_, l)| std::cmp::Reverse(l.iterations));
    let mut table = Builder::default();
    table.push_record(["Loops", "waits", "events/wait", "no work", "blocked", "longest", "mostly"]);
    for (thread, l) in loops.iter().take(LOOPS) {
        let r = &thread.readiness;
        table.push_record([
            cut(&format!("{} {}", thread.comm, thread.tid), 20),
            unit::count(r.calls),
            if r.returned == 0 {
                "–".into()
            } else {
                format!("{:.2}", r.events as f64 / r.returned as f64)
            },
            unit::percent(l.without_work, r.returned),
            unit::percent(l.blocked_ns, l.ns),
            unit::time(l.longest.ns),
            mostly(l),
        ]);
    }
    page.table("\n");
    page.table(&lay_out(table, 1));
    if loops.len() > LOOPS {
        page.item("·", &format!("{} more in the JSON report", loops.len() - LOOPS));
    }
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
