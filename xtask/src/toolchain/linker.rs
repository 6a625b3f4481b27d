//! bpf-linker: which version is installed, and with which LLVM it was built.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{ldd, process, workspace};

/// The release of bpf-linker that the object is built with.
pub const BPF_LINKER_VERSION: &str = "0.13.0";

/// bpf-linker as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linker {
    /// Where it is.
    pub path: PathBuf,
    /// Its version, such as `0.13.0`.
    pub version: String,
    /// The major version of the LLVM it is linked with; none when that is part of the executable.
    pub llvm_major: Option<String>,
}

impl Linker {
    /// Finds bpf-linker and what it is linked with.
    ///
    /// # Errors
    /// When it is missing or does not start, as after its LLVM was removed.
    pub fn find() -> Result<Self> {
        let path = workspace::find_program("bpf-linker").context("bpf-linker is not installed")?;
        let libraries = ldd::libraries(&path)?;
        let said = process::capture(Command::new(&path).arg("--version"))?;
        let version = said.split_whitespace().nth(1).unwrap_or("of unknown version").to_owned();
        Ok(Self { llvm_major: libraries.iter().find_map(|library| linked_llvm(library)), path, version })
    }

    /// Why this linker cannot serve a compiler with that LLVM; none when it can. Of a linker that carries its
    /// LLVM inside, the LLVM's version cannot be read: it is trusted.
    pub fn unfit(&self, llvm_major: &str) -> Option<String> {
        if self.version != BPF_LINKER_VERSION {
            return Some(format!("bpf-linker {}", self.version));
        }
        let other = self.llvm_major.as_deref().filter(|major| *major != llvm_major)?;
        Some(format!("bpf-linker {} with LLVM {other}", self.version))
    }
}

/// The major version in a library's name such as `libLLVM.so.22.1` or `libLLVM-19.so.1`.
fn linked_llvm(library: &Path) -> Option<String> {
    let rest = library.file_name()?.to_str()?.strip_prefix("libLLVM")?;
    let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
    Some(digits.split(|c: char| !c.is_ascii_digit()).next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linkers_llvm_is_read_from_its_libraries() {
        let major = |name: &str| linked_llvm(Path::new(name));
        assert_eq!(major("/usr/lib/llvm-22/lib/libLLVM.so.22.1").as_deref(), Some("22"));
        assert_eq!(major("/usr/lib/llvm-19/lib/libLLVM-19.so.1").as_deref(), Some("19"));
        assert_eq!(major("/lib/x86_64-linux-gnu/libc.so.6"), None);
    }

    #[test]
    fn a_linker_of_another_version_or_llvm_is_refused() {
        let linker = |version: &str, major: Option<&str>| Linker {
            path: "/bin/bpf-linker".into(),
            version: version.into(),
            llvm_major: major.map(str::to_owned),
        };
        assert_eq!(linker(BPF_LINKER_VERSION, Some("22")).unfit("22"), None);
        assert_eq!(linker(BPF_LINKER_VERSION, None).unfit("22"), None);
        assert!(linker(BPF_LINKER_VERSION, Some("21")).unfit("22").is_some());
        assert!(linker("0.9.15", Some("22")).unfit("22").is_some());
    }
}
