//! What a sleeping thread waits on, as far as descriptors tell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use trace_common::account::{Account, SleepFacts, sleep_account, state};
use trace_common::conn::Side;
use trace_common::syscall::{CallClass, FileKind, class_of};

use super::wchan;
use crate::kernel::names;
use crate::kernel::proc::{InCall, Proc, Socket};
use crate::snapshot::SampledWidth;

/// How long what is known of sockets and epoll sets counts as true. A server whose connections live for less is seen at
/// some of its sets only.
const FRESH: Duration = Duration::from_millis(250);
/// … and how many times as long as it took to read them: a busy machine's table of sockets is long.
const FRESH_TIMES: u32 = 25;
/// Most descriptors of a poll or select that are looked at; more are mostly the array of a proxy, and many anyway.
const MAX_POLLED: usize = 256;

/// What a thread sleeps in and on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait {
    /// Name of the call.
    pub syscall: Option<String>,
    /// Account of the ledger.
    pub account: Account,
    /// Which end of its connections the target holds.
    pub side: Option<Side>,
    /// What a readiness wait is over.
    pub width: Option<SampledWidth>,
}

/// A [`Wait`], with the figures that differ from one to the next.
#[derive(Clone, Debug)]
pub struct Look {
    /// What it is.
    pub wait: Wait,
    /// Connections and listeners in it.
    pub peers: u64,
    /// The only socket that it is for.
    pub socket: Option<u64>,
}

/// Sockets and sets of the target, read again when they are no longer fresh.
#[derive(Default)]
pub struct Sockets {
    /// By process, each with the time that it is good until.
    tables: BTreeMap<u32, (Instant, BTreeMap<u64, Socket>)>,
    /// By process and descriptor.
    sets: BTreeMap<(u32, u64), (Instant, Option<Members>)>,
    /// Ports that the target listens on.
    pub ports: BTreeSet<u16>,
}

/// Connections and the like in a wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Members {
    listeners: u64,
    connections: u64,
    datagrams: u64,
    /// Of the connections, those that the target accepted.
    accepted: u64,
    /// The last connection.
    socket: Option<u64>,
}

impl Members {
    fn add(&mut self, inode: u64, socket: Socket, side: Side) {
        match socket {
            Socket::Listener(_) => self.listeners += 1,
            Socket::Datagram => self.datagrams += 1,
            // One end of a pair of its own, or a client's: a wake-up as far as can be told.
            Socket::Unnamed => {}
            Socket::Stream(_) | Socket::Named => {
                self.connections += 1;
                self.accepted += u64::from(side == Side::Server);
                self.socket = Some(inode);
            }
        }
    }

    fn width(self) -> SampledWidth {
        match (self.connections, self.listeners, self.datagrams) {
            (0, 0, 0) => SampledWidth::Wakeups,
            (0, _, 0) => SampledWidth::Listeners,
            (1, 0, 0) => SampledWidth::One,
            (0, 0, 1) => SampledWidth::Datagram,
            _ => SampledWidth::Many,
        }
    }

    /// Accepted connections decide, as the model's do.
    fn side(self) -> Option<Side> {
        match self {
            Members { accepted: 1.., .. } => Some(Side::Server),
            Members { connections: 1.., .. } => Some(Side::Client),
            Members { listeners: 1.., .. } => Some(Side::Server),
            Members { datagrams: 1.., .. } => Some(Side::Datagram),
            _ => None,
        }
    }
}

