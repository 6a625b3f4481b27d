//! One thread serves many connections in a loop, or several do.

use super::crew::{self, Server};
use super::{Case, evidence, named, plural, structure, undecided, with};
use crate::model::tally::share;
use crate::model::thresholds::{
    FED_SHARE, SHARED_CONNECTIONS, WIDTH_CONNECTIONS, WORKER_CPU, WORKER_RECEIVES_PER_SECOND, WORKER_SLEEPS,
};
use crate::model::verdict::{Confidence, Evidence, IoModel, ServerVerdict};

/// The loops of a case.
struct Loops<'a> {
    /// Those that wait themselves.
    own: Vec<&'a Server<'a>>,
    /// Those that receive what others have waited for.
    fed: Vec<&'a Server<'a>>,
    /// Connections served.
    connections: u64,
}

impl<'a> Loops<'a> {
    fn of(case: Case<'a>) -> Loops<'a> {
        let in_loops = case.servers.iter().filter(|s| s.loops > s.bound);
        let (own, fed): (Vec<&Server>, Vec<&Server>) = in_loops.partition(|s| crew::waits_itself(s.thread));
        let connections = own.iter().chain(&fed).map(|s| s.first).sum();
        Loops { own, fed, connections }
    }

    /// Share of the loops' episodes that ended in threads which never wait.
    fn fed_share(&self) -> f64 {
        let sum = |list: &[&Server]| list.iter().map(|s| s.loops).sum::<u64>();
        share(sum(&self.fed), sum(&self.own) + sum(&self.fed))
    }

    fn first(&self) -> Evidence {
        let count = self.own.len() as u64;
        let threads = plural(count, "thread");
        let why = format!("{count} {threads} served {} connections in loops.", self.connections);
        evidence("loops", why, count as f64, None, true)
    }

    /// As sure as the I/O model is, where there were enough connections to tell loops from others.
    fn confidence(&self, case: Case) -> Option<Confidence> {
        let sure =
            case.io_model.confidence == Some(Confidence::High) && self.connections >= WIDTH_CONNECTIONS;
        Some(if sure { Confidence::High } else { Confidence::Medium })
    }
}

/// Connections go back and forth between threads: one loop feeds the others, or all ask one poller.
pub fn shared(case: Case) -> ServerVerdict {
    let loops = Loops::of(case);
    let (shared, all) = crew::handed_over(case.snapshot);
    let why = format!("{shared} of {all} connections went back and forth between threads.");
    let handed = evidence("handovers", why, share(shared, all), Some(SHARED_CONNECTIONS), true);
    let waits = loops.fed_share() < 0.5;
    let verdict = ServerVerdict {
        qualifier: waits.then(|| "shared-poller".to_owned()),
        units: Some("thread".to_owned()),
        count: Some((loops.own.len() + loops.fed.len()) as u64),
        ..named("reactor-with-workers", loops.confidence(case), loops.first())
    };
    let verdict = with(verdict, handed);
    if waits { verdict } else { with(verdict, fed(&loops)) }
}

fn fed(loops: &Loops) -> Evidence {
    let why = format!("{} threads received what others had waited for.", loops.fed.len());
    evidence("fed", why, loops.fed_share(), Some(FED_SHARE), true)
}

/// Each connection stays with one thread.
pub fn own(case: Case) -> ServerVerdict {
    let loops = Loops::of(case);
    if loops.fed_share() >= FED_SHARE {
        let verdict = named("reactor-with-workers", Some(Confidence::Medium), loops.first());
        return with(verdict, fed(&loops));
    }
    if loops.own.is_empty() {
        return undecided(&[], Evidence { supports: false, ..loops.first() });
    }
    let count = loops.own.len() as u64;
    if case.io_model.name == IoModel::Asynchronous {
        return ServerVerdict {
            count: Some(count),
            ..named("proactor", loops.confidence(case), loops.first())
        };
    }
    let idle = crew::idle_loops(case.snapshot, case.servers).len() as u64;
    if count == 1 && idle == 0 { one(case, &loops) } else { several(case, &loops, idle) }
}

/// One loop: others of its process may work for it, and others that sleep may be loops, too.
fn one(case: Case, loops: &Loops) -> ServerVerdict {
    let only = loops.own[0].thread;
    let asleep = crew::asleep_in_readiness(case.snapshot, case.servers);
    let why = format!("{asleep} more sleep in a readiness call, and served nobody.");
    let asleep_too = Evidence { supports: false, ..structure("idle-loops", why, asleep as f64, 1.0) };
    let few = loops.connections < WIDTH_CONNECTIONS && only.readiness.width_datagram == 0;
    if few && crew::may_have_others(case.snapshot, case.servers, only) {
        let apart = !case.snapshot.pids.contains(&only.pid);
        let each = if apart { "process-per-connection" } else { "reactor-with-workers" };
        let candidates = ["single-reactor", "multi-reactor", each];
        return with(undecided(&candidates, Evidence { supports: false, ..loops.first() }), asleep_too);
    }
    let confidence = loops.confidence(case);
    let (worked, sleeps) = crew::others_work(case.snapshot, only);
    if worked < WORKER_CPU {
        let verdict = named("single-reactor", confidence, loops.first());
        if asleep == 0 {
            return verdict;
        }
        let verdict = ServerVerdict { confidence: confidence.min(Some(Confidence::Medium)), ..verdict };
        return with(verdict, asleep_too);
    }
    let handed = sleeps >= WORKER_SLEEPS;
    let second = workers(worked, sleeps, handed);
    let seconds = case.snapshot.window.duration_ns as f64 / 1e9;
    if handed && (only.receives.with_data as f64) < WORKER_RECEIVES_PER_SECOND * seconds {
        let candidates = ["single-reactor", "reactor-with-workers"];
        return with(undecided(&candidates, loops.first()), Evidence { supports: false, ..second });
    }
    let name = if handed { "reactor-with-workers" } else { "single-reactor" };
    with(named(name, Some(Confidence::Medium), loops.first()), second)
}

fn workers(worked: f64, sleeps: f64, handed: bool) -> Evidence {
    let why = format!(
        "Other threads spent {:.0} % of its process's CPU time, and slept {sleeps:.1} times for each receive.",
        worked * 100.0
    );
    evidence("workers", why, sleeps, Some(WORKER_SLEEPS), handed)
}

/// Several loops, each with connections of its own; `idle` ones had none.
fn several(case: Case, loops: &Loops, idle: u64) -> ServerVerdict {
    let (shared, all) = crew::handed_over(case.snapshot);
    let why = format!("{shared} of {all} connections went back and forth between threads.");
    let kept = evidence("handovers", why, share(shared, all), Some(SHARED_CONNECTIONS), true);
    let sure = shared == 0 && loops.own.len() > 1;
    let confidence = if sure { loops.confidence(case) } else { Some(Confidence::Medium) };
    let units = if idle > 0 { "process" } else { crew::units(case.snapshot, &loops.own) };
    let verdict = ServerVerdict {
        units: Some(units.to_owned()),
        count: Some(loops.own.len() as u64 + idle),
        ..named("multi-reactor", confidence, loops.first())
    };
    let verdict = with(verdict, kept);
    if idle == 0 {
        return verdict;
    }
    let why =
        format!("{idle} more processes hold a listener, sleep in a readiness call, and had no connection.");
    with(verdict, structure("idle-loops", why, idle as f64, 1.0))
}
