//! `cargo xtask truth`: starts real servers whose models are known, loads them, attaches `trace`, and compares.
//!
//! Servers, loads and labels lie in `truth/`; its script `truth/lab` installs, starts, loads and stops. What is here
//! chooses, reads the reports, counts, and writes the page that publishes the counts. Everything runs one after the
//! other: servers that run at once would decide each other's verdicts.

mod axis;
mod fault;
mod lab;
mod label;
mod measure;
mod page;
mod report;
mod score;
mod tiers;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{process, setup, workspace};
use axis::Load;
use lab::Lab;
use label::Label;
use measure::{Measurement, Observation};
use page::Page;

/// Options of `truth`.
#[derive(clap::Args)]
pub struct Args {
    /// Only these configurations
    #[arg(long, value_name = "NAME", num_args = 1.., conflicts_with = "subset")]
    only: Vec<String>,
    /// Only the configurations listed in truth/subsets/NAME; `ci` is short
    #[arg(long, value_name = "NAME")]
    subset: Option<String>,
    /// Only these loads: none, one connection, many connections
    #[arg(long, value_enum, num_args = 1..)]
    load: Vec<Load>,
    /// Install what is missing: packages of Debian, wheels, crates, Node.js
    #[arg(long)]
    install: bool,
    /// List the configurations with their labels, and whether they are installed; measure nothing
    #[arg(long, conflicts_with = "install")]
    list: bool,
    /// Milliseconds of each measurement; default: 2500, of a subset 2000
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    window: Option<u64>,
    /// How many at once: always 1, since servers that run at once disturb each other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=1))]
    jobs: u8,
    /// Keep what was measured in this directory, as .trace where `trace` writes that, else as JSON
    #[arg(long, value_name = "DIR")]
    keep_snapshots: Option<PathBuf>,
    /// Measure nothing: judge the reports that the last runs left below target/truth; with --keep-snapshots what was
    /// kept there, anew
    #[arg(long, conflicts_with_all = ["install", "list"])]
    again: bool,
    /// Measure with this `trace` instead of one built now
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Measure in this tier; what is seen under load is compared with what was kept of tier full
    #[arg(long, value_name = "TIER", default_value = FULL)]
    tier: String,
    /// Write the page here; default: docs/ACCURACY.md after a complete run, else target/truth/ACCURACY.md
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Fail, too, when server models are recognised too seldom
    #[arg(long)]
    enforce_server: bool,
}

/// The tier whose measurements are kept.
const FULL: &str = "full";

impl Args {
    fn window_ms(&self) -> u64 {
        self.window.unwrap_or(if self.subset.is_some() { 2000 } else { 2500 })
    }

    /// Where reports go, below the state: a subset's, whose windows are shorter, do not replace the others, nor do those of
    /// another tier.
    fn reports(&self) -> String {
        let tier = (self.tier != FULL).then_some(self.tier.as_str());
        let which = self.subset.as_deref().into_iter().chain(tier);
        which.fold("reports".into(), |name, which| format!("{name}-{which}"))
    }
}

/// Configurations without which a run is not published.
const ENOUGH_TO_PUBLISH: usize = 60;

/// What is to be measured.
struct Chosen {
    /// Names and labels.
    labels: Vec<(String, Label)>,
    /// In the order in which they are given.
    loads: Vec<Load>,
    /// Whether that is everything there is.
    complete: bool,
}

/// Measures what was chosen and publishes how it compares.
///
/// # Errors
/// When something cannot be measured, when a verdict of confidence `high` is wrong, or when models are recognised
/// too seldom.
pub fn run(args: &Args) -> Result<()> {
    let root = workspace::root();
    // Before anything is written that is in it.
    let commit = commit(&root).unwrap_or_else(|_| "unknown".into()) + &other_work(args);
    let lab = Lab::new(&root);
    let chosen = choose(&root, args)?;
    if args.list {
        return list(&lab, &chosen);
    }
    if args.again {
        let reports = lab.directory(&args.reports())?;
        if let Some(kept) = &args.keep_snapshots {
            judge_anew(args, &root, kept, &reports, &chosen)?;
        }
        let read = |(name, label): &(String, Label)| measure::read_back(&reports, name, label, &chosen.loads);
        let observations: Vec<_> = chosen.labels.iter().flat_map(read).collect();
        return finish(&root, args, &chosen, &observations, (vec![], commit));
    }
    let missing = installed(&lab, args, &chosen)?;
    let trace = tool(args, &root)?;
    let reports = lab.directory(&args.reports())?;
    let measurement = Measurement::new(
        &lab,
        &trace,
        reports,
        args.window_ms(),
        &args.tier,
        args.keep_snapshots.as_deref(),
    )?;
    let observations = all(&measurement, &chosen, &missing, args.subset.is_some());
    finish(&root, args, &chosen, &observations, (missing, commit))
}

