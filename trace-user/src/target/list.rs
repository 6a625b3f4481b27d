//! Which processes listen, as `trace attach` would resolve them: the topmost of each tree that shares a listener.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use serde::Serialize;

use super::{port, tree};
use crate::kernel::container::Container;
use crate::kernel::proc::{Listener, Proc, Protocol};

/// Everything that listens here, as far as it may be seen.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    /// By lowest port, then by pid.
    pub servers: Vec<Server>,
    /// What could not be seen.
    pub unseen: Unseen,
}

/// A server: a process, with those below it that hold its listeners too.
#[derive(Clone, Debug, Serialize)]
pub struct Server {
    /// The topmost process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Its executable; `None` if that may not be seen.
    pub exe: Option<String>,
    /// Processes that hold the listeners, with the topmost itself.
    pub processes: Vec<u32>,
    /// Their threads.
    pub threads: u32,
    /// Where it listens.
    pub listens: Vec<Address>,
    /// The container that the topmost process is in.
    pub container: Option<Container>,
    /// What `trace attach` takes for exactly this server.
    pub attach: Attach,
}

/// Ways to name a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attach {
    /// `--pid`, which always works.
    pub pid: u32,
    /// `--port`, if one of its ports is its alone.
    pub port: Option<u16>,
    /// `--name`, if nobody else has it.
    pub name: Option<String>,
}

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Address {
    /// Port.
    pub port: u16,
    /// Stream or datagram.
    pub protocol: Protocol,
    /// Local address; `0.0.0.0` and `::` are all of them.
    pub address: IpAddr,
}

/// What could not be seen.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Unseen {
    /// Processes whose descriptors may not be read.
    pub processes: usize,
    /// Sockets that none of the processes seen holds.
    pub sockets: usize,
    /// Where these listen.
    pub listens: Vec<Address>,
}

impl From<&Listener> for Address {
    fn from(listener: &Listener) -> Address {
        let (port, address) = (listener.address.port(), listener.address.ip());
        Address { port, protocol: listener.protocol, address }
    }
}

/// Lists the servers in the `/proc` at `root`, `own` being the pid of the tool itself.
pub fn list(root: &Path, own: u32) -> Listing {
    let proc = Proc::at(root);
    let pids = proc.pids();
    let listeners = port::listeners(&proc, &pids);
    let inodes: BTreeSet<u64> = listeners.iter().map(|l| l.inode).collect();
    let (holders, processes) = port::holders(&proc, pids.iter().copied().filter(|&pid| pid != own), &inodes);
    let held: BTreeSet<u64> = holders.values().flatten().copied().collect();
    let orphans: Vec<&Listener> = listeners.iter().filter(|l| !held.contains(&l.inode)).collect();
    let names = names(&proc, pids.iter().copied().filter(|&pid| pid != own));
    let groups = group(&proc, &listeners, &holders);
    let mut servers: Vec<Server> =
        groups.into_iter().map(|(pid, group)| server(&proc, &names, pid, group)).collect();
    servers.sort_by_key(|s| (s.listens.first().map(|l| l.port), s.pid));
    let unseen =
        Unseen { processes, sockets: orphans.len(), listens: addresses(orphans.iter().map(|l| (*l).into())) };
    Listing { servers, unseen }
}

/// Processes and addresses of a server.
#[derive(Default)]
struct Group {
    processes: BTreeSet<u32>,
    listens: Vec<Address>,
    /// The lowest port that nobody else listens on.
    port: Option<u16>,
}

/// Groups holders under the topmost of their tree, port by port, as `--port` does.
fn group(
    proc: &Proc,
    listeners: &[Listener],
    holders: &BTreeMap<u32, BTreeSet<u64>>,
) -> BTreeMap<u32, Group> {
    let mut by_port: BTreeMap<u16, Vec<&Listener>> = BTreeMap::new();
    for listener in listeners {
        by_port.entry(listener.address.port()).or_default().push(listener);
    }
    let mut groups: BTreeMap<u32, Group> = BTreeMap::new();
    for (port, listeners) in by_port {
        let holds = |inodes: &BTreeSet<u64>| listeners.iter().any(|l| inodes.contains(&l.inode));
        let mut held: BTreeMap<u32, ()> =
            holders.iter().filter(|(_, inodes)| holds(inodes)).map(|(pid, _)| (*pid, ())).collect();
        port::leave_out_activation(&mut held);
        let held: Vec<u32> = held.into_keys().collect();
        let tops = tree::topmost(proc, &held);
        for &top in &tops {
            let below = held.iter().copied().filter(|&pid| pid == top || tree::is_below(proc, pid, top));
            let below: BTreeSet<u32> = below.collect();
            let theirs = |l: &&&Listener| below.iter().any(|pid| holders[pid].contains(&l.inode));
            let group = groups.entry(top).or_default();
            group.listens.extend(listeners.iter().filter(theirs).map(|l| Address::from(*l)));
            group.processes.extend(below);
            group.port = group.port.or(Some(port).filter(|_| tops.len() == 1));
        }
    }
    groups
}

fn server(proc: &Proc, names: &BTreeMap<String, Vec<u32>>, pid: u32, group: Group) -> Server {
    let threads =
        group.processes.iter().filter_map(|&pid| proc.process_stat(pid)).map(|stat| stat.threads).sum();
    let comm = proc.label(pid);
    let is_alone = |name: &String| names.get(name).is_some_and(|pids| tree::topmost(proc, pids) == [pid]);
    Server {
        pid,
        exe: proc.exe_path(pid),
        processes: group.processes.into_iter().collect(),
        threads,
        listens: addresses(group.listens),
        container: proc.container(pid),
        attach: Attach { pid, port: group.port, name: Some(comm.clone()).filter(is_alone) },
        comm,
    }
}

/// Who goes by which name, as `--name` looks for them.
fn names(proc: &Proc, pids: impl Iterator<Item = u32>) -> BTreeMap<String, Vec<u32>> {
    let mut names: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for pid in pids.filter(|&pid| super::is_living(proc, pid)) {
        for name in proc.names(pid).into_iter().collect::<BTreeSet<_>>() {
            names.entry(name).or_default().push(pid);
        }
    }
    names
}

fn addresses(found: impl IntoIterator<Item = Address>) -> Vec<Address> {
    found.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}
