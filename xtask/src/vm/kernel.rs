//! Debian's kernel packages: the newest of a series, downloaded and unpacked once, never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{process, workspace};

/// The file in a kernel's directory that names its release.
const RELEASE: &str = "release";

/// What the probes need of a kernel; each is checked because the guest's failure would not name it.
const NEEDED_OPTIONS: [(&str, &str); 4] = [
    ("CONFIG_BPF_SYSCALL", "programs can be loaded"),
    ("CONFIG_DEBUG_INFO_BTF", "tp_btf programs have types to be checked against"),
    ("CONFIG_FTRACE_SYSCALLS", "sys_enter and sys_exit are there to attach to"),
    ("CONFIG_BLK_DEV_INITRD", "the guest has a file system"),
];

/// A kernel that can be booted.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What `uname -r` says under it.
    pub release: String,
    /// The compressed image.
    pub image: PathBuf,
}

/// The newest kernel of a series, from the cache under `directory` or from Debian's archive.
///
/// # Errors
/// When apt offers none, when it cannot be downloaded or unpacked, or when it lacks what the probes need.
pub fn fetch(series: &str, directory: &Path) -> Result<Kernel> {
    let package = match offered(series)? {
        Some(package) => package,
        None => {
            process::run(Command::new("apt-get").args(["-q", "update"])).with_context(|| {
                format!("apt offers no kernel {series}, and its index cannot be brought up to date")
            })?;
            offered(series)?.with_context(|| {
                format!("apt offers no linux-image-{series}.*-cloud-amd64; add Debian's bookworm-security to apt's sources")
            })?
        }
    };
    let cache = directory.join(&package);
    if !cache.join(RELEASE).exists() {
        println!("vm: downloading {package}");
        unpack(&package, &cache).with_context(|| format!("cannot get {package}"))?;
    }
    let release = workspace::read_text(&cache.join(RELEASE))?;
    Ok(Kernel { image: cache.join("vmlinuz"), release })
}

/// The newest package of a series that apt's index knows.
fn offered(series: &str) -> Result<Option<String>> {
    let mut search = Command::new("apt-cache");
    search.args(["search", "--names-only", "^linux-image-.*-cloud-amd64"]);
    Ok(newest(&process::capture(&mut search)?, series))
}

/// Chooses from the output of `apt-cache search`: the highest version of the series, and of two packages of
/// one version the signed one.
fn newest(search: &str, series: &str) -> Option<String> {
    let names = search.lines().filter_map(|line| line.split(' ').next());
    let candidates = names.filter_map(|name| Some((rank(name, series)?, name)));
    candidates.max().map(|(_, name)| name.to_owned())
}

/// How new a package is: the numbers of its version, and whether it is signed. None for other packages.
fn rank(name: &str, series: &str) -> Option<(Vec<u64>, bool)> {
    let version = name.strip_prefix("linux-image-")?;
    let rest = version.strip_prefix(series)?.strip_prefix('.')?;
    let (rest, signed) = match rest.strip_suffix("-unsigned") {
        Some(rest) => (rest, false),
        None => (rest, true),
    };
    let numbers = rest.strip_suffix("-cloud-amd64")?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.filter_map(|number| number.parse().ok()).collect(), signed))
}

/// Downloads a package and keeps its kernel image; the release is written last, as the sign of completeness.
fn unpack(package: &str, cache: &Path) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let mut download = Command::new("apt-get");
    // As ourselves: apt's own user cannot write into a private directory.
    download.args(["-qq", "-o", "APT::Sandbox::User=", "download", package]).current_dir(scratch.path());
    process::run(&mut download)?;
    let archive = only(scratch.path(), "linux-image-")?;
    let tree = scratch.path().join("tree");
    process::run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(&tree))?;
    let boot = tree.join("boot");
    check_options(&workspace::read_text(&only(&boot, "config-")?)?)?;
    let image = only(&boot, "vmlinuz-")?;
    let release =
        image.file_name().and_then(|name| name.to_str()).unwrap_or_default().trim_start_matches("vmlinuz-");
    fs::create_dir_all(cache)?;
    fs::copy(&image, cache.join("vmlinuz"))?;
    fs::write(cache.join(RELEASE), release)?;
    Ok(())
}

/// The file of a directory whose name starts with a prefix.
fn only(directory: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let wanted =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    paths.find(wanted).with_context(|| format!("no {prefix}* in {}", directory.display()))
}

/// Refuses a kernel that lacks a needed option.
fn check_options(config: &str) -> Result<()> {
    for (option, purpose) in NEEDED_OPTIONS {
        if !config.lines().any(|line| line.strip_prefix(option) == Some("=y")) {
            bail!("the kernel is built without {option}, so that {purpose}; choose another series");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEARCH: &str = "linux-image-6.1.0-56-cloud-amd64-dbg - Debug symbols\n\
        linux-image-6.1.0-9-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)\n\
        linux-image-6.1.0-56-cloud-amd64-unsigned - Linux 6.1 for x86-64 cloud\n\
        linux-image-6.1.0-56-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)\n\
        linux-image-cloud-amd64 - Linux for x86-64 cloud (meta-package)\n\
        linux-image-6.12-cloud-amd64 - Linux for x86-64 cloud (meta-package)\n\
        linux-image-6.12.9+bpo-cloud-amd64 - Linux 6.12 for x86-64 cloud (signed)\n\
        linux-image-6.12.117+deb12-cloud-amd64-unsigned - Linux 6.12 for x86-64 cloud\n\
        linux-image-6.12.101+deb12-cloud-amd64 - Linux 6.12 for x86-64 cloud (signed)\n";

    #[test]
    fn versions_compare_by_number_and_signed_packages_come_first() {
        assert_eq!(newest(SEARCH, "6.1").as_deref(), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(
            newest(SEARCH, "6.12").as_deref(),
            Some("linux-image-6.12.117+deb12-cloud-amd64-unsigned")
        );
    }

    #[test]
    fn a_series_that_is_not_offered_has_none() {
        assert_eq!(newest(SEARCH, "6.18"), None);
        assert_eq!(newest("", "6.1"), None);
    }

    #[test]
    fn a_kernel_without_btf_is_refused_by_name() {
        let all = NEEDED_OPTIONS.map(|(option, _)| format!("{option}=y\n")).concat();
        check_options(&all).unwrap();
        let error = check_options(&all.replace("INFO_BTF=y", "INFO_BTF is not set")).unwrap_err().to_string();
        assert!(error.contains("CONFIG_DEBUG_INFO_BTF"), "{error}");
    }
}
