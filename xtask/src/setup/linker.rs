//! bpf-linker: built here, against the LLVM that the compiler uses.

use std::process::Command;

use anyhow::{Context, Result};

use super::{Step, apt};
use crate::process;
use crate::toolchain::{self, BPF_LINKER_VERSION, Compiler, Linker};

/// LLVM's development files and bpf-linker. Both follow the compiler's LLVM, which moves with Debian's
/// security updates, so its major version is read and not written down here. Returns whether one is missing.
///
/// # Errors
/// When a step fails.
pub fn steps(compiler: &Compiler, check: bool) -> Result<bool> {
    let major = compiler.llvm_major();
    let step = step(major);
    // Only the build of the linker needs LLVM's development files.
    let lacks_llvm = match step.fix.as_slice() {
        [] => false,
        _ => apt::packages("bpf-linker", &[&format!("llvm-{major}-dev"), "g++"])?.settle(check)?,
    };
    let lacks_linker = step.settle(check)?;
    if !check {
        toolchain::complete(toolchain::Route::Debian).context("bpf-linker was installed but does not fit")?;
    }
    Ok(lacks_llvm | lacks_linker)
}

/// The step for the linker itself.
fn step(major: &str) -> Step {
    let need = format!("bpf-linker {BPF_LINKER_VERSION} with LLVM {major}");
    let unfit = match Linker::find() {
        Ok(linker) => linker.unfit(major),
        Err(error) => Some(format!("none: {error:#}")),
    };
    match unfit {
        None => Step { need, found: "it".into(), fix: Vec::new() },
        Some(found) => Step { need, found, fix: vec![install(major)] },
    }
}

/// The command that builds and installs it (two minutes on two cores).
fn install(major: &str) -> Command {
    let mut command = process::cargo();
    process::isolate(&mut command);
    command
        .args(["install", "bpf-linker", "--version", BPF_LINKER_VERSION, "--locked", "--force"])
        .args(["--no-default-features", "--features", &format!("llvm-{major}")])
        .env("LLVM_PREFIX", format!("/usr/lib/llvm-{major}"));
    if let Some(toolchain) = std::env::var_os("RUSTUP_TOOLCHAIN") {
        command.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    command
}
