//! How far the figures can be trusted: losses, the canary, the residual, the cost, and what was not seen.

use std::collections::BTreeMap;

use super::build::NO_LOSSES;
use super::schema::{Cost, Report, Sampling};
use super::text::Page;
use super::unit;
use crate::snapshot::Step;

/// The outer residual should stay below this (DESIGN §5).
const RESIDUAL_SHARE: f64 = 0.01;

/// Counters of what was noticed and put right: no losses.
const PUT_RIGHT: [&str; 3] = ["early_wakeups", "recovered_wakeups", "recovered_switches"];

/// The section; every part of it is printed in every report.
pub fn trust(page: &mut Page, report: &Report) {
    page.heading("How far to trust it");
    for line in lines(report) {
        page.paragraph(6, &format!("  {line}"));
    }
}

/// What there is to say, a line each: losses (also none), canary, residual, cost, what is missing, and where
/// it was measured.
pub fn lines(report: &Report) -> Vec<String> {
    let mut lines = match &report.sampling {
        None => vec![losses(report), canary(report), residual(report), cost(report)],
        Some(sampling) => vec![samples(sampling), cost(report)],
    };
    lines.extend(report.tool.steps.iter().map(step));
    if let Some(steal) = report.window.steal_ns.filter(|&ns| ns > 0) {
        lines.push(format!("steal: the hypervisor took {}, which looks like running", unit::time(steal)));
    }
    lines.extend(report.degraded.iter().map(|text| format!("degraded: {text}")));
    lines.extend(report.blind_spots.iter().map(|text| format!("not seen: {text}")));
    lines.push(format!(
        "measured by trace {}, tier {}, on {} {}",
        report.tool.version, report.tool.tier, report.host.kernel, report.host.arch
    ));
    lines
}

fn samples(s: &Sampling) -> String {
    let denied = match s.threads_denied {
        0 => String::new(),
        n => format!("; of {} what they sleep in may not be read", unit::plural(n, "thread", "threads")),
    };
    format!(
        "sampled: {} looks at every thread, {:.1} a second ({:.0} asked for); CPU times are the scheduler's own{denied}",
        unit::count(s.rounds),
        s.achieved_hz,
        s.asked_hz
    )
}

fn step(step: &Step) -> String {
    let then = step.to.as_ref().map_or("detached".to_owned(), |tier| format!("tier {tier}"));
    let verdict = match (&step.io_model, &step.confidence) {
        (Some(name), Some(confidence)) => format!("; until then {name}, {confidence} confidence"),
        (Some(name), None) => format!("; until then {name}"),
        _ => String::new(),
    };
    let reported = if step.reported { ", which is what this report is on" } else { "" };
    format!(
        "step: after {} tier {} cost {} of one CPU, more than {}, then {then}{verdict}{reported}",
        unit::time(step.at_ns),
        step.from,
        unit::percent_of_share(step.cost_share),
        percentage(step.limit_share),
    )
}

/// As it was asked for: 0.01 %.
fn percentage(share: f64) -> String {
    format!("{}%", (share * 1e6).round() / 1e4)
}

/// The counters that are losses and are not 0, with their counts.
pub fn real_losses(report: &Report) -> Vec<String> {
    lost(&report.loss).map(|(name, count)| format!("{name} {}", unit::count(*count))).collect()
}

/// What was lost, all kinds together.
pub fn total_lost(loss: &BTreeMap<String, u64>) -> u64 {
    lost(loss).map(|(_, count)| count).sum()
}

fn lost(loss: &BTreeMap<String, u64>) -> impl Iterator<Item = (&String, &u64)> {
    loss.iter().filter(|(name, count)| **count > 0 && !NO_LOSSES.contains(&name.as_str()))
}

fn losses(report: &Report) -> String {
    let lost = real_losses(report);
    let counters = report.loss.keys().filter(|name| !NO_LOSSES.contains(&name.as_str())).count();
    let mut text = if lost.is_empty() {
        format!("losses: none ({counters} counters, all 0)")
    } else {
        format!("losses: {} (the other {} counters are 0)", lost.join(", "), counters - lost.len())
    };
    let count = |name| report.loss.get(name).copied().filter(|&count| count > 0);
    let put_right =
        PUT_RIGHT.into_iter().filter_map(|name| Some(format!("{name} {}", unit::count(count(name)?))));
    let put_right: Vec<String> = put_right.collect();
    if !put_right.is_empty() {
        text += &format!("; noticed and put right: {}", put_right.join(", "));
    }
    text
}

fn canary(report: &Report) -> String {
    let c = &report.calibration;
    if c.done == 0 {
        return "canary: not run, so nothing vouches for the counts".into();
    }
    let floor = match c.floor_ns {
        Some(ns) => format!("CPU times below {} are the probes' own", unit::time(ns)),
        None => "no floor of CPU times known".into(),
    };
    let verdict = if c.exact { "exact" } else { "NOT EXACT: do not trust the counts" };
    format!(
        "canary: {} of {} receives and {} of {} bytes measured, {verdict}; {floor}",
        c.measured,
        c.done,
        unit::count(c.measured_bytes),
        unit::count(c.done_bytes)
    )
}

fn residual(report: &Report) -> String {
    let r = &report.residual;
    if r.threads == 0 {
        return "residual: not known, no thread's schedstat could be read at both ends".into();
    }
    let share = |s: Option<f64>| s.map_or("–".into(), unit::percent_of_share);
    let verdict = match r.share {
        Some(share) if share >= RESIDUAL_SHARE => {
            "; above 1 %: a switch takes 1 to 2 µs, and the two draw the line elsewhere in it"
        }
        _ => "",
    };
    format!(
        "residual: on CPU {} off the scheduler's own count ({} here, {} there), asleep {} ({}){verdict}",
        share(r.on_cpu_share),
        unit::time(r.on_cpu_ns),
        unit::time(r.run_ns),
        share(r.sleep_share),
        unit::plural(r.threads, "thread", "threads"),
    )
}

fn cost(report: &Report) -> String {
    let c = &report.cost;
    let own = own(c);
    if report.sampling.is_some() {
        return format!("cost: no probes{own}");
    }
    let run = match (c.bpf_run_ns, c.cpu_share) {
        (Some(ns), Some(share)) => {
            format!("the probes ran {}, {} of one CPU", unit::time(ns), unit::percent_of_share(share))
        }
        (Some(ns), None) => format!("the probes ran {}", unit::time(ns)),
        (None, _) => "run time of the probes not measured".into(),
    };
    let events = c.events.map_or(String::new(), |n| format!(", {} events", unit::count(n)));
    let sampled = c
        .sampled_ns
        .map_or(String::new(), |ns| format!(" (from {} of the kernel's statistics)", unit::time(ns)));
    format!("cost: {run}{events}{sampled}, {} of maps{own}", unit::bytes(c.map_bytes))
}

/// What trace itself took.
fn own(c: &Cost) -> String {
    match (c.own_cpu_ns, c.own_cpu_share) {
        (Some(ns), Some(share)) => {
            format!("; trace itself took {}, {}", unit::time(ns), unit::percent_of_share(share))
        }
        _ => String::new(),
    }
}
