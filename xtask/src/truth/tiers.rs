//! A lesser tier beside tier `full`: the same servers, the same loads, the I/O model of each.

use std::fmt::Write as _;
use std::path::Path;

use super::axis::{Axis, Load};
use super::measure::{self, Observation};

/// Share of servers under load whose I/O model must be the same (issue "cost and scale").
pub const LEAST: f64 = 0.95;

/// How two tiers compare.
pub struct Comparison {
    /// Share of servers with the same I/O model.
    pub share: f64,
    /// In one line.
    pub summary: String,
    /// The page.
    pub text: String,
}

/// Compares what was observed under load in `tier` with the reports of tier full in `full`.
pub fn compare(tier: &str, observations: &[Observation], full: &Path) -> Comparison {
    let (mut equal, mut all, mut wrong) = (0_u32, 0_u32, 0_u32);
    let mut rows = String::new();
    for seen in observations.iter().filter(|seen| seen.load == Load::Many) {
        all += 1;
        let kept = measure::read_back(full, &seen.name, &seen.label, &[Load::Many]).remove(0);
        let said = |observation: &Observation, axis: Axis| match &observation.reading {
            Ok(reading) => axis.verdict(reading).text(),
            Err(_) => "not measured".to_owned(),
        };
        let name = |observation: &Observation| {
            observation
                .reading
                .as_ref()
                .map(|reading| reading.verdict.io_model.name.clone())
                .unwrap_or_default()
        };
        let same = !name(seen).is_empty() && name(seen) == name(&kept);
        let accepted = Axis::Io.accepted(&seen.label);
        let says = name(seen);
        let is_wrong = !same && !accepted.contains(&says) && !says.is_empty() && says != "inconclusive";
        equal += u32::from(same);
        wrong += u32::from(is_wrong);
        let mark = if same {
            "✓"
        } else if is_wrong {
            "✗ wrong"
        } else {
            "–"
        };
        let [io, of_full, server] = [said(seen, Axis::Io), said(&kept, Axis::Io), said(seen, Axis::Server)];
        let _ = writeln!(rows, "| {} | {mark} | {io} | {of_full} | {server} |", seen.name);
    }
    let share = f64::from(equal) / f64::from(all.max(1));
    let summary = format!(
        "truth: tier {tier}: I/O model as in tier full on {equal} of {all} servers under load ({:.1} %), {wrong} wrong",
        100.0 * share
    );
    let text = format!(
        "# Tier {tier} beside tier full\n\nWritten by `cargo xtask truth --tier {tier}`; do not edit. The servers of \
         [ACCURACY](ACCURACY.md) under load. The I/O model is that of tier full on **{equal} of {all}** ({:.1} %), and wrong \
         on {wrong}.\n\n| server | same | I/O model, tier {tier} | tier full | server model, tier {tier} |\n\
         |---|---|---|---|---|\n{rows}",
        100.0 * share
    );
    Comparison { share, summary, text }
}
