//! `cargo xtask setup`: installs what building the probes needs, and with `--vm` what the virtual machines need. Other
//! tasks install through it what they need themselves.
//!
//! Each step looks first and says in one line what is needed, what was found and what will be run; a second
//! run finds everything and runs nothing.

mod apps;
mod apt;
mod linker;

use std::process::Command;

use anyhow::{Result, bail};

use crate::toolchain::{self, Route};
use crate::{process, workspace};

/// Debian's compiler, its `core` for BPF, and its clippy, which lints the probes for their own target.
const COMPILER_PACKAGES: [&str; 3] = ["rustc-web", "libstd-rust-web-dev-bpf", "rust-web-clippy"];

/// The emulator, the guest's user space, and what packs the guest's file system.
const VM_PACKAGES: [&str; 4] = ["qemu-system-x86", "busybox-static", "cpio", "binutils"];

/// Options of `setup`.
#[derive(clap::Args)]
pub struct Args {
    /// Only look; exit with 1 if something is missing
    #[arg(long)]
    check: bool,
    /// Also install what `cargo xtask vm` needs
    #[arg(long)]
    vm: bool,
}

/// One thing that must be there.
struct Step {
    /// What is needed.
    need: String,
    /// What was found.
    found: String,
    /// What puts it right; nothing when what was found will do.
    fix: Vec<Command>,
}

impl Step {
    /// The step's line.
    fn line(&self) -> String {
        let Self { need, found, fix } = self;
        let run = match fix.as_slice() {
            [] => "nothing to do".to_owned(),
            commands => {
                let typed: Vec<_> = commands.iter().map(process::describe).collect();
                format!("run `{}`", typed.join(" && "))
            }
        };
        format!("setup: need {need}; found {found}; {run}")
    }

    /// Says what will be done and, unless only looking, does it. Returns whether something is missing.
    fn settle(mut self, check: bool) -> Result<bool> {
        println!("{}", self.line());
        if !check {
            self.fix.iter_mut().try_for_each(process::run)?;
        }
        Ok(check && !self.fix.is_empty())
    }
}

/// Installs, or with `--check` looks.
///
/// # Errors
/// When a step fails or, with `--check`, when something is missing.
pub fn run(args: &Args) -> Result<()> {
    let mut missing = probes(args.check)?;
    if args.vm {
        missing |= apt::packages("the virtual machines", &VM_PACKAGES)?.settle(args.check)?;
    }
    if missing {
        let vm = if args.vm { " --vm" } else { "" };
        bail!("something is missing; install it: `cargo xtask setup{vm}`");
    }
    Ok(())
}

/// Installs packages of Debian that are missing.
///
/// # Errors
/// When apt cannot be asked, or fails.
pub fn packages(purpose: &str, names: &[&str]) -> Result<()> {
    apt::packages(purpose, names)?.settle(false).map(|_| ())
}

/// Installs programs for the tests that Debian does not have.
///
/// # Errors
/// When a registry cannot be reached, or a step fails.
pub fn apps() -> Result<()> {
    apps::install(&workspace::root())
}

/// Whether this process is root.
pub fn is_root() -> bool {
    apt::is_root()
}

/// The steps for building the probes. A nightly that is complete is accepted in place of Debian's compiler.
fn probes(check: bool) -> Result<bool> {
    let debian = toolchain::debian();
    if debian.is_err()
        && let Ok(found) = toolchain::complete(Route::Nightly)
    {
        let need = "a compiler for the probes".to_owned();
        let found = format!("{} with rust-src, and a fitting bpf-linker", found.compiler.banner);
        return Step { need, found, fix: Vec::new() }.settle(check);
    }
    if workspace::find_program("apt-get").is_none() {
        bail!(
            "there is no apt-get here, and no complete nightly; run `rustup toolchain install nightly \
             --component rust-src` and install bpf-linker {} with the nightly's LLVM",
            toolchain::BPF_LINKER_VERSION
        );
    }
    let missing = apt::compiler(&debian, &COMPILER_PACKAGES)?.settle(check)?;
    match toolchain::debian() {
        Ok(compiler) => Ok(linker::steps(&compiler, check)? | missing),
        Err(_) if check => Ok(true),
        Err(error) => Err(error.context("the compiler was installed but cannot be used")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_says_what_is_needed_found_and_run() {
        let mut command = Command::new("apt-get");
        command.args(["install", "cpio"]);
        let step = |fix| Step { need: "cpio".into(), found: "none".into(), fix };
        assert_eq!(step(vec![command]).line(), "setup: need cpio; found none; run `apt-get install cpio`");
        assert_eq!(step(vec![]).line(), "setup: need cpio; found none; nothing to do");
    }
}
