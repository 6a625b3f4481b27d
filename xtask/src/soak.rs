//! `cargo xtask soak`: the long forms of the tests that may not harm anybody, and their figures in docs/RELIABILITY.md.

use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::reliability::Row;
use crate::{process, reliability, workspace};

/// What a row of figures begins with among what the tests print.
const ROW: &str = "soak: ";
/// Its tests.
const TESTS: [&str; 8] = ["test", "--package", "trace-user", "--test", "harm", "--test", "faults", "--"];

/// Options of `soak`.
#[derive(clap::Args)]
pub struct Args {
    /// The short forms, as in CI; the page is not written
    #[arg(long)]
    short: bool,
    /// Only tests whose name contains one of these; rows of the others stay on the page as they are
    filter: Vec<String>,
}

/// Runs the tests, one at a time: half an hour and more.
///
/// # Errors
/// When one fails; then nothing is written, not even of those that passed.
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
    let rows = rows(&said);
    if args.short || rows.is_empty() {
        return Ok(());
    }
    reliability::write_rows(&root, "soak", &rows)
}

/// The rows, each of which may stand behind the name of its test.
fn rows(said: &str) -> Vec<Row> {
    let behind = |line: &'_ str| line.find(ROW).map(|at| line[at + ROW.len()..].to_owned());
    said.lines().filter_map(behind).filter_map(|row| Row::parse(&row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_among_what_tests_print() {
        let said = "running 2 tests\ntest a ... soak: | a | 1 |\nok\nsoak: | b | 2 |\nsoak: cargo test\n";
        let row = |what: &str, seen: &str| Row { what: what.to_owned(), rest: seen.to_owned() };
        assert_eq!(rows(said), [row("a", "1"), row("b", "2")]);
    }
}
