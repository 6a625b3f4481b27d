//! Each verdict on the server model, from threads that are made up.

use super::*;
use crate::model::classify;
use crate::model::verdict::{Role, Verdicts};
use crate::report::sample;
use crate::snapshot::{Episodes, Process, Readiness, Thread};
use trace_common::account::Account;
use trace_common::receive::{Accepts, Receives};

/// So many threads, each with 40 episodes over so many connections; `change` makes them what they are to be.
fn judged(threads: u32, connections: u64, change: impl Fn(&mut Thread)) -> ServerVerdict {
    let mut snapshot = sample::snapshot(threads);
    snapshot.calibration.measured_bytes = snapshot.calibration.done_bytes;
    snapshot.connections.iter_mut().for_each(|c| (c.asked_blocking, c.side) = (true, Side::Server));
    for thread in &mut snapshot.threads {
        thread.accepts = Accepts::ZERO;
        let episodes = Episodes { connections, narrow_connections: 0, ..Episodes::default() };
        thread.episodes.insert(Side::Server, episodes);
        change(thread);
    }
    classify(&snapshot).server_model
}

fn episodes(thread: &mut Thread) -> &mut Episodes {
    thread.episodes.get_mut(&Side::Server).expect("it serves")
}

fn looping(thread: &mut Thread) {
    episodes(thread).ready_wide = 40;
    thread.readiness = Readiness { calls: 40, slept: 40, width_many: 40, ..Readiness::default() };
}

fn blocking(thread: &mut Thread) {
    episodes(thread).slept = 40;
    thread.readiness = Readiness::default();
}

#[test]
fn loops_are_counted_and_one_of_them_is_a_single_reactor() {
    let one = judged(1, 10, looping);
    assert_eq!((&*one.name, one.confidence), ("single-reactor", Some(Confidence::High)));
    let four = judged(4, 10, looping);
    assert_eq!((&*four.name, four.units.as_deref(), four.count), ("multi-reactor", Some("thread"), Some(4)));
}

#[test]
fn who_receives_what_another_waited_for_is_a_worker() {
    let fed = judged(4, 10, |thread| {
        looping(thread);
        if thread.tid != 100 {
            thread.readiness = Readiness::default();
        }
    });
    assert_eq!((&*fed.name, fed.confidence), ("reactor-with-workers", Some(Confidence::Medium)));
}

#[test]
fn births_and_second_connections_tell_a_pool_from_a_thread_each() {
    let born = judged(4, 1, |thread| {
        blocking(thread);
        thread.born = true;
    });
    assert_eq!(
        (&*born.name, born.confidence),
        ("thread-per-connection", Some(Confidence::Medium)),
        "a pool that grows has births, too"
    );
    let ended = judged(4, 1, |thread| {
        blocking(thread);
        (thread.born, thread.alive) = (true, false);
    });
    assert_eq!((&*ended.name, ended.confidence), ("thread-per-connection", Some(Confidence::High)));
    let again = judged(4, 2, blocking);
    assert_eq!((&*again.name, again.confidence), ("thread-pool", Some(Confidence::High)));
    let neither = judged(4, 1, blocking);
    assert_eq!((&*neither.name, neither.confidence), ("inconclusive", None));
    let named: Vec<_> = neither.alternatives.iter().map(|a| &*a.name).collect();
    assert_eq!(named, ["thread-per-connection", "thread-pool"]);
}

#[test]
fn who_accepts_himself_was_not_born_for_his_connection() {
    let prefork = judged(4, 1, |thread| {
        blocking(thread);
        (thread.born, thread.accepts.calls, thread.accepts.accepted) = (true, 1, 1);
    });
    assert_eq!(prefork.name, "thread-pool");
}

#[test]
fn one_thread_that_takes_one_connection_after_another_is_iterative() {
    let one = judged(1, 5, |thread| {
        blocking(thread);
        (thread.accepts.calls, thread.accepts.accepted) = (5, 5);
    });
    assert_eq!((&*one.name, one.confidence), ("iterative", Some(Confidence::High)));
}

#[test]
fn a_loop_for_each_connection_is_no_reactor() {
    let bound = judged(4, 1, looping);
    assert_eq!(bound.name, "inconclusive", "{bound:?}");
}

#[test]
fn few_episodes_decide_nothing() {
    let idle = judged(1, 1, |thread| episodes(thread).ready_wide = 3);
    assert_eq!((&*idle.name, idle.confidence), ("inconclusive", None));
}

fn spends(thread: &mut Thread, account: Account) {
    thread.ledger.insert(account, 1);
}

