//! Packages of Debian: which are installed, and the commands that install the rest.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use anyhow::Result;

use super::Step;
use crate::process;
use crate::toolchain::Compiler;

/// The step that installs what is missing of some packages.
///
/// # Errors
/// When apt cannot be asked.
pub fn packages(purpose: &str, names: &[&str]) -> Result<Step> {
    let need = format!("{} for {purpose}", names.join(", "));
    let missing: Vec<&str> = names.iter().copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(Step { need, found: "all of them".into(), fix: Vec::new() });
    }
    let found = format!("no {}", missing.join(", "));
    let refresh = !missing.iter().all(|name| has_candidate(name));
    Ok(Step { need, found, fix: install(&missing, refresh) })
}

/// The step for the compiler: its packages, and one recent enough. Of a compiler that is too old the index is
/// too, or the machine lacks Debian's security updates.
///
/// # Errors
/// As [`packages`].
pub fn compiler(found: &Result<Compiler>, names: &[&str]) -> Result<Step> {
    let mut step = packages("the probes", names)?;
    match found {
        Ok(compiler) if step.fix.is_empty() => step.found.clone_from(&compiler.banner),
        Ok(_) => {}
        Err(lack) => {
            step.found = format!("{lack:#}");
            step.fix = install(names, true);
        }
    }
    Ok(step)
}

/// The commands that install packages, after bringing the index up to date if need be.
fn install(names: &[&str], refresh: bool) -> Vec<Command> {
    let mut commands = Vec::new();
    if refresh {
        let mut update = apt_get();
        update.args(["-q", "update"]);
        commands.push(update);
    }
    let mut install = apt_get();
    install.args(["-qq", "-y", "--no-install-recommends", "install"]).args(names);
    commands.push(install);
    commands
}

/// `apt-get`, asking nothing; through sudo where we are not root.
fn apt_get() -> Command {
    let mut command = if is_root() {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        sudo
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Whether this process is root: the owner of its directory in /proc.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Whether dpkg has the package unpacked and configured.
fn is_installed(name: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${db:Status-Status}", name]);
    process::capture(&mut query).is_ok_and(|status| status == "installed")
}

/// Whether apt's index knows where to get the package.
fn has_candidate(name: &str) -> bool {
    let mut policy = Command::new("apt-cache");
    policy.args(["policy", name]).env("LC_ALL", "C");
    process::capture(&mut policy).is_ok_and(|said| names_candidate(&said))
}

/// Reads the output of `apt-cache policy`.
fn names_candidate(policy: &str) -> bool {
    let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:"));
    candidate.is_some_and(|version| version.trim() != "(none)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_a_version_and_not_none() {
        assert!(names_candidate("cpio:\n  Installed: (none)\n  Candidate: 2.13+dfsg-7.1\n"));
        assert!(!names_candidate("cpio:\n  Installed: (none)\n  Candidate: (none)\n"));
        assert!(!names_candidate(""));
    }
}
