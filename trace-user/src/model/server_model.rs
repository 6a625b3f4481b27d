//! The verdict on the server model: how connections are spread over threads and processes.
//!
//! Judged by those who serve connections, and by what they did: loops over several connections, workers bound to one
//! connection at a time, born for it or taking one after another. Where the window shows neither, both are named.

use std::collections::BTreeSet;

use trace_common::account::Account;
use trace_common::conn::Side;

use super::counted;
use super::roles::looped;
use super::storage;
use super::tally::share;
use super::thresholds::{
    FED_SHARE, HIGH_EPISODES, SEPARATING_WORKERS, SHARED_CONNECTIONS, WIDTH_CONNECTIONS, WINNER_SHARE,
    WORKER_CPU, WORKER_SLEEPS,
};
use super::verdict::{Alternative, Confidence, Evidence, IoModel, IoVerdict, Kind, ServerVerdict};
use crate::snapshot::{Connection, Episodes, Snapshot, Thread};

/// One who serves.
#[derive(Clone, Copy)]
struct Server<'a> {
    thread: &'a Thread,
    /// Episodes as a loop, and bound to one connection.
    loops: u64,
    bound: u64,
    /// Connections served, as far as seen.
    connections: u64,
}

impl<'a> Server<'a> {
    fn of(thread: &'a Thread) -> Option<Server<'a>> {
        let mut sum = Episodes::default();
        for side in [Side::Server, Side::Datagram] {
            thread.episodes.get(&side).into_iter().for_each(|e| sum.add(e));
        }
        let (loops, bound) = (looped(&sum), sum.slept + sum.ready_narrow);
        let connections = sum.connections.max(thread.accepts.accepted);
        (loops + bound > 0).then_some(Server { thread, loops, bound, connections })
    }
}

/// The verdict on `snapshot`, whose I/O model is `io_model`.
pub fn decide(snapshot: &Snapshot, io_model: &IoVerdict) -> ServerVerdict {
    let servers: Vec<Server> = snapshot.threads.iter().filter_map(Server::of).collect();
    if servers.is_empty() {
        return nobody_serves(snapshot, io_model);
    }
    let (loops, bound): (u64, u64) =
        servers.iter().fold((0, 0), |(l, b), server| (l + server.loops, b + server.bound));
    let total = loops + bound;
    let unclear = matches!(io_model.name, IoModel::Inconclusive | IoModel::Mixed) || total < HIGH_EPISODES;
    if unclear {
        let why = format!("{total} waits for data of those who serve were seen, {loops} of them in loops.");
        return undecided(&[], evidence("episodes", why, total as f64, Some(HIGH_EPISODES as f64), false));
    }
    if share(loops, total) >= WINNER_SHARE {
        // A loop for each connection (over its socket and a child's pipes) is a worker bound to that connection.
        let (threads, connections) =
            servers.iter().fold((0, 0), |(t, c), s| (t + s.thread.count, c + s.connections));
        if servers.len() >= 2 && connections <= threads {
            let bound = servers.iter().map(|s| Server { loops: 0, bound: s.loops + s.bound, ..*s });
            return by_workers(snapshot, io_model, &bound.collect::<Vec<_>>());
        }
        return in_loops(snapshot, io_model, &servers);
    }
    if share(bound, total) >= WINNER_SHARE {
        return by_workers(snapshot, io_model, &servers);
    }
    let why = format!("{loops} of {total} waits for data were in loops, the others bound to one connection.");
    undecided(&[], evidence("loops", why, share(loops, total), Some(WINNER_SHARE), false))
}

fn nobody_serves(snapshot: &Snapshot, io_model: &IoVerdict) -> ServerVerdict {
    if io_model.qualifier.as_deref() == Some(storage::QUALIFIER) {
        let why = "No receive, no accept, and no wait for a connection: it serves nobody.".to_owned();
        return named("none", Some(Confidence::Medium), evidence("no-network", why, 0.0, Some(1.0), true));
    }
    let accepted: u64 = snapshot.threads.iter().map(|t| t.accepts.accepted).sum();
    let seen = connections_seen(snapshot, accepted);
    let why = format!("Nobody waited for a connection and then received on it; {seen}.");
    undecided(&[], evidence("no-episodes", why, 0.0, Some(1.0), false))
}

/// Connections of the window in words: most of a server's are often older than it.
fn connections_seen(snapshot: &Snapshot, accepted: u64) -> String {
    let older = |c: &&Connection| matches!(c.side, Side::Server) && !c.accepted;
    let others = snapshot.connections.iter().filter(older).count() as u64;
    let accepts = counted(accepted, "connection was accepted", "connections were accepted");
    match (accepted, others) {
        (_, 0) => accepts,
        (0, n) => format!("no accept was seen, and data came on {}", counted(n, "connection", "connections")),
        (_, n) => format!("{accepts}, and data came on {}", counted(n, "other", "others")),
    }
}

/// One thread serves many connections in a loop, or several do.
fn in_loops(snapshot: &Snapshot, io_model: &IoVerdict, servers: &[Server]) -> ServerVerdict {
    let in_loops = servers.iter().filter(|s| s.loops > s.bound);
    let (loops, fed): (Vec<&Server>, Vec<&Server>) = in_loops.partition(|s| waits_itself(s.thread));
    let count = loops.len() as u64;
    let connections: u64 = loops.iter().map(|s| s.connections).sum();
    let sure = io_model.confidence == Some(Confidence::High) && connections >= WIDTH_CONNECTIONS;
    let confidence = Some(if sure { Confidence::High } else { Confidence::Medium });
    let why = format!("{count} {} served {connections} connections in loops.", plural(count, "thread"));
    let first = evidence("loops", why, count as f64, None, true);
    let by_others = share(fed.iter().map(|s| s.loops).sum(), servers.iter().map(|s| s.loops).sum());
    if by_others >= FED_SHARE {
        let why = format!("{} threads received what others had waited for.", fed.len());
        let verdict = named("reactor-with-workers", Some(Confidence::Medium), first);
        return with(verdict, evidence("fed", why, by_others, Some(FED_SHARE), true));
    }
    if loops.is_empty() {
        return undecided(&[], Evidence { supports: false, ..first });
    }
    if io_model.name == IoModel::Asynchronous {
        return ServerVerdict { count: Some(count), ..named("proactor", confidence, first) };
    }
    if count == 1 {
        let (worked, sleeps) = others_work(snapshot, loops[0].thread);
        if worked < WORKER_CPU {
            return named("single-reactor", confidence, first);
        }
        let why = format!(
            "Other threads spent {:.0} % of its process's CPU time, and slept {sleeps:.1} times for each receive.",
            worked * 100.0
        );
        let handed = sleeps >= WORKER_SLEEPS;
        let second = evidence("workers", why, sleeps, Some(WORKER_SLEEPS), handed);
        let name = if handed { "reactor-with-workers" } else { "single-reactor" };
        return with(named(name, Some(Confidence::Medium), first), second);
    }
    let (shared, listed) = handed_over(snapshot);
    let why = format!("{shared} of {listed} connections were received from by several threads.");
    let part = share(shared, listed);
    if part >= SHARED_CONNECTIONS {
        let verdict = named("reactor-with-workers", confidence, first);
        let verdict = ServerVerdict { qualifier: Some("shared-poller".to_owned()), ..verdict };
        return with(verdict, evidence("handovers", why, part, Some(SHARED_CONNECTIONS), true));
    }
    let verdict =
        named("multi-reactor", if shared == 0 { confidence } else { Some(Confidence::Medium) }, first);
    let verdict = ServerVerdict { units: Some(units(&loops).to_owned()), count: Some(count), ..verdict };
    with(verdict, evidence("handovers", why, part, Some(SHARED_CONNECTIONS), true))
}

/// Whether a thread asks or waits for what it receives, rather than being fed by another one.
fn waits_itself(thread: &Thread) -> bool {
    let r = &thread.receives;
    thread.readiness.calls + r.completed + r.signalled + r.polled > 0
}

/// Workers that are bound to one connection at a time.
fn by_workers(snapshot: &Snapshot, io_model: &IoVerdict, servers: &[Server]) -> ServerVerdict {
    let workers: Vec<&Server> = servers.iter().filter(|s| s.bound > 0).collect();
    let count: u64 = workers.iter().map(|s| s.thread.count).sum();
    let units = units(&workers);
    let sum = |pick: &dyn Fn(&Server) -> bool| -> u64 {
        workers.iter().filter(|s| pick(s)).map(|s| s.thread.count).sum()
    };
    let born = sum(&|s| s.thread.born && s.connections <= s.thread.count && !accepts(s.thread));
    let again = sum(&|s| s.connections > s.thread.count);
    let accepting = sum(&|s| accepts(s.thread));
    let why = format!(
        "{count} {} served: {born} were born in the window for the one connection that they served, {again} served a \
         second one, {accepting} accepted themselves.",
        plural(count, units)
    );
    let first = evidence("workers", why, count as f64, None, true);
    let high = io_model.confidence == Some(Confidence::High);
    let confidence = |seen: u64| {
        Some(if high && seen >= SEPARATING_WORKERS { Confidence::High } else { Confidence::Medium })
    };
    let (each, pool) = match units {
        "process" => ("process-per-connection", "process-pool"),
        _ => ("thread-per-connection", "thread-pool"),
    };
    let spread = |name, confidence| ServerVerdict {
        units: Some(units.to_owned()),
        count: Some(count),
        ..named(name, confidence, first.clone())
    };
    let only = workers[0];
    let idle = idle_acceptors(snapshot, servers);
    if count == 1 && only.connections >= 2 && accepts(only.thread) && idle == 0 {
        return named("iterative", confidence(only.connections), first);
    }
    if born >= SEPARATING_WORKERS && born >= 2 * (again + accepting) {
        return spread(each, confidence(born));
    }
    // Who takes a second connection, or takes connections himself beside others who do, is one of a pool.
    let pooled = again.max(accepting);
    if count >= 2 && pooled >= 2 && pooled >= 2 * born {
        return spread(pool, confidence(pooled));
    }
    if idle >= 2 && born == 0 {
        let why = format!("{idle} more wait to accept a connection.");
        let verdict = spread(pool, Some(Confidence::Medium));
        return with(verdict, structure("idle-acceptors", why, idle as f64, 2.0));
    }
    if units == "process" && accepting + again == 0 && only_others_listen(snapshot, &workers) {
        let why = "None of them holds a listener; another process does.".to_owned();
        let verdict = spread(each, Some(Confidence::Medium));
        return with(verdict, structure("listener", why, count as f64, 1.0));
    }
    let candidates: &[&str] = if count == 1 { &["iterative", each, pool] } else { &[each, pool] };
    undecided(candidates, Evidence { supports: false, ..first })
}

/// Whether a thread takes connections itself.
fn accepts(thread: &Thread) -> bool {
    thread.accepts.calls > 0 || thread.ns(Account::WaitAccept) > 0
}

/// Threads that wait to accept and serve nobody.
fn idle_acceptors(snapshot: &Snapshot, servers: &[Server]) -> u64 {
    let serving: BTreeSet<u32> = servers.iter().map(|s| s.thread.tid).collect();
    snapshot.threads.iter().filter(|t| t.alive && accepts(t) && !serving.contains(&t.tid)).count() as u64
}

/// Whether listeners are held, and by none of the workers' processes.
fn only_others_listen(snapshot: &Snapshot, workers: &[&Server]) -> bool {
    let listens = |pid: u32| snapshot.processes.iter().find(|p| p.pid == pid).and_then(|p| p.listens);
    let known = workers.iter().all(|s| !s.thread.alive || listens(s.thread.pid) == Some(false));
    known && snapshot.processes.iter().any(|p| p.listens == Some(true))
}

/// What the workers are: processes, if no two of them share one.
fn units(servers: &[&Server]) -> &'static str {
    let processes: BTreeSet<u32> = servers.iter().map(|s| s.thread.pid).collect();
    if servers.len() > 1 && processes.len() == servers.len() { "process" } else { "thread" }
}