/// The `trace` to measure or judge with.
fn tool(args: &Args, root: &Path) -> Result<PathBuf> {
    match &args.trace {
        // The script has another working directory.
        Some(trace) => fs::canonicalize(trace).with_context(|| format!("there is no {}", trace.display())),
        None => build(root),
    }
}

/// Makes reports of what was kept.
fn judge_anew(args: &Args, root: &Path, kept: &Path, reports: &Path, chosen: &Chosen) -> Result<()> {
    let trace = tool(args, root)?;
    for (name, _) in &chosen.labels {
        measure::judge_anew(&trace, kept, reports, name, &chosen.loads)?;
    }
    Ok(())
}

/// Installs if asked to, and returns what is missing all the same; only a complete run does without it.
fn installed(lab: &Lab, args: &Args, chosen: &Chosen) -> Result<Vec<String>> {
    if !setup::is_root() {
        bail!(
            "servers are started, and traced, by root; run `sudo --preserve-env=PATH,HOME cargo xtask truth`"
        );
    }
    let names: Vec<&str> = chosen.labels.iter().map(|(name, _)| name.as_str()).collect();
    if args.install
        && let Err(error) = lab.install(&names)
    {
        // What could not be had is listed below, and on the page of a complete run.
        println!("truth: {error:#}");
    }
    let installed = lab.installed()?;
    let missing: Vec<String> =
        names.iter().filter(|name| !installed.contains(**name)).map(|&name| name.into()).collect();
    if !missing.is_empty() {
        let which =
            format!("not installed: {}; install with `cargo xtask truth --install`", missing.join(", "));
        if !chosen.complete {
            bail!("{which}");
        }
        println!("truth: {which}");
    }
    Ok(missing)
}

/// Measures one configuration after the other, and says what came of each. With `retry`, one that abstains under load is
/// measured once more: on a machine with other work, its clients may not have had their turn.
fn all(measurement: &Measurement, chosen: &Chosen, missing: &[String], retry: bool) -> Vec<Observation> {
    let there: Vec<_> = chosen.labels.iter().filter(|(name, _)| !missing.contains(name)).collect();
    let mut observations = Vec::new();
    for (nth, (name, label)) in there.iter().enumerate() {
        println!("truth: [{:2}/{}] {name}", nth + 1, there.len());
        let mut new = measurement.observe(name, label, &chosen.loads);
        if retry && new.iter().any(|seen| seen.load == fault::BINDING && !score::is_settled(seen)) {
            println!("    once more, since it was not recognised:");
            new.iter().for_each(|observation| println!("    {}", observation.line()));
            new = measurement.observe(name, label, &chosen.loads);
        }
        new.iter().for_each(|observation| println!("    {}", observation.line()));
        observations.extend(new);
    }
    observations
}

