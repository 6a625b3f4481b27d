//! The compiler and the linker that can build for `bpfel-unknown-none`.
//!
//! Two routes: Debian's `rustc-web` with a prebuilt `core` for BPF, which needs no nightly, and a nightly of
//! rustup with `rust-src`, which builds `core` itself. In both, bpf-linker reads the compiler's LLVM bitcode:
//! the major version of its LLVM must be that of the compiler.

mod linker;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
pub use linker::{BPF_LINKER_VERSION, Linker};

/// Debian's compiler; by its full path, because rustup's comes first on the search path.
pub const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// The oldest compiler that takes the workspace's sources.
const OLDEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// Which compiler builds the probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/usr/bin/rustc` and its prebuilt `core`.
    Debian,
    /// `cargo +nightly -Zbuild-std=core`.
    Nightly,
}

/// What `rustc -vV` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiler {
    /// The first line, such as `rustc 1.96.0 (ac68faa20 2026-05-25)`.
    pub banner: String,
    /// The version of its LLVM, such as `22.1.8`.
    pub llvm: String,
}

impl Compiler {
    /// The major version of its LLVM, which names Debian's packages.
    pub fn llvm_major(&self) -> &str {
        self.llvm.split('.').next().unwrap_or(&self.llvm)
    }
}

/// Reads the output of `rustc -vV`.
pub fn parse_compiler(output: &str) -> Option<Compiler> {
    let banner = output.lines().next().filter(|line| line.starts_with("rustc "))?.to_owned();
    let llvm = output.lines().find_map(|line| line.strip_prefix("LLVM version: "))?.trim().to_owned();
    Some(Compiler { banner, llvm })
}

/// Whether a compiler's first line names a release that takes the workspace's sources.
pub fn is_recent(banner: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> { text.split(['.', '-']).map_while(|n| n.parse().ok()).collect() };
    banner.split(' ').nth(1).is_some_and(|release| numbers(release) >= numbers(OLDEST_RUST))
}

/// Debian's compiler, when it and its `core` for BPF are there and recent enough; else what is missing.
pub fn debian() -> Result<Compiler> {
    if !Path::new(DEBIAN_RUSTC).exists() {
        bail!("there is no {DEBIAN_RUSTC}");
    }
    let said = process::capture(isolated(Command::new(DEBIAN_RUSTC).arg("-vV")))?;
    let compiler = parse_compiler(&said).with_context(|| format!("cannot understand `rustc -vV`: {said}"))?;
    if !is_recent(&compiler.banner) {
        bail!("{} is {}, older than {OLDEST_RUST}", DEBIAN_RUSTC, compiler.banner);
    }
    if !Path::new("/usr/lib/rustlib/bpfel-unknown-none/lib").is_dir() {
        bail!("{} has no `core` for bpfel-unknown-none", compiler.banner);
    }
    Ok(compiler)
}

/// rustup's nightly, when it is there with the sources of `core`; else what is missing.
pub fn nightly() -> Result<Compiler> {
    let rustc = |argument: &str| {
        process::capture(isolated(
            Command::new("rustup").args(["run", "nightly", "rustc"]).args(argument.split(' ')),
        ))
    };
    let sysroot = PathBuf::from(rustc("--print sysroot")?.trim());
    if !sysroot.join("lib/rustlib/src/rust/library/core").is_dir() {
        bail!("rustup's nightly has no rust-src (rustup component add rust-src --toolchain nightly)");
    }
    parse_compiler(&rustc("-vV")?).context("cannot understand the nightly's `rustc -vV`")
}

/// [`process::isolate`] for a chain of calls on a temporary.
fn isolated(command: &mut Command) -> &mut Command {
    process::isolate(command)
}

/// Everything needed to build the probes.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// Which compiler it is.
    pub route: Route,
    /// What it calls itself.
    pub compiler: Compiler,
    /// The linker that fits it.
    pub linker: Linker,
}

/// Finds a toolchain that is complete; Debian's first, because the committed object is built with it.
///
/// # Errors
/// When there is none; the message says what each route lacks.
pub fn find() -> Result<Toolchain> {
    complete(Route::Debian).or_else(|no_debian| {
        complete(Route::Nightly).map_err(|no_nightly| {
            anyhow::anyhow!(
                "no toolchain can build the probes (Debian's: {no_debian:#}; nightly: {no_nightly:#}); \
                 install one: `cargo xtask setup`"
            )
        })
    })
}

/// One route's compiler and a linker that fits it.
pub fn complete(route: Route) -> Result<Toolchain> {
    let compiler = match route {
        Route::Debian => debian()?,
        Route::Nightly => nightly()?,
    };
    let linker = Linker::find()?;
    if let Some(unfit) = linker.unfit(compiler.llvm_major()) {
        bail!("needs bpf-linker {BPF_LINKER_VERSION} with LLVM {}, found {unfit}", compiler.llvm_major());
    }
    Ok(Toolchain { route, compiler, linker })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\nbinary: rustc\n\
                        host: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8\n";

    #[test]
    fn the_llvm_major_is_read_from_the_compiler() {
        let compiler = parse_compiler(SAID).unwrap();
        assert_eq!((compiler.llvm.as_str(), compiler.llvm_major()), ("22.1.8", "22"));
        assert!(compiler.banner.starts_with("rustc 1.96.0"));
        assert_eq!(parse_compiler("rustc 1.96.0\n"), None);
        assert_eq!(parse_compiler(""), None);
    }

    #[test]
    fn releases_compare_by_number() {
        assert!(
            is_recent("rustc 1.96.0 (x)")
                && is_recent("rustc 1.100.0-nightly (x)")
                && is_recent("rustc 2.0.0")
        );
        assert!(!is_recent("rustc 1.85.0 (x)") && !is_recent("rustc 1.9.0") && !is_recent("rustc"));
    }
}
