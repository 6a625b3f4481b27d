//! `cargo xtask check`: the committed object against its sources, the formatting, clippy on both targets, and what the
//! dependency tree may hold.

mod deny;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::manifest::Manifest;
use crate::toolchain::{self, Route};
use crate::{build_ebpf, process, workspace};

/// Debian's clippy (package rust-web-clippy): the only one whose compiler has a `core` for BPF.
const DEBIAN_CLIPPY: &str = "/usr/bin/cargo-clippy";

/// Options of `check`; without any, the manifest and the lints.
#[derive(clap::Args)]
pub struct Args {
    /// Only: was the committed object built from the sources as they are?
    #[arg(long)]
    manifest: bool,
    /// Only: formatting, and clippy for the host and for BPF
    #[arg(long)]
    lints: bool,
    /// Only: build the object again, into target/bpf-rebuilt, and compare
    #[arg(long)]
    rebuild: bool,
    /// Only: licences, sources and duplicates of the dependency tree (installs cargo-deny where it is missing)
    #[arg(long)]
    deny: bool,
}

/// Runs the checks that were asked for.
///
/// # Errors
/// When one fails.
pub fn run(args: &Args) -> Result<()> {
    let root = workspace::root();
    let all = !(args.manifest || args.lints || args.rebuild || args.deny);
    if args.manifest || all {
        let manifest = Manifest::verify(&root, &workspace::prebuilt(&root))?;
        println!("check: the committed object matches its sources (built by {})", manifest.rustc);
    }
    if args.lints || all {
        formatting(&root)?;
        lint_host(&root)?;
        lint_probes(&root)?;
    }
    if args.rebuild {
        rebuild(&root)?;
    }
    if args.deny {
        deny::check(&root)?;
    }
    Ok(())
}

/// `cargo fmt --check` for every member, the probes included.
fn formatting(root: &Path) -> Result<()> {
    announce(process::cargo().current_dir(root).args(["fmt", "--all", "--check"]))
        .context("some file is not formatted; run `cargo fmt --all`")
}

/// Clippy for everything that runs on the host.
fn lint_host(root: &Path) -> Result<()> {
    let mut command = process::cargo();
    command.current_dir(root).args(["clippy", "--locked", "--workspace", "--exclude", "trace-ebpf"]);
    announce(command.args(["--all-targets", "--", "-D", "warnings"]))
}

/// Clippy for the probes and for what they share with the host, on the target they run on.
fn lint_probes(root: &Path) -> Result<()> {
    let toolchain = toolchain::find()?;
    let mut command = build_ebpf::cargo(root, &toolchain);
    if toolchain.route == Route::Debian {
        if !Path::new(DEBIAN_CLIPPY).exists() {
            bail!("there is no {DEBIAN_CLIPPY} to lint the probes; install it: `cargo xtask setup`");
        }
        command = debian_clippy(&command);
    }
    command.args(["clippy", "--locked", "--package", "trace-ebpf", "--package", "trace-common", "--release"]);
    command.args(build_ebpf::target_arguments(toolchain.route));
    command.arg("--target-dir").arg(root.join("target/bpf-clippy"));
    announce(command.args(["--", "-D", "warnings"]))
}

/// The same command through Debian's cargo-clippy, which runs the driver beside it and the cargo in `CARGO`.
fn debian_clippy(cargo: &Command) -> Command {
    let mut command = Command::new(DEBIAN_CLIPPY);
    for (name, value) in cargo.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(directory) = cargo.get_current_dir() {
        command.current_dir(directory);
    }
    command.env("CARGO", cargo.get_program());
    command
}

/// Says what is run, and runs it.
fn announce(command: &mut Command) -> Result<()> {
    println!("check: {}", process::describe(command));
    process::run(command)
}

/// Builds the objects into target/bpf-rebuilt and compares them with the committed ones. Other sources are an
/// error. Other bytes are reported, not refused: they change with the compiler, which moves with Debian's
/// security updates, and with the versions of the macros' dependencies.
///
/// # Errors
/// When the build fails or the committed object was made from other sources.
pub fn rebuild(root: &Path) -> Result<()> {
    let fresh = build_ebpf::build_into(root, &root.join("target/bpf-rebuilt"))?;
    let committed = Manifest::verify(root, &workspace::prebuilt(root))?;
    println!("check: {}", compare(&committed, &fresh));
    Ok(())
}

/// One line about how a fresh build relates to the committed one, of the same sources.
fn compare(committed: &Manifest, fresh: &Manifest) -> String {
    let tools = |manifest: &Manifest| {
        let Manifest { rustc, bpf_linker, llvm, .. } = manifest;
        format!("{rustc}, LLVM {llvm}, bpf-linker {bpf_linker}")
    };
    let objects = |manifest: &Manifest| (manifest.object_sha256.clone(), manifest.raw_sha256.clone());
    if objects(committed) == objects(fresh) {
        return "the fresh objects are identical to the committed ones".to_owned();
    }
    if tools(committed) == tools(fresh) {
        return "warning: the same sources and tools made other objects than the committed ones".to_owned();
    }
    format!(
        "the fresh objects differ from the committed ones, made by {}, not {}",
        tools(committed),
        tools(fresh)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(object: &str, rustc: &str) -> Manifest {
        Manifest {
            sources_sha256: "s".into(),
            object_sha256: object.into(),
            raw_sha256: format!("{object}, raw"),
            floor_sha256: "f".into(),
            rustc: rustc.into(),
            bpf_linker: "0.13.0".into(),
            llvm: "22.1.8".into(),
        }
    }

    #[test]
    fn another_object_is_explained_by_another_compiler_and_else_warned_of() {
        let committed = manifest("a", "rustc 1.96.0");
        assert!(compare(&committed, &manifest("a", "rustc 1.97.0")).contains("identical"));
        assert!(compare(&committed, &manifest("b", "rustc 1.97.0")).contains("rustc 1.97.0"));
        assert!(compare(&committed, &manifest("b", "rustc 1.96.0")).starts_with("warning"));
    }
}
