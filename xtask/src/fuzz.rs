//! `cargo xtask fuzz`: what is not to be trusted is read from arbitrary bytes, by the targets in `fuzz/`.
//!
//! libFuzzer needs neither nightly nor cargo-fuzz as long as no sanitizer is wanted: the instrumentation is a pass of the
//! stable compiler, and the code under test is safe Rust but for system calls. The corpus in `fuzz/corpus` is kept and only
//! read; what a run finds goes to `target/fuzz/corpus`, from where `--keep` takes the inputs that reach something new.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{process, reliability, setup, workspace};

/// libFuzzer is C++.
const PACKAGES: [&str; 1] = ["g++"];
/// The targets, with their share of all executions in per mille: those that execute fast carry most of them, and a tenth
/// of a second is worth as much everywhere (`--seconds` is shared alike).
const TARGETS: [(&str, u64); 6] =
    [("ledger", 640), ("ring", 280), ("proc", 60), ("expression", 5), ("btf", 10), ("saved", 5)];
/// The compiler's passes that cargo-fuzz would ask for with `-s none`.
const RUSTFLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                         -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                         -Cllvm-args=-sanitizer-coverage-pc-table \
                         -Cllvm-args=-sanitizer-coverage-trace-compares";
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// Longest input, bytes: some hundred events, or a measurement of two threads with its distributions.
const MAX_LENGTH: [(&str, u32); 6] =
    [("ledger", 1024), ("ring", 1024), ("proc", 4096), ("expression", 256), ("btf", 8192), ("saved", 32768)];
/// An input that takes this long is a finding, s.
const TIMEOUT: u32 = 10;
/// Most memory of a target, MiB.
const MEMORY: u32 = 1024;
/// Length of the run in CI, s.
const CI_SECONDS: u64 = 60;

/// Options of `fuzz`.
#[derive(clap::Args)]
pub struct Args {
    /// Only these targets
    #[arg(long, value_name = "NAME", value_parser = TARGETS.map(|(name, _)| name))]
    target: Vec<String>,
    /// So many executions over all targets; the figures go into docs/RELIABILITY.md
    #[arg(long, value_name = "N", conflicts_with_all = ["seconds", "ci"])]
    runs: Option<u64>,
    /// So many seconds over all targets
    #[arg(long, value_name = "N", conflicts_with = "ci")]
    seconds: Option<u64>,
    /// The short run of CI: the kept corpus, and a minute more
    #[arg(long)]
    ci: bool,
    /// Afterwards, keep the inputs that reach something new in fuzz/corpus
    #[arg(long)]
    keep: bool,
}

/// How long each target runs.
#[derive(Clone, Copy)]
enum Length {
    Runs(u64),
    Seconds(u64),
}

/// What became of one target.
struct Outcome {
    name: &'static str,
    executions: u64,
    seconds: f64,
    inputs: usize,
}

