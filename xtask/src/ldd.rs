//! The shared libraries of an executable, as the dynamic linker resolves them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// The libraries an executable needs, with the dynamic linker; empty for a static one.
///
/// # Errors
/// When a library cannot be found.
pub fn libraries(executable: &Path) -> Result<Vec<PathBuf>> {
    let mut command = Command::new("ldd");
    command.arg(executable).env_remove("LD_LIBRARY_PATH").env("LC_ALL", "C");
    let output = command.output().context("cannot run `ldd` (install it: apt-get install libc-bin)")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && !error.contains("not a dynamic executable") {
        bail!("`{}` failed: {}", process::describe(&command), error.trim());
    }
    parse(&said).with_context(|| format!("the libraries of {}", executable.display()))
}

/// Reads the output of `ldd`.
fn parse(output: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in output.lines().map(str::trim) {
        let place = line.split_once("=>").map_or(line, |(_, place)| place.trim());
        if place.starts_with("not found") {
            bail!("a shared library is missing: {line}");
        }
        if place.starts_with('/') {
            found.extend(place.split(" (0x").next().map(PathBuf::from));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_dynamic_linker_are_found_and_the_vdso_is_not() {
        let output = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                      \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f02)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f03)\n";
        let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(parse(output).unwrap(), expected.map(PathBuf::from));
    }

    #[test]
    fn a_static_executable_has_none() {
        assert!(parse("\tstatically linked\n").unwrap().is_empty());
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = parse("\tlibz3.so.4 => not found\n").unwrap_err().to_string();
        assert!(error.contains("libz3.so.4"), "{error}");
    }
}