/// Of the other threads of a loop's process, those of the kernel left out: their share of its CPU time, and their sleeps
/// for each receive of the loop.
fn others_work(snapshot: &Snapshot, one: &Thread) -> (f64, f64) {
    let others = snapshot.threads.iter().filter(|t| t.pid == one.pid && t.tid != one.tid && !t.kernel_io);
    let (cpu_ns, sleeps) = others.fold((0, 0), |(ns, n), t| (ns + t.on_cpu_ns(), n + t.sleeps));
    (share(cpu_ns, one.on_cpu_ns() + cpu_ns), share(sleeps, one.receives.with_data))
}

/// Connections of the server side that several threads received from, and all.
fn handed_over(snapshot: &Snapshot) -> (u64, u64) {
    let served = snapshot.connections.iter().filter(|c| c.side == Side::Server && c.episodes > 0);
    served.fold((0, 0), |(shared, all), c| (shared + u64::from(c.handovers > 0), all + 1))
}

fn named(name: &str, confidence: Option<Confidence>, why: Evidence) -> ServerVerdict {
    ServerVerdict {
        name: name.to_owned(),
        qualifier: None,
        units: None,
        count: None,
        confidence,
        alternatives: Vec::new(),
        evidence: vec![why],
    }
}

fn with(mut verdict: ServerVerdict, why: Evidence) -> ServerVerdict {
    verdict.evidence.push(why);
    verdict
}

fn undecided(candidates: &[&str], why: Evidence) -> ServerVerdict {
    let alternative = |name: &&str| Alternative { name: (*name).to_owned(), share: None };
    ServerVerdict {
        alternatives: candidates.iter().map(alternative).collect(),
        ..named("inconclusive", None, why)
    }
}

fn structure(code: &str, text: String, measured: f64, threshold: f64) -> Evidence {
    Evidence { kind: Kind::Structure, ..evidence(code, text, measured, Some(threshold), true) }
}

fn evidence(code: &str, text: String, measured: f64, threshold: Option<f64>, supports: bool) -> Evidence {
    Evidence { code: code.to_owned(), text, measured, threshold, kind: Kind::Behaviour, supports }
}

fn plural(n: u64, unit: &str) -> String {
    match (n, unit) {
        (1, _) => unit.to_owned(),
        (_, "process") => "processes".to_owned(),
        _ => format!("{unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::classify;
    use crate::report::sample;
    use crate::snapshot::Readiness;
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
        assert_eq!(
            (&*four.name, four.units.as_deref(), four.count),
            ("multi-reactor", Some("thread"), Some(4))
        );
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
        assert_eq!((&*born.name, born.confidence), ("thread-per-connection", Some(Confidence::High)));
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
}
