//! The verdict on how a target waits for the disk, kept apart from how it waits for the network.

use std::collections::BTreeMap;

use trace_common::account::Account;

use super::io_model::{Limits, evidence, limits_met, others};
use super::tally::share;
use super::thresholds::{HIGH_EPISODES, HIGH_LOWER_BOUND, WINNER_SHARE};
use super::verdict::{Confidence, Evidence, IoModel, IoVerdict, Kind};
use super::wilson;
use crate::snapshot::{Storage, Thread};

/// What [`IoVerdict::qualifier`] says where there is no network to judge by, and the verdict is that on files.
pub const QUALIFIER: &str = "storage";

/// What some threads did with files.
#[derive(Clone, Debug, Default)]
struct Sums {
    all: Storage,
    /// The call of the thread that slept most often for the disk, and how often.
    call: Option<(u64, String)>,
    lived_ns: u64,
    unknown_ns: u64,
    events: u64,
}

impl Sums {
    fn of<'a>(threads: impl Iterator<Item = &'a Thread>) -> Sums {
        let mut sums = Sums::default();
        for thread in threads.filter(|t| t.storage != Storage::default()) {
            sums.all.add(&thread.storage);
            if let Some(name) = &thread.storage_syscall
                && sums.call.as_ref().is_none_or(|(slept, _)| thread.storage.slept > *slept)
            {
                sums.call = Some((thread.storage.slept, name.clone()));
            }
            sums.lived_ns += thread.lived_ns;
            sums.unknown_ns += thread.unseen_ns();
            sums.events += thread.sleeps + thread.preemptions;
        }
        sums
    }

    /// Requests of POSIX aio. glibc has helper threads that block on behalf of their caller; their sleeps are its
    /// implementation, and its signals are how the caller is told.
    fn posix(&self) -> u64 {
        self.all.aio_signals
    }

    fn blocking(&self) -> u64 {
        self.all.slept.saturating_sub(self.posix())
    }

    fn asynchronous(&self) -> u64 {
        self.all.ring.total() + self.all.aio_completed + self.posix()
    }
}

/// Whether these threads do nothing with a network: no receive, no accept, and no wait over a peer, over a listener, or
/// over what could not be seen because the wait has not ended.
pub fn alone<'a>(mut threads: impl Iterator<Item = &'a Thread>) -> bool {
    threads.all(|t| {
        let r = &t.readiness;
        let waits = r.width_listeners + r.width_one + r.width_datagram + r.width_many;
        let unseen = r.width_unknown >= r.width_none && t.ns(Account::WaitReady) > 0;
        let asleep = t.ns(Account::WaitAccept) + t.ns(Account::WaitData) > 0;
        t.receives.calls + t.accepts.calls + waits == 0 && !unseen && !asleep
    })
}

/// The verdict on how `threads` wait for the disk; `None` if they did not.
pub fn decide<'a>(threads: impl Iterator<Item = &'a Thread>, limits: Limits) -> Option<IoVerdict> {
    let sums = Sums::of(threads);
    let (blocking, asynchronous) = (sums.blocking(), sums.asynchronous());
    let decided = blocking + asynchronous;
    if decided == 0 {
        return None;
    }
    let (winner, hits) = if asynchronous > blocking {
        (IoModel::Asynchronous, asynchronous)
    } else {
        (IoModel::Blocking, blocking)
    };
    let shares = BTreeMap::from([
        (IoModel::Blocking, share(blocking, decided)),
        (IoModel::Asynchronous, share(asynchronous, decided)),
    ]);
    let lower = wilson::lower_bound(hits, decided);
    let name = if share(hits, decided) >= WINNER_SHARE { winner } else { mixed(decided) };
    let mut list = vec![requests(&sums, hits, decided, lower, winner), structure(&sums, winner)];
    let structure_agrees = list[1].supports;
    let met = limits_met(limits, (sums.unknown_ns, sums.lived_ns), sums.events, &mut list);
    let by_signal = sums.posix() * 2 > asynchronous && winner == IoModel::Asynchronous;
    let confidence = match name {
        IoModel::Inconclusive => None,
        IoModel::Mixed => Some(Confidence::Medium),
        _ if lower < HIGH_LOWER_BOUND => Some(Confidence::Low),
        _ if decided < HIGH_EPISODES || !structure_agrees || !met || by_signal => Some(Confidence::Medium),
        _ => Some(Confidence::High),
    };
    Some(IoVerdict {
        name,
        caller: name.caller().map(str::to_owned),
        callee: name.callee().map(str::to_owned),
        mechanism: mechanism(&sums, name),
        qualifier: None,
        alternatives: others(&shares, name),
        shares,
        confidence,
        evidence: list,
        settle: (confidence != Some(Confidence::High) && !by_signal).then(|| {
            "More reads that miss the page cache while trace is attached would settle it.".to_owned()
        }),
        upstream: None,
        storage: None,
    })
}

fn mixed(decided: u64) -> IoModel {
    if decided >= HIGH_EPISODES { IoModel::Mixed } else { IoModel::Inconclusive }
}

fn mechanism(sums: &Sums, name: IoModel) -> Option<String> {
    let ways = [
        ("io_uring", sums.all.ring.total()),
        ("libaio", sums.all.aio_completed),
        ("posix-aio", sums.posix()),
    ];
    match name {
        IoModel::Asynchronous => ways.into_iter().max_by_key(|(_, n)| *n).map(|(way, _)| way.to_owned()),
        IoModel::Blocking => sums.call.as_ref().map(|(_, call)| call.clone()),
        _ => None,
    }
}

fn requests(sums: &Sums, hits: u64, decided: u64, lower: f64, winner: IoModel) -> Evidence {
    let how = if winner == IoModel::Asynchronous {
        "were completed and then announced"
    } else {
        "slept for the disk inside the call"
    };
    let ring = sums.all.ring;
    let mut text =
        format!("{hits} of {decided} reads and writes of files {how} (95 % lower bound {lower:.2})");
    if winner == IoModel::Asynchronous && ring.total() > 0 {
        text += &format!("; by io_uring {}, of which {} by io-wq", ring.total(), ring.queued);
    }
    text.push('.');
    let enough = decided >= HIGH_EPISODES && lower >= HIGH_LOWER_BOUND;
    evidence("storage-requests", text, lower, Some(HIGH_LOWER_BOUND), Kind::Behaviour, enough)
}

fn structure(sums: &Sums, winner: IoModel) -> Evidence {
    let submitted = sums.all.ring.total() + sums.all.aio_submitted + sums.posix();
    let text = format!("{submitted} requests on files went through io_uring, io_submit or POSIX aio.");
    let supports = (submitted > 0) == (winner == IoModel::Asynchronous);
    evidence("storage-submitted", text, submitted as f64, None, Kind::Structure, supports)
}
