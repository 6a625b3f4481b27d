//! `cargo xtask build-ebpf`: builds the probes and stores the objects with their manifest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::manifest::{Manifest, Objects};
use crate::toolchain::{self, DEBIAN_RUSTC, Route, Toolchain};
use crate::{check, process, workspace};

/// The target of the probes: 64-bit little-endian BPF.
pub const TARGET: &str = "bpfel-unknown-none";

/// Options of `build-ebpf`.
#[derive(clap::Args)]
pub struct Args {
    /// Write the objects and their manifest here instead of trace-ebpf/prebuilt/x86_64
    #[arg(long, value_name = "DIR", conflicts_with = "check_only")]
    output: Option<PathBuf>,
    /// Write nothing outside target: build, and fail if what is committed was made from other sources
    #[arg(long)]
    check_only: bool,
}

/// Builds and stores, or builds and compares.
///
/// # Errors
/// When no toolchain is complete, when the build fails, or when a file cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let root = workspace::root();
    if args.check_only {
        return check::rebuild(&root);
    }
    let directory = args.output.clone().unwrap_or_else(|| workspace::prebuilt(&root));
    build_into(&root, &directory)?;
    Ok(())
}

/// Builds the probes, writes objects and manifest into a directory, and returns the manifest.
pub fn build_into(root: &Path, directory: &Path) -> Result<Manifest> {
    let toolchain = toolchain::find()?;
    println!(
        "build-ebpf: {}, LLVM {}, bpf-linker {}",
        toolchain.compiler.banner, toolchain.compiler.llvm, toolchain.linker.version
    );
    let built = compile(root, &toolchain)?;
    let read = |name: &str| {
        let path = built.join(name);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let objects = Objects { probes: read("trace-ebpf")?, raw: read("trace-raw")?, floor: read("floor")? };
    let manifest = Manifest::new(root, &objects, &toolchain)?;
    manifest.write(directory, &objects)?;
    for (name, bytes) in objects.by_name() {
        println!("build-ebpf: {} bytes in {}", bytes.len(), directory.join(name).display());
    }
    Ok(manifest)
}

/// Compiles and links the probes; returns the directory of the objects.
fn compile(root: &Path, toolchain: &Toolchain) -> Result<PathBuf> {
    let target = root.join("target/bpf");
    let mut command = cargo(root, toolchain);
    command
        .args(["build", "--package", "trace-ebpf", "--release", "--locked"])
        .args(target_arguments(toolchain.route));
    command.arg("--target-dir").arg(&target);
    process::run(&mut command)?;
    Ok(target.join(TARGET).join("release"))
}

/// The arguments that choose the target and, where `core` is not prebuilt, build it.
pub fn target_arguments(route: Route) -> Vec<&'static str> {
    let mut arguments = vec!["--target", TARGET];
    if route == Route::Nightly {
        arguments.push("-Zbuild-std=core");
    }
    arguments
}

/// A cargo that compiles for BPF and inherits nothing that would change the object.
pub fn cargo(root: &Path, toolchain: &Toolchain) -> Command {
    let mut command = match toolchain.route {
        Route::Debian => process::cargo(),
        Route::Nightly => {
            let mut rustup = Command::new("rustup");
            rustup.args(["run", "nightly", "cargo"]);
            rustup
        }
    };
    process::isolate(&mut command).current_dir(root);
    if toolchain.route == Route::Debian {
        // Only aya-ebpf, which needs unstable features, may use them.
        command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "aya_ebpf");
    }
    command
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &toolchain.linker.path)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(root, &workspace::cargo_home()))
        // Empty, to overrule a wrapper in the user's configuration.
        .env("RUSTC_WRAPPER", "");
    command
}

/// The compiler's flags: BTF, for which debug information is the source, and paths that do not say where the
/// checkout and cargo's registry lie, so that the object is the same wherever it is built.
fn flags(root: &Path, cargo_home: &Path) -> String {
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let remaps = [remap(root, "/trace"), remap(cargo_home, "/cargo")];
    let link = ["-Cdebuginfo=2".to_owned(), "-Clink-arg=--btf".to_owned()];
    link.into_iter().chain(remaps).collect::<Vec<_>>().join("\x1f")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_hide_where_the_checkout_lies_even_with_spaces() {
        let flags = flags(Path::new("/home/me/my trace"), Path::new("/home/me/.cargo"));
        let words: Vec<_> = flags.split('\x1f').collect();
        assert!(words.contains(&"--remap-path-prefix=/home/me/my trace=/trace"), "{words:?}");
        assert!(words.contains(&"--remap-path-prefix=/home/me/.cargo=/cargo"), "{words:?}");
    }
}
