//! That the process which was chosen is still the one that has its id.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{Spec, resolve};
use crate::failure::{Code, Failure};
use crate::kernel::proc::Proc;

/// How often a target is looked for again that changes while it is looked at.
const TRIES: u32 = 5;

/// A process, held from the moment at which it was chosen.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its id.
    pub pid: u32,
    /// When it began, in clock ticks since boot; `None` if it was gone by then.
    start_ticks: Option<u64>,
    /// `None` where there is none to be had (before 5.3, or forbidden).
    pidfd: Option<Arc<OwnedFd>>,
}

/// What has become of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It still has its id.
    Same,
    /// It has ended.
    Gone,
    /// It has ended, and another one has its id.
    Replaced,
}

impl Identity {
    /// Holds the process that has this id now in the `/proc` of `proc`.
    pub fn hold(proc: &Proc, pid: u32) -> Identity {
        let of = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pidfd = of.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // In another PID namespace than that of this /proc, the same number is another process.
        let pidfd = pidfd.filter(|fd| shown(proc, fd) == Some(i64::from(pid))).map(Arc::new);
        Identity { pid, start_ticks: proc.start_ticks(pid), pidfd }
    }

    /// What has become of it. What is known of an id is of this process if it was learnt before an answer of
    /// [`Fate::Same`].
    pub fn fate(&self, proc: &Proc) -> Fate {
        // In this order: whoever has the id after the process that is held has ended is another one.
        let shown = self.pidfd.as_ref().and_then(|fd| shown(proc, fd));
        let now = proc.start_ticks(self.pid);
        let same = match shown {
            Some(pid) => pid == i64::from(self.pid),
            None => now == self.start_ticks,
        };
        match now {
            None => Fate::Gone,
            Some(_) if same => Fate::Same,
            Some(_) => Fate::Replaced,
        }
    }
}

/// The id that a pidfd's process has in the namespace of this `/proc`: −1 once it has ended and was waited for, 0 if it has
/// none there (`kernel/fork.c`, `pidfd_show_fdinfo`).
fn shown(proc: &Proc, pidfd: &OwnedFd) -> Option<i64> {
    proc.own_fd_info(pidfd.as_raw_fd(), "Pid:")?.parse().ok()
}

/// The processes that `spec` stands for, held. They are looked for once more after that, so that none is held whose id
/// became another's in between.
///
/// # Errors
/// As [`resolve`]; [`Code::NoTarget`] if it does not come to rest.
pub fn choose(root: &Path, spec: &Spec, own: u32) -> Result<Vec<Identity>, Failure> {
    let proc = Proc::at(root);
    let mut found = resolve(root, spec, own)?;
    for _ in 0..TRIES {
        let held = found.iter().map(|&pid| Identity::hold(&proc, pid)).collect();
        let again = resolve(root, spec, own)?;
        if again == found {
            return Ok(held);
        }
        found = again;
    }
    let why = format!("each of {TRIES} looks found other processes");
    Err(Failure::new(Code::NoTarget, "the target does not come to rest", why).fix("name it by --pid"))
}

/// Another process has the id that was asked for.
pub fn replaced(proc: &Proc, pid: u32) -> Failure {
    let why = format!(
        "the process that was asked for has ended, and its id is that of another one by now ({})",
        proc.label(pid)
    );
    Failure::new(Code::NoTarget, format!("cannot attach to process {pid}"), why)
        .fix(format!("look who has it, and attach again if it is meant: ps -f -p {pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_the_same_until_it_was_waited_for() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("sleep");
        let proc = Proc::system();
        let held = Identity::hold(&proc, child.id());
        assert!(held.pidfd.is_some());
        assert_eq!(held.fate(&proc), Fate::Same);
        child.kill().and_then(|()| child.wait()).expect("its end");
        assert_ne!(held.fate(&proc), Fate::Same);
    }

    #[test]
    fn without_a_pidfd_the_start_time_tells() {
        let dir = tempfile::tempdir().expect("a directory");
        let began = |ticks: u64| {
            std::fs::create_dir_all(dir.path().join("7")).expect("made");
            let stat = format!("7 (a) S 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 {ticks} 0 0");
            std::fs::write(dir.path().join("7/stat"), stat).expect("written");
        };
        let proc = Proc::at(dir.path());
        began(100);
        let held = Identity { pid: 7, start_ticks: proc.start_ticks(7), pidfd: None };
        assert_eq!(held.fate(&proc), Fate::Same);
        began(101);
        assert_eq!(held.fate(&proc), Fate::Replaced);
        std::fs::remove_dir_all(dir.path().join("7")).expect("removed");
        assert_eq!(held.fate(&proc), Fate::Gone);
    }
}
