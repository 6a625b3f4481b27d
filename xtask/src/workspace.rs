//! Where things lie in the checkout.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result};

/// The workspace's root: the parent of this crate, as `cargo run` names it.
pub fn root() -> PathBuf {
    let xtask = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), Into::into);
    xtask.parent().map_or_else(|| xtask.clone(), Path::to_path_buf)
}

/// The directory of the committed object and its manifest.
pub fn prebuilt(root: &Path) -> PathBuf {
    root.join("trace-ebpf/prebuilt/x86_64")
}

/// Cargo's home: its registry (whose paths get into debug information) and the programs it installs.
pub fn cargo_home() -> PathBuf {
    env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cargo"),
        Into::into,
    )
}

/// Finds a program on the search path or among those installed by cargo.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([cargo_home().join("bin"), "/usr/sbin".into(), "/sbin".into()])
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// Reads a text file, naming it when that fails.
pub fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
