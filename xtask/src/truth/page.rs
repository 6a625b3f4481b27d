//! The page that publishes the counts, and what is said of them on the terminal. Pure: same observations, same page.

mod evidence;

use std::fmt::{self, Display, Formatter};

use super::axis::{Axis, INCONCLUSIVE, Load};
use super::fault::{BINDING, ENOUGH, IO_ACCEPTED, MODEL_RECALL, SERVER_ACCEPTED};
use super::label::{self, Reason};
use super::measure::Observation;
use super::report::Reading;
use super::score::{Outcome, Tally, at, confusion, of_model, preferred};
use crate::table::Table;

/// What is published.
pub struct Page<'a> {
    /// In the order of the configurations, and of the loads of each.
    pub observations: &'a [Observation],
    /// Those that were given.
    pub loads: &'a [Load],
    /// Why verdicts differ, where that is known.
    pub reasons: &'a [Reason],
    /// Configurations that could not start here.
    pub missing: Vec<String>,
    /// What was measured with.
    pub commit: String,
}

/// How each load is made; `truth/servers/NAME.sh` has the details.
const LOADS: &str = "\
Each configuration is started once and measured at each load: *none*, nobody asks anything (fio reads all the same);
*one*, a single client over a single connection, which asks again as soon as it was answered or after some milliseconds;
*many*, usually 5 to 50 connections at once. The load begins half a second before `trace` attaches. An answer is
*accepted* if it is one of the labels; `inconclusive` *abstains*, which counts as not recognised; all else is *wrong*.
";

impl Display for Page<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "# Accuracy\n")?;
        writeln!(
            out,
            "Real servers whose models are known (`truth/`), and what `trace attach` said of them. This page is"
        )?;
        writeln!(
            out,
            "written by `cargo xtask truth`; do not edit it. Labels and their grounds: `truth/expected.json`.\n"
        )?;
        writeln!(out, "{}", self.facts())?;
        writeln!(out, "{LOADS}")?;
        for axis in Axis::ALL {
            writeln!(out, "## `{}`\n\n{}", axis.name(), self.outcomes(axis))?;
            writeln!(out, "{}\n", thresholds(axis))?;
            writeln!(out, "### Recall per model\n\n{}", self.recalls(axis))?;
            for load in self.loads {
                writeln!(out, "### Confusion, load: {load}\n\n{}", self.matrix(axis, *load))?;
            }
            writeln!(out, "### Disagreements\n\n{}", self.disagreements(axis))?;
        }
        Ok(())
    }
}

/// What must hold, and at which load.
fn thresholds(axis: Axis) -> String {
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    match axis {
        Axis::Io => format!(
            "Required at load {BINDING}: {} accepted, {} of each model with {ENOUGH} configurations or more; at every\n\
             load: nothing wrong with confidence `high`.",
            percent(IO_ACCEPTED),
            percent(MODEL_RECALL)
        ),
        Axis::Server => format!(
            "Aimed at for load {BINDING}: {} accepted (enforced with `--enforce-server`); required at every load: nothing\n\
             wrong with confidence `high`.",
            percent(SERVER_ACCEPTED)
        ),
    }
}

