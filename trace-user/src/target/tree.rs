//! Which of several processes stand above the others.

use std::collections::BTreeSet;

use crate::kernel::proc::Proc;

/// Those of `pids` that have no ancestor among them.
pub fn topmost(proc: &Proc, pids: &[u32]) -> Vec<u32> {
    let all: BTreeSet<u32> = pids.iter().copied().collect();
    let below = |&pid: &u32| ancestors(proc, pid).any(|ancestor| all.contains(&ancestor));
    all.iter().copied().filter(|pid| !below(pid)).collect()
}

/// Whether `pid` descends from `top`.
pub fn is_below(proc: &Proc, pid: u32, top: u32) -> bool {
    ancestors(proc, pid).any(|ancestor| ancestor == top)
}

/// Parent, grandparent and so on. A tree that is being changed while it is read cannot make it endless.
fn ancestors(proc: &Proc, pid: u32) -> impl Iterator<Item = u32> {
    let parent = |pid: &u32| proc.process_stat(*pid).map(|stat| stat.ppid).filter(|&ppid| ppid != 0);
    std::iter::successors(parent(&pid), parent).take(1000)
}