/// What a thread sleeps in that `syscall` told of, in state `letter`.
pub fn in_call(
    proc: &Proc,
    sockets: &mut Sockets,
    pid: u32,
    tid: u32,
    call: InCall,
    letter: char,
) -> Option<Look> {
    let class = call.map_or(CallClass::None, |(nr, _)| class_of(nr));
    let args = call.map_or([0; 4], |(_, args)| args);
    let uses_file = matches!(class, CallClass::Read | CallClass::Write | CallClass::Splice);
    let kind = if uses_file { proc.file_kind(pid, args[0]) } else { FileKind::Unknown };
    let no_descriptors = match class {
        CallClass::Poll => args[1] as u32 == 0,
        CallClass::Select => args[0] as u32 == 0,
        _ => false,
    };
    let account =
        sleep_account(SleepFacts { class, kind, state: bits(letter)?, iowait: false, no_descriptors });
    let mut look = Look {
        wait: Wait { syscall: call.map(|(nr, _)| names::syscall(nr)), account, side: None, width: None },
        peers: 0,
        socket: None,
    };
    match account {
        Account::WaitReady if class.is_ready() => {
            let members = match class {
                CallClass::Epoll => sockets.set(proc, pid, args[0]),
                CallClass::Poll => polled(proc, tid, &args).map(|fds| sockets.members(proc, pid, &fds)),
                _ => selected(proc, tid, &args).map(|fds| sockets.members(proc, pid, &fds)),
            };
            look.over(members);
        }
        Account::WaitData | Account::WaitSend | Account::WaitAccept if class.has_fd() => {
            look.socket = proc.socket_inode(pid, args[0]);
            look.wait.side = look.socket.map(|inode| sockets.side(proc, pid, inode));
        }
        _ => {}
    }
    Some(look)
}

/// What a thread sleeps in whose call may not be read, by the kernel function it sleeps in.
pub fn in_function(proc: &Proc, sockets: &mut Sockets, pid: u32, tid: u32, letter: char) -> Option<Look> {
    let function = proc.wchan(pid, tid);
    let (account, family) = match (letter, function.as_deref().and_then(wchan::known)) {
        ('T' | 't', _) => (Account::Stopped, None),
        (_, Some((account, family))) => (account, Some(family)),
        _ => (Account::Unknown, None),
    };
    let mut look =
        Look { wait: Wait { syscall: None, account, side: None, width: None }, peers: 0, socket: None };
    if let Some(family) = family {
        look.wait.syscall = family.map(str::to_owned);
        if account == Account::WaitReady {
            // The only epoll set of a process is the one it waits for.
            let sets = if family == Some(wchan::EPOLL) { proc.epoll_instances(pid) } else { Vec::new() };
            let members = if let [fd] = sets[..] { sockets.set(proc, pid, fd) } else { None };
            look.over(members);
        }
    }
    Some(look)
}

/// Task-state bits of a state letter of `stat`; `None` for one that sleeps not.
fn bits(letter: char) -> Option<u32> {
    match letter {
        'S' | 'I' => Some(state::INTERRUPTIBLE),
        'D' => Some(state::UNINTERRUPTIBLE),
        'T' | 't' => Some(state::STOPPED_OR_TRACED),
        _ => None,
    }
}

impl Look {
    fn over(&mut self, members: Option<Members>) {
        self.wait.width = Some(members.map_or(SampledWidth::Unknown, Members::width));
        if let Some(members) = members {
            self.wait.side = members.side();
            self.peers = members.connections + members.listeners + members.datagrams;
            self.socket = members.socket.filter(|_| members.width() == SampledWidth::One);
        }
    }
}

impl Sockets {
    /// What a socket is; the table is read again for one that is not in it.
    fn socket(&mut self, proc: &Proc, pid: u32, inode: u64) -> Option<Socket> {
        let known = self.tables.get(&pid);
        let fresh = known.is_some_and(|(until, table)| Instant::now() < *until || table.contains_key(&inode));
        if !fresh {
            let begun = Instant::now();
            let table = proc.socket_table(pid);
            self.tables.insert(pid, (good_until(begun), table));
        }
        self.tables.get(&pid)?.1.get(&inode).copied()
    }

    fn side(&mut self, proc: &Proc, pid: u32, inode: u64) -> Side {
        let socket = self.socket(proc, pid, inode);
        self.side_of(socket)
    }

    fn side_of(&self, socket: Option<Socket>) -> Side {
        match socket {
            Some(Socket::Listener(_) | Socket::Named) => Side::Server,
            Some(Socket::Stream(port)) if self.ports.contains(&port) => Side::Server,
            Some(Socket::Stream(_)) => Side::Client,
            Some(Socket::Datagram) => Side::Datagram,
            Some(Socket::Unnamed) | None => Side::Other,
        }
    }