impl Page<'_> {
    /// What was measured, with what, where and when.
    fn facts(&self) -> Table {
        let readings: Vec<&Reading> =
            self.observations.iter().filter_map(|seen| seen.reading.as_ref().ok()).collect();
        let mut names: Vec<&str> = self.observations.iter().map(|seen| seen.name.as_str()).collect();
        names.dedup();
        let of_first = |field: fn(&Reading) -> &str| readings.first().map_or("–", |reading| field(reading));
        let mut days: Vec<&str> =
            readings.iter().filter_map(|r| r.window.started_at.split('T').next()).collect();
        days.sort_unstable();
        days.dedup();
        let cpus =
            std::thread::available_parallelism().map_or_else(|_| "–".into(), |count| count.to_string());
        let version = of_first(|reading| &reading.tool.version);
        let loads: Vec<&str> = self.loads.iter().map(|load| load.name()).collect();
        let mut table = Table::new(["", ""]);
        table.row(["Configurations", &names.len().to_string()]);
        table.row(["Loads", &loads.join(", ")]);
        let windows = readings.iter().map(|reading| reading.window.duration_ns / 1_000_000);
        let (least, most) = (windows.clone().min().unwrap_or(0), windows.max().unwrap_or(0));
        table.row(["Measurements", &format!("{}, of {least} to {most} ms each", readings.len())]);
        table.row(["Not installed here", &none_or(self.missing.join(", "))]);
        table.row(["Kernel, CPUs", &format!("{}, {cpus}", of_first(|reading| &reading.host.kernel))]);
        table.row(["Date", &days.join(", ")]);
        table.row(["trace", &format!("{version}, commit {}", self.commit)]);
        table
    }

    /// How often what came of it, per load.
    fn outcomes(&self, axis: Axis) -> Table {
        let mut table = Table::new(["load", "accepted", "abstained", "wrong", "wrong with `high`"]);
        for load in self.loads {
            let tally = Tally::of(at(self.observations, *load), axis);
            let Tally { accepted: _, abstained, wrong, confidently_wrong } = tally;
            let counts = [abstained, wrong, confidently_wrong].map(|count| count.to_string());
            table.row([load.to_string(), tally.text()].into_iter().chain(counts));
        }
        table
    }

    /// Accepted of all configurations whose preferred answer is the model.
    fn recalls(&self, axis: Axis) -> Table {
        let mut table = Table::new(["model", "configurations"].into_iter().chain(self.load_names()));
        for model in axis.models() {
            let tally = |load: &Load| Tally::of(of_model(self.observations, axis, *load, model), axis);
            let count = self.loads.iter().map(|load| tally(load).measured()).max().unwrap_or(0);
            if count > 0 {
                let shares = self.loads.iter().map(|load| tally(load).text());
                table.row([(*model).to_owned(), count.to_string()].into_iter().chain(shares));
            }
        }
        table
    }

    fn load_names(&self) -> impl Iterator<Item = &'static str> {
        self.loads.iter().map(|load| load.name())
    }

    /// Preferred answers down, verdicts across.
    fn matrix(&self, axis: Axis, load: Load) -> String {
        let cells = confusion(at(self.observations, load), axis);
        let said: Vec<&str> = axis
            .models()
            .iter()
            .copied()
            .filter(|model| cells.keys().any(|(_, said)| said == model))
            .collect();
        let mut table = Table::new(["is \\ said"].into_iter().chain(said.iter().copied()));
        for is in axis.models().iter().filter(|model| cells.keys().any(|(is, _)| is == *model)) {
            let text = |said: &&str| match cells.get(&(*is, *said)) {
                None => "·".to_owned(),
                Some(cell) if cell.accepted == 0 || is == said => cell.count.to_string(),
                Some(cell) => format!("{} ({} accepted)", cell.count, cell.accepted),
            };
            table.row([(*is).to_owned()].into_iter().chain(said.iter().map(text)));
        }
        table.to_string()
    }

    /// What is not accepted, one row per configuration, verdict and reason; the loads together.
    fn disagreements(&self, axis: Axis) -> String {
        let all = || self.observations.iter().filter(|seen| seen.reading.is_ok());
        if all().all(|seen| Outcome::of(seen, axis) == Outcome::Abstained) {
            return "None: it abstained everywhere.\n".to_owned();
        }
        let mut rows: Vec<Disagreement> = Vec::new();
        for seen in all() {
            if let Some(new) = Disagreement::of(seen, axis, self.reasons) {
                match rows.iter_mut().find(|row| row.is_like(&new)) {
                    Some(row) => row.loads.extend(new.loads),
                    None => rows.push(new),
                }
            }
        }
        let mut table = Table::new(["configuration", "load", "is", "said", "reason"]);
        for Disagreement { name, loads, is, said, reason } in rows {
            let loads: Vec<_> = loads.iter().map(|load| load.name()).collect();
            table.row([name, &loads.join(", "), &is, &said, reason]);
        }
        let idle = "Abstentions at load none are not listed: where nobody asks there is nothing to see.\n";
        if table.is_empty() { format!("None.\n\n{idle}") } else { format!("{table}\n{idle}") }
    }

    /// The counts, for the terminal.
    pub fn summary(&self) -> String {
        let line = |axis: Axis, load: &Load| {
            let tally = Tally::of(at(self.observations, *load), axis);
            let Tally { abstained, wrong, confidently_wrong, .. } = tally;
            let name = axis.name();
            format!(
                "truth: {name:12} {load:4}  accepted {}; abstained {abstained}, wrong {wrong}, of these high {confidently_wrong}",
                tally.text()
            )
        };
        let lines = Axis::ALL.iter().flat_map(|axis| self.loads.iter().map(|load| line(*axis, load)));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// A row of the table of disagreements.
struct Disagreement<'a> {
    name: &'a str,
    loads: Vec<Load>,
    is: String,
    said: String,
    reason: &'a str,
}

impl<'a> Disagreement<'a> {
    fn of(seen: &'a Observation, axis: Axis, reasons: &'a [Reason]) -> Option<Self> {
        let is_listed = match Outcome::of(seen, axis) {
            Outcome::Wrong => true,
            Outcome::Abstained => seen.load != Load::None,
            Outcome::Accepted | Outcome::Unmeasured => false,
        };
        let reading = seen.reading.as_ref().ok().filter(|_| is_listed)?;
        let verdict = axis.verdict(reading);
        let between: Vec<&str> = verdict.alternatives.iter().map(|left| left.name.as_str()).collect();
        let said = match (verdict.name.as_str(), between.is_empty()) {
            (INCONCLUSIVE, false) => format!("{INCONCLUSIVE}: {}", between.join(" or ")),
            _ => verdict.text(),
        };
        let reason = label::reason(reasons, axis, &seen.name, seen.load);
        Some(Self {
            name: &seen.name,
            loads: vec![seen.load],
            is: preferred(seen, axis).into(),
            said,
            reason,
        })
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.name, &self.said, self.reason) == (other.name, &other.said, other.reason)
    }
}

fn none_or(text: String) -> String {
    if text.is_empty() { "none".into() } else { text }
}

#[cfg(test)]
mod tests;
