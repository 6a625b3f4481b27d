//! Who belongs to a target, and where it runs: what every tier reads of `/proc` in the same way.

use std::collections::BTreeSet;

use super::Options;
use crate::failure::{Code, Failure};
use crate::kernel::proc::Proc;
use crate::snapshot::{Host, Listener, Process};

/// Processes of the target at present.
pub fn tree(proc: &Proc, options: &Options) -> BTreeSet<u32> {
    let mut pids =
        if options.follow { proc.tree(&options.pids) } else { options.pids.iter().copied().collect() };
    pids.remove(&std::process::id());
    pids
}

/// A living process; its listeners are not looked at. `None` if it is gone.
pub fn process(proc: &Proc, pid: u32) -> Option<Process> {
    let stat = proc.stat(pid, pid)?;
    let exe = proc.exe(pid);
    Some(Process { pid, comm: stat.comm, exe, alive: true, listens: None, listeners: Vec::new() })
}

/// Notes which listeners a process holds, and returns their ports; none, and nothing is noted, where that may not be read.
pub fn look_at_listeners(proc: &Proc, process: &mut Process) -> BTreeSet<u16> {
    let Some(inodes) = proc.sockets(process.pid) else { return BTreeSet::new() };
    let theirs = proc.listening(process.pid, &inodes);
    process.listeners = theirs.iter().map(|l| Listener { port: l.address.port(), inode: l.inode }).collect();
    process.listens = Some(!process.listeners.is_empty());
    process.listeners.iter().map(|l| l.port).collect()
}

/// Notes whether a process lives, and the name it has by now.
pub fn refresh(proc: &Proc, process: &mut Process) {
    process.alive = proc.is_alive(process.pid);
    if let Some(stat) = proc.stat(process.pid, process.pid) {
        process.comm = stat.comm;
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
