//! Each verdict on the server model, from threads that are made up.

use super::*;
use crate::model::classify;
use crate::report::sample;
use crate::snapshot::{Episodes, Readiness, Thread};
use trace_common::receive::Accepts;

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
