//! The manifest of the committed objects: which sources and which tools made them.
//!
//! They are committed so that nobody needs a BPF toolchain to build `trace`. The manifest is what keeps them
//! honest: CI compares it with the sources, and rebuilds.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::toolchain::Toolchain;
use crate::workspace;

/// The name of the object file.
pub const OBJECT: &str = "trace.bpf.o";

/// The name of the object with the same probes as raw tracepoints.
pub const RAW: &str = "trace-raw.bpf.o";

/// The name of the object with empty programs, which `cargo xtask bench` compares with.
pub const FLOOR: &str = "floor.bpf.o";

/// The name of the manifest file.
const MANIFEST: &str = "MANIFEST.json";

/// What is hashed file by file.
const SOURCES: [&str; 4] =
    ["trace-common/Cargo.toml", "trace-common/src", "trace-ebpf/Cargo.toml", "trace-ebpf/src"];

/// What a build makes.
pub struct Objects {
    /// The probes, embedded by `trace`.
    pub probes: Vec<u8>,
    /// The probes for kernels without BTF, embedded as well.
    pub raw: Vec<u8>,
    /// The empty programs.
    pub floor: Vec<u8>,
}

impl Objects {
    /// Each, with the name of its file.
    pub fn by_name(&self) -> [(&'static str, &[u8]); 3] {
        [(OBJECT, &self.probes), (RAW, &self.raw), (FLOOR, &self.floor)]
    }
}

/// The manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Hash of the sources, see [`sources_sha256`].
    pub sources_sha256: String,
    /// Hash of the object file.
    pub object_sha256: String,
    /// Hash of the object with raw tracepoints.
    pub raw_sha256: String,
    /// Hash of the object with empty programs.
    pub floor_sha256: String,
    /// The first line of `rustc -vV`.
    pub rustc: String,
    /// The version of bpf-linker.
    pub bpf_linker: String,
    /// The version of the compiler's LLVM.
    pub llvm: String,
}

impl Manifest {
    /// The manifest of objects just built from the sources as they are.
    pub fn new(root: &Path, objects: &Objects, toolchain: &Toolchain) -> Result<Self> {
        let hash = |bytes: &[u8]| hex(Sha256::digest(bytes).as_slice());
        Ok(Self {
            sources_sha256: sources_sha256(root)?,
            object_sha256: hash(&objects.probes),
            raw_sha256: hash(&objects.raw),
            floor_sha256: hash(&objects.floor),
            rustc: toolchain.compiler.banner.clone(),
            bpf_linker: toolchain.linker.version.clone(),
            llvm: toolchain.compiler.llvm.clone(),
        })
    }

    /// Reads the manifest in a directory.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(MANIFEST);
        let text = workspace::read_text(&path).context("build the object: `cargo xtask build-ebpf`")?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    /// Writes the objects and their manifest into a directory.
    pub fn write(&self, directory: &Path, objects: &Objects) -> Result<()> {
        let put = |name: &str, bytes: &[u8]| {
            let path = directory.join(name);
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
        };
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        objects.by_name().into_iter().try_for_each(|(name, bytes)| put(name, bytes))?;
        put(MANIFEST, format!("{}\n", serde_json::to_string_pretty(self)?).as_bytes())
    }

    /// Compares the manifest in `directory` with the objects beside it and with the sources in `root`.
    ///
    /// # Errors
    /// When either does not match; the message names both hashes and the command that rebuilds.
    pub fn verify(root: &Path, directory: &Path) -> Result<Self> {
        let manifest = Self::read(directory)?;
        let fix = "rebuild it: `cargo xtask build-ebpf`, and commit trace-ebpf/prebuilt";
        let Manifest { object_sha256, raw_sha256, floor_sha256, .. } = &manifest;
        for (name, expected) in [(OBJECT, object_sha256), (RAW, raw_sha256), (FLOOR, floor_sha256)] {
            let path = directory.join(name);
            let object = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let found = hex(Sha256::digest(&object).as_slice());
            if found != *expected {
                bail!(
                    "{} is not the object of its manifest (sha256 {found}, not {expected}); {fix}",
                    path.display()
                );
            }
        }
        let sources = sources_sha256(root)?;
        if sources != manifest.sources_sha256 {
            let built_from = &manifest.sources_sha256;
            bail!(
                "the sources of the probes changed since their object was built (sha256 {sources}, built from {built_from}); {fix}"
            );
        }
        Ok(manifest)
    }
}

/// The hash of everything in the workspace that the object is made of: the files of [`SOURCES`], the locked
/// versions of the `aya-ebpf` crates, and the release profile. The rest of the lock file and of the workspace's
/// manifest is left out, so that a change of an unrelated dependency does not ask for a rebuild.
pub fn sources_sha256(root: &Path) -> Result<String> {
    let mut entries = Vec::new();
    for source in SOURCES {
        for path in files(&root.join(source))? {
            let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            entries.push((name, bytes));
        }
    }
    let lock = locked_versions(&workspace::read_text(&root.join("Cargo.lock"))?);
    let profile = release_profile(&workspace::read_text(&root.join("Cargo.toml"))?);
    entries.push(("Cargo.lock".into(), lock.into_bytes()));
    entries.push(("Cargo.toml".into(), profile.into_bytes()));
    Ok(hash(entries))
}

/// Hashes names and contents in the order of the names; lengths keep neighbours apart.
fn hash(mut entries: Vec<(String, Vec<u8>)>) -> String {
    entries.sort();
    let mut hasher = Sha256::new();
    for (name, bytes) in &entries {
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name);
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    hex(hasher.finalize().as_slice())
}

/// The files at or below a path, in any order.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))? {
        found.extend(files(&entry?.path())?);
    }
    Ok(found)
}

/// `name version` of each `aya-ebpf` crate in a lock file.
fn locked_versions(lock: &str) -> String {
    let value = |line: &str, key: &str| {
        line.strip_prefix(key).map(|rest| rest.trim_matches([' ', '=', '"']).to_owned()).unwrap_or_default()
    };
    let mut lines = lock.lines();
    let mut found = String::new();
    while let Some(line) = lines.next() {
        let name = value(line, "name");
        if name.starts_with("aya-ebpf") {
            found += &format!("{name} {}\n", value(lines.next().unwrap_or_default(), "version"));
        }
    }
    found
}

/// The tables of a workspace's manifest that set the release profile, without comments and blank lines.
fn release_profile(manifest: &str) -> String {
    let mut inside = false;
    let mut found = String::new();
    for line in manifest.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        if line.starts_with('[') {
            inside = line.starts_with("[profile.release");
        }
        if inside && !line.is_empty() {
            found += line;
            found.push('\n');
        }
    }
    found
}

/// Bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