/// Writes the page (with what was missing, and the commit that was measured), says what the thresholds say, and fails where they do.
fn finish(
    root: &Path,
    args: &Args,
    chosen: &Chosen,
    observations: &[Observation],
    (missing, commit): (Vec<String>, String),
) -> Result<()> {
    let state = root.join(lab::STATE);
    let measured = chosen.labels.len() - missing.len();
    if args.tier != FULL {
        return compare(root, args, chosen, observations, &state);
    }
    let default = if chosen.complete && measured >= ENOUGH_TO_PUBLISH {
        root.join("docs/ACCURACY.md")
    } else {
        state.join("ACCURACY.md")
    };
    let file = args.page.clone().unwrap_or(default);
    let reasons = label::reasons(root)?;
    let loads = &chosen.loads;
    let page = Page { observations, loads, reasons: &reasons, missing, commit };
    write(&file, &page.to_string())?;
    let evidence = state.join("disagreements.md");
    write(&evidence, &page.evidence())?;
    println!("{}", page.summary());
    println!("truth: wrote {}, and the evidence of disagreements to {}", file.display(), evidence.display());
    let faults = fault::all(observations, loads, args.enforce_server, args.subset.is_some());
    if faults.is_empty() {
        return Ok(());
    }
    faults.iter().for_each(|fault| println!("truth: FAIL: {fault}"));
    bail!("{} fault(s); the reports are in {}", faults.len(), state.join(args.reports()).display())
}

/// Says how far the I/O models under load are those that tier full gave to the measurements that are kept, and writes that.
fn compare(
    root: &Path,
    args: &Args,
    chosen: &Chosen,
    observations: &[Observation],
    state: &Path,
) -> Result<()> {
    let kept = root.join("truth/snapshots");
    let full = Lab::new(root).directory("reports-kept")?;
    judge_anew(args, root, &kept, &full, chosen)?;
    let page = tiers::compare(&args.tier, observations, &full);
    let file = args.page.clone().unwrap_or_else(|| state.join(format!("TIER-{}.md", args.tier)));
    write(&file, &page.text)?;
    println!("{}\ntruth: wrote {}", page.summary, file.display());
    if page.share < tiers::LEAST {
        bail!("{:.1} % are equal, {:.0} % are asked for", 100.0 * page.share, 100.0 * tiers::LEAST);
    }
    Ok(())
}

/// What the options choose of what there is.
fn choose(root: &Path, args: &Args) -> Result<Chosen> {
    let all = label::labels(root)?;
    let loads = if args.load.is_empty() { Load::ALL.to_vec() } else { args.load.clone() };
    let wanted = match &args.subset {
        Some(subset) => label::subset(root, subset)?,
        None => args.only.clone(),
    };
    if let Some(unknown) = wanted.iter().find(|name| !all.contains_key(*name)) {
        bail!("there is no configuration {unknown}; see `cargo xtask truth --list`");
    }
    let complete = wanted.is_empty() && loads.len() == Load::ALL.len();
    let is_wanted = |name: &String| wanted.is_empty() || wanted.contains(name);
    let labels = all.into_iter().filter(|(name, _)| is_wanted(name)).collect();
    Ok(Chosen { labels, loads, complete })
}

/// Prints what there is.
fn list(lab: &Lab, chosen: &Chosen) -> Result<()> {
    let installed = lab.installed()?;
    for (name, Label { io_model, server_model, why: _ }) in &chosen.labels {
        let there = if installed.contains(name) { "installed" } else { "missing" };
        println!("{name:17} {there:9}  {:28} {}", io_model.join("|"), server_model.join("|"));
    }
    Ok(())
}

/// Builds `trace`, and says where it is.
fn build(root: &Path) -> Result<PathBuf> {
    let mut cargo = process::cargo();
    cargo.current_dir(root).args([
        "build",
        "--quiet",
        "--locked",
        "--package",
        "trace-user",
        "--bin",
        "trace",
    ]);
    println!("truth: {}", process::describe(&cargo));
    process::run(&mut cargo)?;
    // Beside this very program, wherever the target directory is.
    let here = std::env::current_exe().context("cannot tell where this program is")?;
    Ok(here.with_file_name("trace"))
}

/// The commit that was measured, and whether something was changed since.
fn commit(root: &Path) -> Result<String> {
    let mut git = std::process::Command::new("git");
    git.current_dir(root).args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
    Ok(process::capture(&mut git)?.trim().to_owned())
}

/// What else the machine does before a measurement, which does not do it good.
fn other_work(args: &Args) -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let busy = text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).filter(|load| *load >= 1.0);
    match busy {
        Some(load) if !args.again => format!("; other jobs ran on the machine (load average {load} before)"),
        _ => String::new(),
    }
}

/// Writes a file, naming it when that fails.
fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
