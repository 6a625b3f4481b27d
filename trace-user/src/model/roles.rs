//! What each thread does in its process, from what it did and never from its name.

use std::collections::{BTreeMap, BTreeSet};

use trace_common::account::Account;
use trace_common::conn::Side;

use super::verdict::Role;
use crate::snapshot::{Snapshot, Thread};

/// The role of every thread.
pub fn assign(snapshot: &Snapshot) -> BTreeMap<u32, Role> {
    let serving: BTreeSet<u32> = snapshot.threads.iter().filter(|t| serves(t)).map(|t| t.pid).collect();
    snapshot.threads.iter().map(|t| (t.tid, role(t, &serving))).collect()
}

fn server_episodes(thread: &Thread, pick: impl Fn(&crate::snapshot::Episodes) -> u64) -> u64 {
    [Side::Server, Side::Datagram].iter().filter_map(|s| thread.episodes.get(s)).map(pick).sum()
}

/// Whether a thread receives from connections of the server side.
fn serves(thread: &Thread) -> bool {
    let served = |e: &crate::snapshot::Episodes| e.slept + e.ready_narrow + e.ready_unknown + looped(e);
    server_episodes(thread, served) > 0
}

/// Episodes of a loop over several connections, whichever way it is told.
pub(super) fn looped(e: &crate::snapshot::Episodes) -> u64 {
    e.ready_wide + e.polled + e.signalled + e.completed
}

fn waits_for_many(thread: &Thread) -> bool {
    thread.readiness.calls + thread.receives.eagain + thread.receives.completed + thread.receives.signalled
        > 0
}

fn role(thread: &Thread, serving: &BTreeSet<u32>) -> Role {
    if thread.kernel_io {
        return Role::KernelIo;
    }
    if serves(thread) {
        let looped = server_episodes(thread, looped);
        let alone = server_episodes(thread, |e| e.slept + e.ready_narrow);
        return match (looped > alone, waits_for_many(thread)) {
            (true, true) => Role::Reactor,
            (true, false) => Role::PoolWorker,
            (false, _) => Role::ConnectionWorker,
        };
    }
    if thread.accepts.calls > 0 || thread.ns(Account::WaitAccept) > 0 {
        return Role::Acceptor;
    }
    let watches = thread.pid == thread.tid && !serving.is_empty() && !serving.contains(&thread.pid);
    if watches {
        return Role::Supervisor;
    }
    if thread.silent && thread.on_cpu_ns() == 0 { Role::Idle } else { Role::Background }
}
