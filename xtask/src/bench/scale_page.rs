//! The page's part on scale.

use std::fmt::Write as _;

use super::require::Check;
use super::scale::{Measured, Scale};
use crate::table::Table;

/// What the requirements say of each target, in their order: part of its name, until attached ms, snapshot ms.
const LARGE: [&str; 2] = ["10000 threads", "15000 connections"];

/// What is required.
pub fn checks(scale: &Scale) -> Vec<Check> {
    let mut checks = Vec::new();
    let find = |name: &str| scale.measured.iter().find(|measured| measured.what.starts_with(name));
    for name in LARGE {
        let of = |value: &dyn Fn(&Measured) -> Option<f64>| find(name).and_then(value);
        let mut add = |what: &str, limit: f64, found| {
            checks.push(Check::at_most(format!("{name}: {what}"), limit, found));
        };
        add("until attached, ms", 3000.0, of(&|m| Some(m.attach_ms)));
        add("interim snapshot, ms", 250.0, of(&|m| m.snapshot_ms));
        add("last snapshot, ms", 250.0, of(&|m| m.last_snapshot_ms));
        add("resident, MiB", 150.0, of(&|m| Some(m.resident_kib as f64 / 1024.0)));
    }
    for measured in &scale.measured {
        let lost: u64 = measured.losses.iter().map(|(_, count)| count).sum();
        let missed = measured.counted.as_ref().map_or(0, |(_, done, seen)| done.abs_diff(*seen));
        let broken = u64::from(!measured.conserved);
        let what = format!("{}: lost, not counted, or not conserved", measured.what);
        checks.push(Check::at_most(what, 0.0, Some((lost + missed + broken) as f64)));
    }
    let slowest = scale.formats.iter().map(|(_, ms)| *ms).max_by(f64::total_cmp);
    checks.push(Check::at_most("report of 10,000 threads, slowest format, ms".into(), 1000.0, slowest));
    let first = Some(scale.first_verdict_ms);
    checks.push(Check::at_most("start to first verdict on redis-server, ms".into(), 1500.0, first));
    checks.push(Check::at_most("interrupt to end, ms".into(), 500.0, Some(scale.detach_ms)));
    checks
}

/// Its tables.
pub fn tables(text: &mut String, scale: &Scale) {
    let heading = [
        "target",
        "attached, ms",
        "snapshot, ms",
        "last snapshot, ms",
        "ended, ms",
        "resident, MiB",
        "own CPU",
        "maps, MiB",
        "lost",
    ];
    let mut table = Table::new(heading);
    let ms = |value: Option<f64>| value.map_or("–".to_owned(), |ms| format!("{ms:.1}"));
    for m in &scale.measured {
        let lost: Vec<String> = m.losses.iter().map(|(name, count)| format!("{name} {count}")).collect();
        table.row([
            m.what.clone(),
            format!("{:.0}", m.attach_ms),
            ms(m.snapshot_ms),
            ms(m.last_snapshot_ms),
            format!("{:.0}", m.end_ms),
            format!("{:.1}", m.resident_kib as f64 / 1024.0),
            format!("{:.1} %", m.own_share * 100.0),
            format!("{:.1}", m.map_bytes as f64 / f64::from(1 << 20)),
            if lost.is_empty() { "nothing".to_owned() } else { lost.join(", ") },
        ]);
    }
    let _ = write!(text, "\n{table}\n");
    for (what, done, seen) in scale.measured.iter().filter_map(|m| m.counted.as_ref()) {
        let _ = writeln!(text, "- {what}: {done} done by the workload's own count, {seen} in the report");
    }
    let formats: Vec<String> = scale.formats.iter().map(|(name, ms)| format!("{name} {ms:.0} ms")).collect();
    let _ = writeln!(text, "- report of 10,000 threads: {}", formats.join(", "));
}