/// The verdict and the roles on threads of the given processes; the first process is the one that was asked for.
fn of_processes(pids: &[u32], change: impl Fn(&mut Thread)) -> Verdicts {
    let mut snapshot = sample::snapshot(pids.len() as u32);
    snapshot.calibration.measured_bytes = snapshot.calibration.done_bytes;
    snapshot.connections.iter_mut().for_each(|c| c.side = Side::Server);
    snapshot.pids = vec![pids[0]];
    let process = snapshot.processes[0].clone();
    let listens = Some(true);
    snapshot.processes = pids.iter().map(|pid| Process { pid: *pid, listens, ..process.clone() }).collect();
    for (thread, pid) in snapshot.threads.iter_mut().zip(pids) {
        (thread.pid, thread.tid) = (*pid, *pid);
        (thread.accepts, thread.receives) = (Accepts::ZERO, Receives::ZERO);
        (thread.readiness, thread.in_flight) = (Readiness::default(), None);
        thread.ledger.clear();
        change(thread);
    }
    classify(&snapshot)
}

#[test]
fn processes_asleep_over_the_same_listener_are_loops_without_a_connection() {
    let verdicts = of_processes(&[1, 2, 3, 4], |thread| match thread.tid {
        1 => spends(thread, Account::WaitSignal),
        2 => {
            let episodes = Episodes { ready_wide: 40, connections: 10, ..Episodes::default() };
            thread.episodes.insert(Side::Server, episodes);
            thread.readiness = Readiness { calls: 40, slept: 40, width_many: 40, ..Readiness::default() };
        }
        _ => spends(thread, Account::WaitReady),
    });
    let server = &verdicts.server_model;
    assert_eq!((&*server.name, server.count), ("multi-reactor", Some(3)));
    let roles: Vec<Role> = verdicts.roles.into_values().collect();
    assert_eq!(roles, [Role::Supervisor, Role::Reactor, Role::Reactor, Role::Reactor]);
}

#[test]
fn one_loop_with_one_connection_is_not_named_where_somebody_else_waits_for_the_next() {
    let verdicts = of_processes(&[1, 2], |thread| match thread.tid {
        1 => spends(thread, Account::WaitReady),
        _ => {
            let episodes = Episodes { ready_wide: 40, connections: 1, ..Episodes::default() };
            thread.episodes.insert(Side::Server, episodes);
            thread.readiness = Readiness { calls: 40, slept: 40, width_many: 40, ..Readiness::default() };
        }
    });
    assert_eq!(verdicts.server_model.name, "inconclusive", "{:?}", verdicts.server_model);
}

#[test]
fn receives_that_never_wait_are_blocking_if_they_would_have_waited() {
    let never = |asked_nonblocking| {
        let mut snapshot = sample::snapshot(3);
        for c in &mut snapshot.connections {
            (c.side, c.in_epoll, c.asked_nonblocking) = (Side::Server, false, asked_nonblocking);
            c.asked_blocking = !asked_nonblocking;
        }
        for thread in &mut snapshot.threads {
            thread.readiness = Readiness::default();
            thread.receives = Receives { calls: 40, with_data: 40, immediate: 40, ..Receives::ZERO };
        }
        classify(&snapshot).io_model
    };
    let blocking = never(false);
    assert_eq!((blocking.name, blocking.confidence), (IoModel::Blocking, Some(Confidence::Medium)));
    assert_eq!(never(true).name, IoModel::Inconclusive, "a loop that tries before it waits looks the same");
}

#[test]
fn threads_that_are_born_for_each_message_are_no_thread_for_each_connection() {
    let messages = judged(200, 0, |thread| {
        blocking(thread);
        (thread.born, thread.alive) = (true, false);
    });
    assert_ne!(messages.name, "thread-per-connection", "{messages:?}");
}

#[test]
fn workers_that_hold_the_listener_while_nobody_waits_to_accept_are_a_pool() {
    let serving = |thread: &mut Thread| {
        let episodes = Episodes { slept: 40, connections: 1, ..Episodes::default() };
        thread.episodes.insert(Side::Server, episodes);
    };
    let pool = of_processes(&[1, 2, 3, 4], |thread| match thread.tid {
        1 => spends(thread, Account::WaitOther),
        _ => serving(thread),
    });
    assert_eq!(pool.server_model.name, "process-pool");
    let open = of_processes(&[1, 2, 3, 4], |thread| match thread.tid {
        1 => spends(thread, Account::WaitAccept),
        _ => serving(thread),
    });
    assert_eq!(open.server_model.name, "inconclusive", "the first one accepts: {:?}", open.server_model);
}
