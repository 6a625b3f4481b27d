//! The script that installs, starts, loads and stops the servers.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

use super::axis::Load;
use crate::process;

/// Where everything goes that is made while installing and running, below the workspace's root.
pub const STATE: &str = "target/truth";

/// Seconds after which a measurement is given up: it has a window of a few.
const PATIENCE: &str = "60";

/// `truth/lab` and its state.
pub struct Lab {
    script: PathBuf,
    /// [`STATE`].
    pub state: PathBuf,
    /// Where servers run and what they need is built: [`STATE`], where their users can enter it.
    run: PathBuf,
}

impl Lab {
    /// That of this workspace.
    pub fn new(root: &Path) -> Lab {
        let state = root.join(STATE);
        let run = if can_be_entered(root) { state.clone() } else { std::env::temp_dir().join("trace-truth") };
        Lab { script: root.join("truth/lab"), state, run }
    }

    fn command(&self) -> Command {
        let mut lab = Command::new("bash");
        process::isolate(&mut lab).arg(&self.script).env("LAB_RUN", &self.run).env("LAB_TIMEOUT", PATIENCE);
        if let Some(toolchain) = std::env::var_os("RUSTUP_TOOLCHAIN") {
            lab.env("RUSTUP_TOOLCHAIN", toolchain);
        }
        lab.stdin(Stdio::null());
        lab
    }

    /// Installs and builds what is missing; what it does goes to stdout as it does it.
    pub fn install(&self, names: &[&str]) -> Result<()> {
        println!("truth: installing what {} configurations lack, below {}", names.len(), self.run.display());
        process::run(self.command().arg("install").args(names))
    }

    /// What could start now.
    pub fn installed(&self) -> Result<BTreeSet<String>> {
        let names = process::capture(self.command().args(["list", "--installed"]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Starts a server, runs a command at each load, and stops the server. In the command `{pid}` and `{load}` stand
    /// for what they say; what it writes to stderr goes to `log`.
    pub fn run(&self, name: &str, loads: &[Load], command: &Command, log: &Path) -> Result<ExitStatus> {
        // What a run left that was killed.
        process::run(self.command().args(["stop", name]))?;
        let mut lab = self.command();
        lab.args(["run", name]).args(loads.iter().map(|load| load.name()));
        lab.arg("--").arg(command.get_program()).args(command.get_args());
        let log = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        lab.stdout(Stdio::null()).stderr(log);
        lab.status().with_context(|| format!("cannot run `{}`", process::describe(&lab)))
    }

    /// A directory in the state, made if need be. Servers enter it as other users.
    pub fn directory(&self, name: &str) -> Result<PathBuf> {
        let directory = self.state.join(name);
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(directory)
    }
}

/// Whether other users can enter a directory, and so every one above it: servers give root's rights away.
fn can_be_entered(directory: &Path) -> bool {
    let others = |at: &Path| fs::metadata(at).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0);
    directory.ancestors().all(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_closed_to_others_if_one_above_it_is() {
        assert!(can_be_entered(Path::new("/usr/bin")));
        let private = tempfile::tempdir().unwrap();
        let below = private.path().join("below");
        fs::create_dir(&below).unwrap();
        fs::set_permissions(&below, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(private.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!can_be_entered(&below));
    }
}
