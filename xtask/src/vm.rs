//! `cargo xtask vm`: runs a test executable under other kernels, in QEMU without hardware virtualisation.
//!
//! The guest is a kernel of Debian and an initramfs made of busybox, the programs, and their libraries. By
//! default the programs are `trace`, `trace-fixture` and two tests of `trace-user`; `--program` runs anything
//! else.

mod console;
mod guest;
mod init;
mod initramfs;
mod kernel;
mod payload;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::workspace;
use guest::Outcome;
use initramfs::Payload;
use kernel::Kernel;

/// The series that Debian 12 offers: its own kernel and the one of its updates.
const SERIES: [&str; 2] = ["6.1", "6.12"];

/// Options of `vm`.
#[derive(clap::Args)]
pub struct Args {
    /// The kernel series to boot: 6.1, 6.12, another that Debian offers, or all of these two
    #[arg(long, default_value = "all", value_name = "SERIES")]
    kernel: String,
    /// Seconds after which a guest is stopped
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    timeout: u64,
    /// Keep the initramfs under target/vm and name it, with the command that boots it
    #[arg(long)]
    keep: bool,
    /// The integration tests of trace-user to run, each in a boot of its own
    #[arg(long = "test", default_values = ["exact", "models", "exchanges"], value_name = "NAME")]
    tests: Vec<String>,
    /// Run this executable of the host instead of a test
    #[arg(long, value_name = "FILE", conflicts_with = "tests")]
    program: Option<PathBuf>,
    /// Another file to copy to /bin in the guest, with its libraries
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A variable for the program, as NAME=VALUE
    #[arg(long = "env", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// Arguments of the test executable or the program
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

/// Boots every kernel asked for and runs the program in each.
///
/// # Errors
/// When the programs cannot be built or packed, or unless the program succeeds under every kernel.
pub fn run(args: &Args) -> Result<()> {
    let root = workspace::root();
    let directory = root.join("target/vm");
    let mut failed = BTreeSet::new();
    for payload in payloads(&root, args)? {
        let initramfs = initramfs::pack(&directory.join("initramfs.cpio"), &payload)?;
        for series in chosen(&args.kernel) {
            // One kernel's failure does not keep the others from being tried.
            match one(series, &directory, &initramfs, args) {
                Ok(true) => {}
                Ok(false) => _ = failed.insert(series),
                Err(error) => {
                    println!("vm: FAIL: kernel {series}: {error:#}");
                    failed.insert(series);
                }
            }
        }
        if !args.keep {
            fs::remove_file(&initramfs)?;
        }
    }
    if let Some(first) = failed.first() {
        let under: Vec<&str> = failed.iter().copied().collect();
        bail!(
            "failed under {}; look again with `cargo xtask vm --kernel {first} --keep`",
            under.join(" and ")
        );
    }
    Ok(())
}

/// What is run, each in boots of its own.
fn payloads(root: &Path, args: &Args) -> Result<Vec<Payload>> {
    let plain = match &args.program {
        Some(program) => vec![Payload::of_program(program)],
        None => args.tests.iter().map(|test| payload::tests(root, test)).collect::<Result<_>>()?,
    };
    plain.into_iter().map(|payload| completed(payload, args)).collect()
}

/// Boots one kernel; returns whether the program succeeded.
fn one(series: &str, directory: &Path, initramfs: &Path, args: &Args) -> Result<bool> {
    let kernel = kernel::fetch(series, directory)?;
    let outcome = guest::boot(&kernel, initramfs, Duration::from_secs(args.timeout), args.keep)?;
    println!("{}", verdict(&kernel, &outcome));
    Ok(outcome.status == 0)
}

/// With what else was asked for.
fn completed(mut payload: Payload, args: &Args) -> Result<Payload> {
    payload.files.extend(args.files.iter().cloned());
    for variable in &args.variables {
        match variable.split_once('=') {
            Some((name, value)) => payload.variables.push((name.to_owned(), value.to_owned())),
            None => bail!("--env {variable}: expected NAME=VALUE"),
        }
    }
    if !args.arguments.is_empty() {
        payload.arguments.clone_from(&args.arguments);
    }
    Ok(payload)
}

/// The series that a value of `--kernel` stands for.
fn chosen(value: &str) -> Vec<&str> {
    if value == "all" { SERIES.to_vec() } else { vec![value] }
}

/// The line that ends a kernel's run.
fn verdict(kernel: &Kernel, outcome: &Outcome) -> String {
    let Outcome { status, boot, total } = outcome;
    let (word, why) = match *status {
        0 => ("pass", ""),
        init::STATUS_NO_BTF => ("FAIL", ": no /sys/kernel/btf/vmlinux in the guest"),
        _ => ("FAIL", ""),
    };
    let (boot, total) = (boot.as_secs_f64(), total.as_secs_f64());
    format!(
        "vm: {word}: {} (status {status}{why}; booted in {boot:.1} s, {total:.1} s in all)",
        kernel.release
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_stands_for_both_series_and_others_for_themselves() {
        assert_eq!(chosen("all"), SERIES);
        assert_eq!(chosen("6.12"), ["6.12"]);
    }
}