    fn count(&mut self, proc: &Proc, pid: u32, inodes: impl Iterator<Item = u64>) -> Members {
        let mut members = Members::default();
        for inode in inodes {
            if let Some(socket) = self.socket(proc, pid, inode) {
                members.add(inode, socket, self.side_of(Some(socket)));
            }
        }
        members
    }

    /// Members of an epoll set.
    fn set(&mut self, proc: &Proc, pid: u32, fd: u64) -> Option<Members> {
        if let Some((_, members)) = self.sets.get(&(pid, fd)).filter(|(until, _)| Instant::now() < *until) {
            return *members;
        }
        let begun = Instant::now();
        let inodes = proc.epoll_members(pid, fd);
        let members = inodes.map(|inodes| self.count(proc, pid, inodes.into_iter()));
        self.sets.insert((pid, fd), (good_until(begun), members));
        members
    }

    fn members(&mut self, proc: &Proc, pid: u32, fds: &[u64]) -> Members {
        let inodes: Vec<u64> = fds.iter().filter_map(|fd| proc.socket_inode(pid, *fd)).collect();
        self.count(proc, pid, inodes.into_iter())
    }
}

/// Until when something counts as true that was read since `begun`.
fn good_until(begun: Instant) -> Instant {
    Instant::now() + FRESH.max(begun.elapsed() * FRESH_TIMES)
}

/// Descriptors of a poll: an array of `struct pollfd`, 8 bytes each, of which negative ones are left out.
fn polled(proc: &Proc, tid: u32, args: &[u64; 4]) -> Option<Vec<u64>> {
    let count = (args[1] as u32 as usize).min(MAX_POLLED);
    let bytes = proc.memory(tid, args[0], count * 8)?;
    let fds = bytes.chunks_exact(8).map(|entry| i32::from_ne_bytes([entry[0], entry[1], entry[2], entry[3]]));
    Some(fds.filter_map(|fd| u64::try_from(fd).ok()).collect())
}

/// Descriptors that a select waits to read: the bits of its first set.
fn selected(proc: &Proc, tid: u32, args: &[u64; 4]) -> Option<Vec<u64>> {
    let count = (args[0] as u32 as usize).min(MAX_POLLED);
    let bytes = if args[1] == 0 { Vec::new() } else { proc.memory(tid, args[1], count.div_ceil(8))? };
    let is_set = |fd: &usize| bytes.get(fd / 8).is_some_and(|byte| byte & (1 << (fd % 8)) != 0);
    Some((0..count).filter(is_set).map(|fd| fd as u64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_of_a_set_is_that_of_its_connections() {
        let of = |sockets: &[Socket]| {
            let mut members = Members::default();
            sockets.iter().for_each(|socket| members.add(1, *socket, Side::Server));
            members.width()
        };
        let (listener, stream) = (Socket::Listener(Some(80)), Socket::Stream(80));
        assert_eq!(of(&[]), SampledWidth::Wakeups);
        assert_eq!(of(&[Socket::Unnamed, Socket::Unnamed]), SampledWidth::Wakeups);
        assert_eq!(of(&[listener]), SampledWidth::Listeners);
        assert_eq!(of(&[stream]), SampledWidth::One);
        assert_eq!(of(&[listener, stream]), SampledWidth::Many);
        assert_eq!(of(&[Socket::Named, stream]), SampledWidth::Many);
        assert_eq!(of(&[Socket::Datagram]), SampledWidth::Datagram);
    }

    #[test]
    fn a_connection_on_a_port_of_the_target_is_of_the_server_side() {
        let sockets = Sockets { ports: BTreeSet::from([80]), ..Sockets::default() };
        assert_eq!(sockets.side_of(Some(Socket::Stream(80))), Side::Server);
        assert_eq!(sockets.side_of(Some(Socket::Stream(40_000))), Side::Client);
        assert_eq!(sockets.side_of(None), Side::Other);
    }

    #[test]
    fn who_runs_sleeps_in_nothing() {
        assert_eq!(bits('R'), None);
        assert_eq!(bits('D'), Some(state::UNINTERRUPTIBLE));
    }
}
