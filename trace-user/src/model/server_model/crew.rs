//! Who serves, and who stands by: the threads that a verdict on the server model counts.

use std::collections::{BTreeMap, BTreeSet};

use trace_common::account::Account;
use trace_common::conn::Side;
use trace_common::handover::Handover;

use crate::model::balance;
use crate::model::tally::share;
use crate::model::thresholds::{BACK_AND_FORTH, HIGH_EPISODES, WINNER_SHARE};
use crate::snapshot::{Episodes, Snapshot, Thread};

/// Sides of those who ask the target.
const SERVED: [Side; 2] = [Side::Server, Side::Datagram];

/// One who serves: a thread, or several alike that have ended.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// The thread.
    pub thread: &'a Thread,
    /// Episodes as a loop over several connections.
    pub loops: u64,
    /// Episodes bound to one connection.
    pub bound: u64,
    /// Connections whose first episode was this thread's.
    pub first: u64,
}

impl<'a> Server<'a> {
    fn of(thread: &'a Thread, quiet: bool) -> Option<Server<'a>> {
        let sum = episodes(thread);
        let (loops, bound) = (looped(&sum), sum.slept + sum.ready_narrow);
        let seen = loops + bound > 0 || quiet && is_quiet(thread);
        seen.then_some(Server { thread, loops, bound, first: sum.connections })
    }

    /// Connections served, as far as seen. One that was ready when it was accepted has no episode.
    pub fn connections(&self) -> u64 {
        self.first.max(self.thread.accepts.accepted)
    }

    /// How many threads it stands for. Of those that ended and are summed up, some may have served nobody.
    pub fn count(&self) -> u64 {
        let served = self.first + self.thread.receives.immediate;
        if self.thread.count > 1 { self.thread.count.min(served.max(1)) } else { 1 }
    }

    /// Whether it began and served no second connection: the accepts of one that listens for its client (as FTP does for
    /// the data) are its own business.
    pub fn is_born_for_one(&self, handed: bool) -> bool {
        let one = if handed { self.first } else { self.connections() };
        self.thread.born && one <= self.thread.count && (handed || !accepts(self.thread))
    }
}

/// Episodes of a thread with those who ask the target.
pub fn episodes(thread: &Thread) -> Episodes {
    let mut sum = Episodes::default();
    SERVED.iter().filter_map(|side| thread.episodes.get(side)).for_each(|e| sum.add(e));
    sum
}

/// Episodes of a loop over several connections, whichever way it is told.
pub fn looped(e: &Episodes) -> u64 {
    e.ready_wide + e.polled + e.signalled + e.completed
}

/// Whether a thread received, and never had to wait for it.
fn is_quiet(thread: &Thread) -> bool {
    let waited = |e: &Episodes| e.slept + e.ready_narrow + e.ready_unknown + looped(e) > 0;
    thread.receives.with_data > 0 && !thread.episodes.values().any(waited)
}

/// Those who serve, in the order of the snapshot: who waited for a connection and received on it; where that is hardly
/// ever seen, also who received without a wait.
pub fn servers(snapshot: &Snapshot) -> Vec<Server<'_>> {
    let serving = |quiet| snapshot.threads.iter().filter_map(|t| Server::of(t, quiet)).collect();
    let waited: Vec<Server> = serving(false);
    let episodes: u64 = waited.iter().map(|s| s.loops + s.bound).sum();
    // Receives are not counted by side: what never waits serves where nearly all connections are of that side.
    let received = || snapshot.connections.iter().filter(|c| c.receives > 0);
    let served = received().filter(|c| c.side == Side::Server).count() as u64;
    let of_clients = served > 0 && share(served, received().count() as u64) >= WINNER_SHARE;
    if episodes < HIGH_EPISODES && of_clients { serving(true) } else { waited }
}

/// Whether a thread takes connections itself.
pub fn accepts(thread: &Thread) -> bool {
    thread.accepts.calls > 0 || thread.ns(Account::WaitAccept) > 0
}

/// Whether a thread asks or waits for what it receives, rather than being fed by another one.
pub fn waits_itself(thread: &Thread) -> bool {
    let r = &thread.receives;
    thread.readiness.calls + r.completed + r.signalled + r.polled > 0
}

/// Threads that do not serve, and live at the end.
fn others<'a>(snapshot: &'a Snapshot, servers: &'a [Server]) -> impl Iterator<Item = &'a Thread> {
    let serving: BTreeSet<u32> = servers.iter().map(|s| s.thread.tid).collect();
    snapshot.threads.iter().filter(move |t| t.alive && !t.kernel_io && !serving.contains(&t.tid))
}

/// Connections accepted by threads that do not serve, also by one that ended with the target; or those that came to a
/// thread born after the accept, if these are more.
pub fn handed(snapshot: &Snapshot, servers: &[Server]) -> u64 {
    let serving: BTreeSet<u32> = servers.iter().map(|s| s.thread.tid).collect();
    let others = snapshot.threads.iter().filter(|t| !t.kernel_io && !serving.contains(&t.tid));
    let accepted: u64 = others.map(|t| t.accepts.accepted).sum();
    let ways = balance::handovers(snapshot);
    let born: u64 = [Handover::NewThread, Handover::Fork].iter().filter_map(|way| ways.get(way)).sum();
    accepted.max(born)
}

/// Threads that wait to accept and serve nobody.
pub fn idle_acceptors(snapshot: &Snapshot, servers: &[Server]) -> u64 {
    others(snapshot, servers).filter(|t| accepts(t)).count() as u64
}

/// Of these, those asleep in accept.
pub fn asleep_in_accept(snapshot: &Snapshot, servers: &[Server]) -> u64 {
    others(snapshot, servers).filter(|t| t.ns(Account::WaitAccept) > 0).count() as u64
}

