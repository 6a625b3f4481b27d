//! One configuration, measured at its loads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::axis::{Axis, Load};
use super::lab::Lab;
use super::label::Label;
use super::report::{self, Reading};
use super::score::Outcome;
use crate::process;

/// What came of one configuration at one load.
pub struct Observation {
    /// The configuration.
    pub name: String,
    /// What it is known to be.
    pub label: Label,
    /// What it had to do.
    pub load: Load,
    /// The report, or why there is none.
    pub reading: Result<Reading, String>,
}

impl Observation {
    /// For people: the load, and what each axis says.
    pub fn line(&self) -> String {
        let reading = match &self.reading {
            Ok(reading) => reading,
            Err(why) => return format!("{:4}  not measured: {why}", self.load),
        };
        let said = Axis::ALL.map(|axis| {
            let mark = match Outcome::of(self, axis) {
                Outcome::Wrong => format!(" WRONG, is {}", axis.accepted(&self.label).join(" or ")),
                _ => String::new(),
            };
            format!("{}{mark}", axis.verdict(reading).text())
        });
        format!("{:4}  {}", self.load, said.join("; "))
    }
}

/// What a run left of one configuration.
pub fn read_back(reports: &Path, name: &str, label: &Label, loads: &[Load]) -> Vec<Observation> {
    let read =
        |load: Load| report::read(&report_of(reports, name, load.name())).map_err(|why| format!("{why:#}"));
    let observation = |load: &Load| Observation {
        name: name.into(),
        label: label.clone(),
        load: *load,
        reading: read(*load),
    };
    loads.iter().map(observation).collect()
}

/// Makes the reports of what was kept of one configuration anew; of what was not kept there is none.
///
/// # Errors
/// When `trace` cannot report on a file.
pub fn judge_anew(trace: &Path, kept: &Path, reports: &Path, name: &str, loads: &[Load]) -> Result<()> {
    for load in loads {
        let (snapshot, report) =
            (kept.join(format!("{name}-{load}.trace")), report_of(reports, name, load.name()));
        let _ = fs::remove_file(&report);
        if snapshot.exists() {
            let mut command = Command::new(trace);
            command.arg("report").arg(&snapshot).args(["--format", "json"]).arg("--output").arg(&report);
            process::run(command.stdout(Stdio::null()))?;
        }
    }
    Ok(())
}

fn report_of(reports: &Path, name: &str, load: &str) -> PathBuf {
    reports.join(format!("{name}-{load}.json"))
}

/// How to measure.
pub struct Measurement<'a> {
    lab: &'a Lab,
    trace: &'a Path,
    window_ms: u64,
    tier: &'a str,
    reports: PathBuf,
    keep: Option<Keep>,
}

/// Where to keep what was measured, and in which format.
struct Keep {
    directory: PathBuf,
    extension: &'static str,
}

impl<'a> Measurement<'a> {
    /// With directories that exist.
    ///
    /// # Errors
    /// When one cannot be made, or `trace` cannot be run.
    pub fn new(
        lab: &'a Lab,
        trace: &'a Path,
        reports: PathBuf,
        window_ms: u64,
        tier: &'a str,
        keep: Option<&Path>,
    ) -> Result<Self> {
        let keep = keep.map(|directory| Keep::new(directory, trace)).transpose()?;
        Ok(Self { lab, trace, window_ms, tier, reports, keep })
    }

    /// Starts the configuration, measures it at each load, and stops it.
    pub fn observe(&self, name: &str, label: &Label, loads: &[Load]) -> Vec<Observation> {
        let ran = self.run(name, loads);
        let mut observations = read_back(&self.reports, name, label, loads);
        for observation in &mut observations {
            if let Err(why) = &mut observation.reading {
                let first = ran.as_ref().err().map_or_else(|| why.clone(), |error| format!("{error:#}"));
                *why = format!("{first}{}", self.said(name));
            }
        }
        observations
    }

    fn run(&self, name: &str, loads: &[Load]) -> Result<()> {
        for load in loads {
            // So that none is taken for a new one.
            let _ = fs::remove_file(self.report(name, load.name()));
        }
        let status = self.lab.run(name, loads, &self.attach(name), &self.log(name))?;
        // Each load's report says for itself whether it was measured.
        match status.code() {
            Some(125) => bail!("it did not start"),
            Some(_) => Ok(()),
            None => bail!("the script was ended: {status}"),
        }
    }

    /// `trace attach` on `{pid}` at `{load}`.
    fn attach(&self, name: &str) -> Command {
        let mut attach = Command::new(self.trace);
        attach.args(["attach", "--pid", "{pid}", "--quiet", "--force", "--format", "json", "--duration"]);
        attach.arg(format!("{}ms", self.window_ms)).arg("--output").arg(self.report(name, "{load}"));
        attach.args(["--tier", self.tier]);
        if let Some(Keep { directory, extension }) = &self.keep {
            attach.arg("--output").arg(directory.join(format!("{name}-{{load}}.{extension}")));
        }
        attach
    }

    fn report(&self, name: &str, load: &str) -> PathBuf {
        report_of(&self.reports, name, load)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.reports.join(format!("{name}.log"))
    }

    /// The end of what the script and `trace` complained of.
    fn said(&self, name: &str) -> String {
        let log = fs::read_to_string(self.log(name)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(4)..].join(" | ");
        if last.is_empty() { last } else { format!(": {last}") }
    }
}

impl Keep {
    fn new(directory: &Path, trace: &Path) -> Result<Keep> {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        // The script has another working directory.
        let directory = fs::canonicalize(directory)?;
        let help = process::capture(Command::new(trace).args(["attach", "--help"]))?;
        let extension = if help.contains(".trace") { "trace" } else { "json" };
        Ok(Keep { directory, extension })
    }
}
