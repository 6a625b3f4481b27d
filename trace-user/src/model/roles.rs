//! What each thread does in its process, from what it did and never from its name.

use std::collections::{BTreeMap, BTreeSet};

use trace_common::account::Account;

use super::server_model::crew::{self, Server};
use super::verdict::{Role, ServerVerdict};
use crate::snapshot::{Snapshot, Thread};

/// What a thread's role depends on beside itself.
struct Context<'a> {
    servers: BTreeMap<u32, Server<'a>>,
    /// Processes with a thread that serves.
    serving: BTreeSet<u32>,
    /// Loops with nothing to do.
    idle_loops: BTreeSet<u32>,
    /// Whether the verdict is a pool, so that who serves is one of it even with its first connection.
    pool: bool,
    /// Whether some server is the first thread of its process.
    first_threads_serve: bool,
    /// Whether some server is another one.
    further_threads_serve: bool,
    /// Whether some server accepts.
    servers_accept: bool,
    /// Whether the verdict is a worker for each connection.
    each: bool,
    /// Processes that were asked for.
    asked_for: &'a [u32],
}

/// The role of every thread, where `verdict` is that on the server model.
pub fn assign(snapshot: &Snapshot, verdict: &ServerVerdict) -> BTreeMap<u32, Role> {
    let servers = crew::servers(snapshot);
    let context = Context {
        first_threads_serve: servers.iter().any(|s| is_first(s.thread)),
        further_threads_serve: servers.iter().any(|s| !is_first(s.thread)),
        servers_accept: servers.iter().any(|s| crew::accepts(s.thread)),
        serving: servers.iter().map(|s| s.thread.pid).collect(),
        idle_loops: crew::idle_loops(snapshot, &servers).iter().map(|t| t.tid).collect(),
        servers: servers.into_iter().map(|s| (s.thread.tid, s)).collect(),
        pool: verdict.name.ends_with("-pool"),
        each: verdict.name.ends_with("-per-connection"),
        asked_for: &snapshot.pids,
    };
    snapshot.threads.iter().map(|t| (t.tid, role(t, &context))).collect()
}

fn role(thread: &Thread, context: &Context) -> Role {
    if thread.kernel_io {
        return Role::KernelIo;
    }
    if let Some(server) = context.servers.get(&thread.tid) {
        return of_server(server, context);
    }
    if context.idle_loops.contains(&thread.tid) {
        return Role::Reactor;
    }
    let r = &thread.readiness;
    // Whose peers others receive from, as the loop that feeds a pool; who only looks in now and then (as a runtime's
    // monitor) does not sleep.
    if r.slept > 0 && r.width_many > 0 && r.width_many >= r.width_one && context.serving.contains(&thread.pid)
    {
        return Role::Reactor;
    }
    if crew::accepts(thread) || r.width_listeners > 0 {
        return if context.pool && crew::accepts(thread) && is_alike(thread, context) {
            Role::PoolWorker
        } else {
            Role::Acceptor
        };
    }
    if is_first(thread) && context.asked_for.contains(&thread.pid) && watches(thread, context) {
        return Role::Supervisor;
    }
    if thread.silent && thread.on_cpu_ns() == 0 { Role::Idle } else { Role::Background }
}

fn of_server(server: &Server, context: &Context) -> Role {
    let loops = server.loops > server.bound && !context.each;
    match (loops, crew::waits_itself(server.thread)) {
        (true, true) => Role::Reactor,
        (true, false) => Role::PoolWorker,
        (false, _) if context.pool => Role::PoolWorker,
        (false, _) => Role::ConnectionWorker,
    }
}

/// Whether others of the target serve, and none of this process.
fn watches(thread: &Thread, context: &Context) -> bool {
    !context.serving.is_empty() && !context.serving.contains(&thread.pid)
}

/// Whether the members of the pool take their connections themselves, as this one would.
fn is_alike(thread: &Thread, context: &Context) -> bool {
    let unlike = if is_first(thread) { context.further_threads_serve } else { context.first_threads_serve };
    thread.ns(Account::WaitAccept) > 0 && !context.asked_for.contains(&thread.pid) && !unlike
        || context.servers_accept
}

/// Whether it is the thread that its process began with.
fn is_first(thread: &Thread) -> bool {
    thread.pid == thread.tid
}
