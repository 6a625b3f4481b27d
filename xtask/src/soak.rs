//! `cargo xtask soak`: the long forms of the tests that may not harm anybody, and their figures in docs/RELIABILITY.md.

use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::{process, reliability, workspace};

/// What a row of figures begins with among what the tests print.
const ROW: &str = "soak: ";
/// Its tests.
const TESTS: [&str; 6] = ["test", "--package", "trace-user", "--test", "harm", "--"];

/// Options of `soak`.
#[derive(clap::Args)]
pub struct Args {
    /// The short forms, as in CI; the page is not written
    #[arg(long)]
    short: bool,
    /// Only tests whose name contains this; the page is not written
    filter: Option<String>,
}

/// Runs the tests, one at a time: half an hour and more.
///
/// # Errors
/// When one fails.
pub fn run(args: &Args) -> Result<()> {
    let root = workspace::root();
    let mut command = process::cargo();
    command.current_dir(&root).args(TESTS).args(["--test-threads=1", "--nocapture"]).args(&args.filter);
    command.env("TRACE_REQUIRE_PRIVILEGED", "1");
    if !args.short {
        command.env("TRACE_SOAK", "1");
    }
    println!("soak: {}", process::describe(&command));
    let output = command.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    if !output.status.success() {
        bail!("a test failed");
    }
    if args.short || args.filter.is_some() {
        return Ok(());
    }
    reliability::write(&root, "soak", &table(&said))
}

/// The rows, which may stand behind the name of their test.
fn table(said: &str) -> String {
    let rows = said.lines().filter_map(|line| line.find(ROW).map(|at| &line[at + ROW.len()..]));
    let rows: String = rows.filter(|row| row.starts_with('|')).map(|row| format!("{row}\n")).collect();
    format!("| what | seen |\n|---|---|\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_among_what_tests_print() {
        let said = "running 2 tests\ntest a ... soak: | a | 1 |\nok\nsoak: | b | 2 |\nsoak: cargo test\n";
        assert_eq!(table(said), "| what | seen |\n|---|---|\n| a | 1 |\n| b | 2 |\n");
    }
}