/// Other processes than the servers', with a thread that waits to accept.
pub fn idle_acceptors_elsewhere(snapshot: &Snapshot, servers: &[Server]) -> u64 {
    let busy: BTreeSet<u32> = servers.iter().map(|s| s.thread.pid).collect();
    let pids = others(snapshot, servers).filter(|t| accepts(t)).map(|t| t.pid);
    pids.filter(|pid| !busy.contains(pid)).collect::<BTreeSet<u32>>().len() as u64
}

/// Whether anybody who does not serve may be waiting for the next connection: in accept, or in a readiness call of a
/// process that listens, or of which that is not known.
pub fn somebody_waits_to_accept(snapshot: &Snapshot, servers: &[Server]) -> bool {
    let listens = listeners(snapshot);
    let may = |t: &Thread| {
        accepts(t)
            || listens.get(&t.pid).copied().flatten() != Some(false)
                && t.ns(Account::WaitReady) + t.ns(Account::WaitCompletion) > 0
    };
    others(snapshot, servers).any(may)
}

/// What is known of each process's listeners.
pub fn listeners(snapshot: &Snapshot) -> BTreeMap<u32, Option<bool>> {
    snapshot.processes.iter().map(|p| (p.pid, p.listens)).collect()
}

/// Whether listeners are held, and by none of the workers' processes.
pub fn only_others_listen(snapshot: &Snapshot, workers: &[&Server]) -> bool {
    let listens = listeners(snapshot);
    let known =
        |s: &&&Server| !s.thread.alive || listens.get(&s.thread.pid).copied().flatten() == Some(false);
    workers.iter().filter(known).count() == workers.len() && listens.values().any(|l| *l == Some(true))
}

/// Whether every worker's process holds a listener.
pub fn all_listen(snapshot: &Snapshot, workers: &[&Server]) -> bool {
    let listens = listeners(snapshot);
    workers.iter().all(|s| listens.get(&s.thread.pid).copied().flatten() == Some(true))
}

/// Loops of other processes with nothing to do: first threads that sleep in a readiness call, of processes that hold a
/// listener and were not asked for, beside a loop that does, too. One that was asked for is most often a parent.
pub fn idle_loops<'a>(snapshot: &'a Snapshot, servers: &[Server]) -> Vec<&'a Thread> {
    let listens = listeners(snapshot);
    let holds = |pid: u32| listens.get(&pid).copied().flatten() == Some(true);
    let busy: BTreeSet<u32> = servers.iter().map(|s| s.thread.pid).collect();
    let alike = |s: &Server| s.loops > s.bound && s.thread.pid == s.thread.tid && holds(s.thread.pid);
    if !servers.iter().any(alike) || servers.iter().any(|s| snapshot.pids.contains(&s.thread.pid)) {
        return Vec::new();
    }
    let is_idle = |t: &&Thread| {
        let first = t.alive && t.pid == t.tid && !snapshot.pids.contains(&t.pid);
        first && !busy.contains(&t.pid) && holds(t.pid) && t.ns(Account::WaitReady) > 0
    };
    snapshot.threads.iter().filter(is_idle).collect()
}

/// Threads that may be loops with nothing to do: they sleep in a readiness call, and serve nobody.
pub fn asleep_in_readiness(snapshot: &Snapshot, servers: &[Server]) -> u64 {
    let is_asleep = |t: &&Thread| {
        let account = t.in_flight.as_ref().map(|f| f.account);
        account == Some(Account::WaitReady) || t.readiness.slept > 0
    };
    let children =
        |t: &&Thread| !snapshot.pids.contains(&t.pid) || servers.iter().any(|s| s.thread.pid == t.pid);
    others(snapshot, servers).filter(is_asleep).filter(children).count() as u64
}

/// Whether a loop with but a few connections may have others beside it: somebody else may be waiting for the next
/// connection, or the loop is one of the threads that its process has made.
pub fn may_have_others(snapshot: &Snapshot, servers: &[Server], one: &Thread) -> bool {
    let beside = |t: &Thread| t.pid == one.pid && one.pid != one.tid;
    somebody_waits_to_accept(snapshot, servers) || others(snapshot, servers).filter(|t| beside(t)).count() > 1
}

/// Of the other threads of a loop's process, those of the kernel left out: their share of its CPU time, and their sleeps
/// for each receive of the loop.
pub fn others_work(snapshot: &Snapshot, one: &Thread) -> (f64, f64) {
    let others = snapshot.threads.iter().filter(|t| t.pid == one.pid && t.tid != one.tid && !t.kernel_io);
    let (cpu_ns, sleeps) = others.fold((0, 0), |(ns, n), t| (ns + t.on_cpu_ns(), n + t.sleeps));
    (share(cpu_ns, one.on_cpu_ns() + cpu_ns), share(sleeps, one.receives.with_data))
}

/// Connections of the server side that went back and forth between threads, and all that data came on.
pub fn handed_over(snapshot: &Snapshot) -> (u64, u64) {
    let served = snapshot.connections.iter().filter(|c| c.side == Side::Server && c.receives > 0);
    served.fold((0, 0), |(shared, all), c| (shared + u64::from(c.handovers >= BACK_AND_FORTH), all + 1))
}

/// What the workers are: processes, if no two of them share one and, of a single one, another process listens.
pub fn units(snapshot: &Snapshot, servers: &[&Server]) -> &'static str {
    let processes: BTreeSet<u32> = servers.iter().map(|s| s.thread.pid).collect();
    let apart = processes.len() == servers.len();
    if apart && (servers.len() > 1 || only_others_listen(snapshot, servers)) { "process" } else { "thread" }
}
