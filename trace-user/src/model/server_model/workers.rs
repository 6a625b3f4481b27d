//! Workers that are bound to one connection at a time.

use super::crew::{self, Server};
use super::{Case, evidence, named, plural, structure, undecided, with};
use crate::model::tally::share;
use crate::model::thresholds::{SEPARATING_WORKERS, SHARED_CONNECTIONS};
use crate::model::verdict::{Confidence, Evidence, ServerVerdict};

/// The workers of a case, and what was seen of their lives.
struct Workers<'a> {
    list: Vec<&'a Server<'a>>,
    /// `thread` or `process`.
    units: &'static str,
    count: u64,
    /// Born in the window for the one connection that they served.
    born: u64,
    /// … and ended in it.
    ended: u64,
    /// Served a second connection.
    again: u64,
    /// Accept themselves.
    accepting: u64,
}

impl<'a> Workers<'a> {
    fn of(case: Case<'a>, list: Vec<&'a Server<'a>>) -> Workers<'a> {
        let units = crew::units(case.snapshot, &list);
        let sum = |pick: &dyn Fn(&Server) -> bool| -> u64 {
            list.iter().filter(|s| pick(s)).map(|s| s.count()).sum()
        };
        let begun = sum(&|s| s.thread.born);
        // Somebody else accepted about as many connections as workers were born.
        let by_others = crew::handed(case.snapshot, case.servers);
        let handed = begun > 0 && by_others * 2 >= begun;
        // Threads that are born for each message outnumber the connections.
        let first: u64 = list.iter().filter(|s| s.thread.born).map(|s| s.first).sum();
        let explained = (by_others + first) * 2 >= begun;
        let born = |s: &Server| explained && s.is_born_for_one(handed);
        Workers {
            units,
            count: sum(&|_| true),
            born: sum(&born),
            ended: sum(&|s| born(s) && !s.thread.alive),
            again: sum(&|s| !born(s) && s.connections() > s.thread.count),
            accepting: sum(&|s| !born(s) && crew::accepts(s.thread)),
            list,
        }
    }

    /// The names of a worker for each connection, and of a pool.
    fn names(&self) -> (&'static str, &'static str) {
        match self.units {
            "process" => ("process-per-connection", "process-pool"),
            _ => ("thread-per-connection", "thread-pool"),
        }
    }

    fn first(&self) -> Evidence {
        let Workers { count, born, ended, again, accepting, units, .. } = self;
        let why = format!(
            "{count} {} served: {born} were born in the window for the one connection that they served, {ended} of these \
             ended in it, {again} served a second one, {accepting} accepted themselves.",
            plural(*count, units)
        );
        evidence("workers", why, *count as f64, None, true)
    }

    fn spread(&self, name: &str, confidence: Confidence) -> ServerVerdict {
        ServerVerdict {
            units: Some(self.units.to_owned()),
            count: Some(self.count),
            ..named(name, Some(confidence), self.first())
        }
    }

    /// A worker for each connection, if enough were born. Threads of a pool that grows are born, too, but do not end.
    fn each(&self, high: bool) -> Option<ServerVerdict> {
        let seen = self.born >= SEPARATING_WORKERS && self.born >= 2 * (self.again + self.accepting);
        let told = if self.units == "process" { self.born } else { self.ended };
        let sure = high && told >= SEPARATING_WORKERS;
        seen.then(|| self.spread(self.names().0, if sure { Confidence::High } else { Confidence::Medium }))
    }
}

/// Workers that were born in the window for the one connection that they served.
pub fn born_for_one(case: Case) -> u64 {
    Workers::of(case, case.servers.iter().collect()).born
}

/// Each connection has a thread or process that serves nothing else, whichever way it waits.
pub fn each_with_its_own(case: Case) -> ServerVerdict {
    let workers = Workers::of(case, case.servers.iter().collect());
    let (each, pool) = workers.names();
    if let Some(verdict) = workers.each(case.io_model.confidence == Some(Confidence::High)) {
        return verdict;
    }
    let apart = workers.units == "process" && workers.accepting + workers.again == 0;
    let asleep = crew::asleep_in_readiness(case.snapshot, case.servers);
    if apart
        && asleep == 0
        && workers.count >= SEPARATING_WORKERS
        && crew::only_others_listen(case.snapshot, &workers.list)
    {
        return with(workers.spread(each, Confidence::Low), not_listening(workers.count));
    }
    undecided(&[each, pool, "multi-reactor"], Evidence { supports: false, ..workers.first() })
}

fn not_listening(count: u64) -> Evidence {
    let why = "None of them holds a listener; another process does.".to_owned();
    structure("listener", why, count as f64, 1.0)
}

/// Workers that wait for one connection at a time.
pub fn bound(case: Case) -> ServerVerdict {
    let list: Vec<&Server> = case.servers.iter().filter(|s| s.bound >= s.loops).collect();
    let workers = Workers::of(case, list);
    let (each, pool) = workers.names();
    let high = case.io_model.confidence == Some(Confidence::High);
    let sure =
        |seen: u64| if high && seen >= SEPARATING_WORKERS { Confidence::High } else { Confidence::Medium };
    let idle = crew::idle_acceptors(case.snapshot, case.servers);
    let only = workers.list[0];
    if workers.count == 1 && only.connections() >= 2 && crew::accepts(only.thread) && idle == 0 {
        return named("iterative", Some(sure(only.connections())), workers.first());
    }
    let (shared, all) = crew::handed_over(case.snapshot);
    if share(shared, all) >= SHARED_CONNECTIONS && workers.count >= 2 {
        let why = format!("{shared} of {all} connections went back and forth between them.");
        let handed = evidence("handovers", why, share(shared, all), Some(SHARED_CONNECTIONS), true);
        return with(workers.spread(pool, Confidence::Medium), handed);
    }
    if let Some(verdict) = workers.each(high) {
        return verdict;
    }
    // Who takes a second connection, or takes connections himself beside others who do, is one of a pool.
    let pooled = workers.again.max(workers.accepting);
    if workers.count >= 2 && pooled >= 2 && pooled >= 2 * workers.born {
        return workers.spread(pool, sure(pooled));
    }
    by_who_stands_by(case, &workers, idle).unwrap_or_else(|| {
        let candidates: &[&str] = if workers.count == 1 { &["iterative", each, pool] } else { &[each, pool] };
        undecided(candidates, Evidence { supports: false, ..workers.first() })
    })
}

/// Nothing was born, and nobody took a second connection: what those do who serve nobody, and who holds the listener.
fn by_who_stands_by(case: Case, workers: &Workers, idle: u64) -> Option<ServerVerdict> {
    let (each, pool) = workers.names();
    if workers.born > 0 {
        return None;
    }
    if idle >= 2 {
        return Some(one_of_a_pool(case, workers, idle));
    }
    let alone = workers.accepting + workers.again == 0;
    if workers.units == "process" && alone && crew::only_others_listen(case.snapshot, &workers.list) {
        return Some(with(workers.spread(each, Confidence::Medium), not_listening(workers.count)));
    }
    // Of a target that has ended nobody waits for anything.
    let none = workers.list.iter().any(|s| s.thread.alive)
        && crew::all_listen(case.snapshot, &workers.list)
        && !crew::somebody_waits_to_accept(case.snapshot, case.servers);
    none.then(|| {
        let why = "Nobody else waits for the next connection: they must take it themselves.".to_owned();
        let verdict = match workers.count {
            1 => named("iterative", Some(Confidence::Medium), workers.first()),
            _ => workers.spread(pool, Confidence::Medium),
        };
        with(verdict, structure("nobody-accepts", why, 0.0, 1.0))
    })
}

fn waiting(verdict: ServerVerdict, idle: u64) -> ServerVerdict {
    let why = format!("{idle} more wait to accept a connection.");
    with(verdict, structure("idle-acceptors", why, idle as f64, 2.0))
}

/// A pool, most of which may be asleep in accept; what a single worker is spread over, those say who stand by.
fn one_of_a_pool(case: Case, workers: &Workers, idle: u64) -> ServerVerdict {
    let apart = workers.list.len() == 1 && crew::idle_acceptors_elsewhere(case.snapshot, case.servers) >= 2;
    let (name, units) = if apart { ("process-pool", "process") } else { (workers.names().1, workers.units) };
    let verdict = ServerVerdict { units: Some(units.to_owned()), ..workers.spread(name, Confidence::Medium) };
    waiting(verdict, idle)
}

/// The I/O model is open between a loop with one connection and a wait for one: loops do not sleep in accept.
pub fn pool_with_idle_members(case: Case) -> ServerVerdict {
    let workers = Workers::of(case, case.servers.iter().collect());
    let idle = crew::asleep_in_accept(case.snapshot, case.servers);
    if idle >= 2 && workers.born == 0 {
        return one_of_a_pool(case, &workers, idle);
    }
    let (each, pool) = workers.names();
    undecided(&["single-reactor", each, pool], Evidence { supports: false, ..workers.first() })
}
