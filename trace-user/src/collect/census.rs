//! Who belongs to a target, and where it runs: what every tier reads of `/proc` in the same way.

use std::collections::{BTreeMap, BTreeSet};

use super::Options;
use crate::failure::{Code, Failure};
use crate::kernel::proc::Proc;
use crate::snapshot::{Host, Listener, Process};
use crate::target::identity::{self, Fate};

/// Processes of the target at present, with when they began, in clock ticks since boot. Who was asked for and has ended is
/// none of them, whoever has its id by now.
pub fn tree(proc: &Proc, options: &Options) -> BTreeMap<u32, u64> {
    let replaced = |pid: &u32| {
        options.chosen.iter().any(|chosen| chosen.pid == *pid && chosen.fate(proc) == Fate::Replaced)
    };
    let roots: Vec<u32> = options.pids.iter().copied().filter(|pid| !replaced(pid)).collect();
    let mut tree = match options.follow {
        true => proc.tree(&roots),
        false => roots.into_iter().filter_map(|pid| Some((pid, proc.start_ticks(pid)?))).collect(),
    };
    tree.remove(&std::process::id());
    tree
}

/// Whether all who were asked for are still those who were chosen.
///
/// # Errors
/// With [`Code::NoTarget`] if another process has one's id.
pub fn check_chosen(proc: &Proc, options: &Options) -> Result<(), Failure> {
    match options.chosen.iter().find(|chosen| chosen.fate(proc) == Fate::Replaced) {
        Some(chosen) => Err(identity::replaced(proc, chosen.pid)),
        None => Ok(()),
    }
}

/// A living process, and when it began, in clock ticks since boot; its listeners are not looked at. `None` if it is gone.
pub fn process(proc: &Proc, pid: u32) -> Option<(Process, u64)> {
    let stat = proc.stat(pid, pid)?;
    let process = Process {
        pid,
        comm: stat.comm,
        exe: proc.exe(pid),
        alive: true,
        inner_pid: proc.inner_pid(pid),
        container: proc.container(pid),
        ..Process::default()
    };
    Some((process, stat.start_ticks))
}

/// Notes which listeners a process holds, and returns their ports; none, and nothing is noted, where that may not be read.
pub fn look_at_listeners(proc: &Proc, process: &mut Process) -> BTreeSet<u16> {
    let Some(inodes) = proc.sockets(process.pid) else { return BTreeSet::new() };
    let theirs = proc.listening(process.pid, &inodes);
    process.listeners = theirs.iter().map(|l| Listener { port: l.address.port(), inode: l.inode }).collect();
    process.listens = Some(!process.listeners.is_empty());
    process.listeners.iter().map(|l| l.port).collect()
}

/// Notes whether a process lives, and the name and the executable that it has by now.
pub fn refresh(proc: &Proc, process: &mut Process) {
    process.alive = proc.is_alive(process.pid);
    if let Some(stat) = proc.stat(process.pid, process.pid) {
        process.comm = stat.comm;
        process.exe = proc.exe(process.pid).or(process.exe.take());
    }
}

/// Nobody is there any more.
pub fn gone(pids: &[u32]) -> Failure {
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    Failure::new(
        Code::NoTarget,
        format!("cannot attach to process {}", pids.join(", ")),
        "it ended before any of its threads was seen",
    )
}

/// This machine.
pub fn host() -> Host {
    let uname = rustix::system::uname();
    Host {
        kernel: uname.release().to_string_lossy().into_owned(),
        arch: uname.machine().to_string_lossy().into_owned(),
    }
}
