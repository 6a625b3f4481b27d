//! Who listens on a port.

use std::collections::{BTreeMap, BTreeSet};

use super::{ambiguous, tree};
use crate::failure::{Code, Failure};
use crate::kernel::proc::{Listener, Proc};

/// The processes that hold the listeners of `port`: the topmost of one tree, or all that share one listener.
///
/// # Errors
/// If nobody listens, if unrelated processes do, or if who holds them may not be seen.
pub fn resolve(proc: &Proc, port: u16, own: u32) -> Result<Vec<u32>, Failure> {
    let pids = proc.pids();
    let on_port = listeners(proc, &pids).into_iter().filter(|l| l.address.port() == port);
    let inodes: BTreeSet<u64> = on_port.map(|l| l.inode).collect();
    if inodes.is_empty() {
        let why = "no TCP socket listens on it, and no UDP socket is bound to it";
        let what = format!("there is no server on port {port}");
        return Err(Failure::new(Code::NoTarget, what, why).fix("list the servers with: trace list"));
    }
    let (mut holders, unseen) = holders(proc, pids.iter().copied().filter(|&pid| pid != own), &inodes);
    leave_out_activation(&mut holders);
    if holders.is_empty() {
        return Err(nobody(port, unseen));
    }
    let held: Vec<u32> = holders.keys().copied().collect();
    let top = tree::topmost(proc, &held);
    if top.len() == 1 || are_one_server(proc, &top, &holders) {
        return Ok(top);
    }
    Err(ambiguous(proc, &format!("listen on port {port}"), &top))
}

/// systemd holds the sockets that it activates services by.
pub(super) fn leave_out_activation<T>(holders: &mut BTreeMap<u32, T>) {
    if holders.len() > 1 {
        holders.remove(&1);
    }
}

fn nobody(port: u16, unseen: usize) -> Failure {
    let what = format!("cannot see who listens on port {port}");
    if unseen > 0 {
        let why = format!("the descriptors of {unseen} processes may not be read");
        return Failure::new(Code::NotPermitted, what, why)
            .fix(format!("sudo trace attach --port {port}, or --pid PID"));
    }
    Failure::new(Code::NoTarget, what, "there is a listener, but no process holds it (the kernel itself may)")
        .fix("list the servers with: trace list")
}

/// The listeners in all network namespaces that processes are in.
pub(super) fn listeners(proc: &Proc, pids: &BTreeSet<u32>) -> Vec<Listener> {
    let own = proc.network_namespace(None);
    let mut by_namespace: BTreeMap<String, u32> = BTreeMap::new();
    for &pid in pids {
        if let Some(namespace) = proc.network_namespace(Some(pid)).filter(|n| Some(n) != own.as_ref()) {
            by_namespace.entry(namespace).or_insert(pid);
        }
    }
    let namespaces = std::iter::once(None).chain(by_namespace.into_values().map(Some));
    namespaces.flat_map(|pid| proc.listeners(pid)).collect()
}

/// Who holds which of `inodes`, and of how many processes that may not be seen.
pub(super) fn holders(
    proc: &Proc,
    pids: impl Iterator<Item = u32>,
    inodes: &BTreeSet<u64>,
) -> (BTreeMap<u32, BTreeSet<u64>>, usize) {
    let (mut holders, mut unseen) = (BTreeMap::new(), 0);
    for pid in pids {
        match proc.sockets(pid) {
            Some(sockets) => {
                let held: BTreeSet<u64> = sockets.intersection(inodes).copied().collect();
                if !held.is_empty() {
                    holders.insert(pid, held);
                }
            }
            None => unseen += usize::from(proc.process_stat(pid).is_some_and(|stat| !stat.is_kernel())),
        }
    }
    (holders, unseen)
}

/// Workers whose parent closed the listener, or never had it (SO_REUSEPORT), are one server all the same.
fn are_one_server(proc: &Proc, top: &[u32], holders: &BTreeMap<u32, BTreeSet<u64>>) -> bool {
    let Some((first, rest)) = top.split_first() else { return false };
    let shares = |pid: &u32| !holders[first].is_disjoint(&holders[pid]);
    let family = |pid: u32| (proc.process_stat(pid).map(|stat| stat.ppid), proc.exe_path(pid));
    let siblings = |pid: &u32| family(*pid) == family(*first);
    let (parent, exe) = family(*first);
    let have_parent = parent.is_some_and(|ppid| ppid > 1) && exe.is_some();
    rest.iter().all(|pid| shares(pid) || (have_parent && siblings(pid)))
}
