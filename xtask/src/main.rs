//! Developer tasks of the workspace, run as `cargo xtask <task>`.
//!
//! A task prints what it is about to do before it does it, and an error names the command that fixes it.
//! Nothing here is needed to build or run `trace` itself: the probes' object is committed.

mod bench;
mod build_ebpf;
mod check;
mod fuzz;
mod ldd;
mod manifest;
mod process;
mod reliability;
mod setup;
mod soak;
mod table;
mod test;
mod toolchain;
mod truth;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

/// Developer tasks of the trace workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Install what building the probes needs (with --vm: what the virtual machines need)
    Setup(setup::Args),
    /// Build the probes and store the object and its manifest under trace-ebpf/prebuilt
    BuildEbpf(build_ebpf::Args),
    /// Compare the committed object with its sources, check the formatting, lint both targets
    Check(check::Args),
    /// Read arbitrary bytes where bytes are not to be trusted, by libFuzzer
    Fuzz(fuzz::Args),
    /// Run the long forms of the tests that nobody is harmed, and write docs/RELIABILITY.md
    Soak(soak::Args),
    /// Install what the tests use, and run all of them
    Test(test::Args),
    /// Measure real servers whose models are known, compare, and write docs/ACCURACY.md
    Truth(truth::Args),
    /// Measure what tracing costs, beside other tools, and write docs/BENCHMARKS.md
    Bench(bench::Args),
    /// Run tests under Debian's kernels 6.1 and 6.12 in QEMU
    Vm(vm::Args),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Setup(args) => setup::run(&args),
        Task::BuildEbpf(args) => build_ebpf::run(&args),
        Task::Check(args) => check::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Soak(args) => soak::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Truth(args) => truth::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Vm(args) => vm::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