/// Builds the targets and runs them, one after the other.
///
/// # Errors
/// When one crashes: the input is named, and how to run it again.
pub fn run(args: &Args) -> Result<()> {
    setup::packages("the fuzzers", &PACKAGES)?;
    let root = workspace::root();
    let chosen: Vec<(&'static str, u64)> = TARGETS
        .into_iter()
        .filter(|(name, _)| args.target.is_empty() || args.target.iter().any(|t| t == name))
        .collect();
    let built = build(&root)?;
    let shares: u64 = chosen.iter().map(|(_, share)| share).sum();
    let mut outcomes = Vec::new();
    for (name, share) in &chosen {
        let length = match (args.runs, args.seconds) {
            (Some(runs), _) => Length::Runs(runs.saturating_mul(*share).div_ceil(shares)),
            (None, seconds) => Length::Seconds(seconds.unwrap_or(CI_SECONDS).div_ceil(chosen.len() as u64)),
        };
        let outcome = fuzz(&root, &built, name, length)?;
        println!("fuzz: {name}: {} executions in {:.0} s, no crash", outcome.executions, outcome.seconds);
        if args.keep {
            keep(&root, &built, name)?;
        }
        outcomes.push(outcome);
    }
    let total: u64 = outcomes.iter().map(|o| o.executions).sum();
    println!("fuzz: {total} executions in all, no crash");
    match (args.runs, args.target.is_empty()) {
        (Some(_), true) => reliability::write(&root, "fuzz", &table(&outcomes)),
        _ => Ok(()),
    }
}

/// Builds all targets; returns where they are.
fn build(root: &Path) -> Result<PathBuf> {
    let target = root.join("target/fuzz");
    let mut command = process::cargo();
    process::isolate(&mut command);
    if let Some(toolchain) = std::env::var_os("RUSTUP_TOOLCHAIN") {
        command.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    command.args(["build", "--release", "--locked", "--target", TRIPLE, "--manifest-path"]);
    command.arg(root.join("fuzz/Cargo.toml")).arg("--target-dir").arg(&target).env("RUSTFLAGS", RUSTFLAGS);
    println!("fuzz: {}", process::describe(&command));
    process::run(&mut command)?;
    Ok(target.join(TRIPLE).join("release"))
}

/// Directories of the inputs: what runs found, and what is kept.
fn corpora(root: &Path, name: &str) -> Result<[PathBuf; 2]> {
    let found = root.join("target/fuzz/corpus").join(name);
    fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
    Ok([found, root.join("fuzz/corpus").join(name)])
}

/// Arguments of every call.
fn command(built: &Path, name: &str) -> Command {
    let length = MAX_LENGTH.iter().find(|(target, _)| *target == name).map_or(4096, |(_, length)| *length);
    let mut command = Command::new(built.join(name));
    command.arg(format!("-max_len={length}")).arg(format!("-timeout={TIMEOUT}"));
    command.arg(format!("-rss_limit_mb={MEMORY}"));
    command
}

/// Runs one target.
fn fuzz(root: &Path, built: &Path, name: &'static str, length: Length) -> Result<Outcome> {
    let corpora = corpora(root, name)?;
    let artifacts = root.join("target/fuzz/artifacts");
    fs::create_dir_all(&artifacts)?;
    let mut command = command(built, name);
    match length {
        Length::Runs(runs) => command.arg(format!("-runs={runs}")),
        Length::Seconds(seconds) => command.arg(format!("-max_total_time={seconds}")),
    };
    command.arg("-print_final_stats=1").arg(format!("-artifact_prefix={}/{name}-", artifacts.display()));
    command.args(&corpora);
    println!("fuzz: {}", process::describe(&command));
    let begun = Instant::now();
    let output = command.output().with_context(|| format!("cannot run {}", process::describe(&command)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    forget_trees();
    if !output.status.success() {
        let from =
            said.lines().position(|line| line.contains("panicked at") || line.contains("ERROR: libFuzzer"));
        let lines: Vec<&str> = said.lines().skip(from.unwrap_or(0)).take(40).collect();
        let again = built.join(name);
        bail!(
            "{name} crashed:\n{}\nrun it again: {} {}/{name}-crash-…",
            lines.join("\n"),
            again.display(),
            artifacts.display()
        );
    }
    let executions = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let executions = executions.and_then(|n| n.trim().parse().ok()).context("libFuzzer told no figures")?;
    let inputs = corpora.iter().filter_map(|c| Some(fs::read_dir(c).ok()?.count())).sum();
    Ok(Outcome { name, executions, seconds: begun.elapsed().as_secs_f64(), inputs })
}

/// The trees in memory of the target `proc`, which a crash leaves behind.
fn forget_trees() {
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("trace-fuzz-") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Adds to the kept corpus what reaches something that it does not reach yet.
fn keep(root: &Path, built: &Path, name: &str) -> Result<()> {
    let [found, kept] = corpora(root, name)?;
    let mut command = command(built, name);
    command.arg("-set_cover_merge=1").args([kept, found]);
    println!("fuzz: {}", process::describe(&command));
    process::capture(&mut command).map(|_| ())
}

/// The figures of a long run.
fn table(outcomes: &[Outcome]) -> String {
    let mut text =
        "| target | executions | seconds | inputs kept and found | crashes |\n|---|---:|---:|---:|---:|\n"
            .to_owned();
    for Outcome { name, executions, seconds, inputs } in outcomes {
        text += &format!("| `{name}` | {executions} | {seconds:.0} | {inputs} | 0 |\n");
    }
    let total: u64 = outcomes.iter().map(|o| o.executions).sum();
    text + &format!("| all | {total} | {:.0} | | 0 |\n", outcomes.iter().map(|o| o.seconds).sum::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_source_a_share_and_a_corpus() {
        let root = workspace::root();
        let manifest = workspace::read_text(&root.join("fuzz/Cargo.toml")).expect("a manifest");
        for (name, _) in TARGETS {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
            assert!(root.join(format!("fuzz/fuzz_targets/{name}.rs")).is_file(), "{name}");
            assert!(root.join("fuzz/corpus").join(name).read_dir().expect("a corpus").count() > 0, "{name}");
            assert!(MAX_LENGTH.iter().any(|(target, _)| *target == name), "{name}");
        }
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
        assert_eq!(TARGETS.iter().map(|(_, share)| share).sum::<u64>(), 1000);
    }
}
