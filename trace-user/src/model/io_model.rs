//! The verdict on an I/O model.

use std::collections::BTreeMap;

use super::tally::{Tally, share};
use super::thresholds::{
    HIGH_EPISODES, HIGH_LOWER_BOUND, LOSS_TOLERANCE, LOW_LEAD, MOSTLY_UNDECIDED, NARROW_SHARE,
    SPIN_THEN_SLEEP, UNDECIDED_SHARE, WIDTH_CONNECTIONS, WINNER_SHARE,
};
use super::verdict::{Alternative, Confidence, Evidence, IoModel, IoVerdict, Kind};
use super::{counted, wilson};

/// The models that episodes can name.
const MODELS: [IoModel; 5] = [
    IoModel::Blocking,
    IoModel::Nonblocking,
    IoModel::Multiplexing,
    IoModel::SignalDriven,
    IoModel::Asynchronous,
];

/// What lies outside the tally and limits how sure a verdict may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Losses that can touch a verdict.
    pub losses: u64,
    /// Threads that were not measured at all.
    pub threads_missed: u64,
    /// Whether the canary was seen exactly; `None` if nothing of it was seen.
    pub canary: Option<bool>,
    /// Whether it was measured in a lesser tier than `full`.
    pub below_full: bool,
    /// Whether signals were traced.
    pub signals_seen: bool,
    /// Hooks that are not there and without which one of the models cannot be seen.
    pub hooks_missing: usize,
    /// Whether the sides that decide are those of a server; if not, the verdict is that of a client.
    pub server_side: bool,
}

/// The verdict on what `tally` adds up.
pub fn decide(tally: &Tally, limits: Limits) -> IoVerdict {
    if limits.canary.is_none() {
        return blind();
    }
    if tally.never_waited() {
        return never_waited(tally);
    }
    if limits.below_full && tally.watched() {
        return watched(tally, limits);
    }
    let decided = tally.decided();
    if share(tally.undecided, tally.undecided + decided) > MOSTLY_UNDECIDED || decided == 0 {
        return nothing_seen(tally);
    }
    if narrow_is_undecided(tally) {
        return one_or_many(tally);
    }
    if told_by_signal(tally, limits) {
        return polling_or_signals(tally);
    }
    let mut counts: Vec<(IoModel, u64)> = MODELS.iter().map(|m| (*m, tally.episodes(*m))).collect();
    if spins_then_sleeps(tally) {
        fold_polled_into_multiplexing(&mut counts);
    }
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let (winner, hits) = counts[0];
    let next = counts[1].1;
    let shares: BTreeMap<IoModel, f64> = counts.iter().map(|(m, n)| (*m, share(*n, decided))).collect();
    if share(hits, decided) < WINNER_SHARE {
        return no_winner(tally, shares, hits, next);
    }
    named(tally, limits, winner, hits, next, shares)
}

fn named(
    tally: &Tally,
    limits: Limits,
    winner: IoModel,
    hits: u64,
    next: u64,
    shares: BTreeMap<IoModel, f64>,
) -> IoVerdict {
    let decided = tally.decided();
    let lower = wilson::lower_bound(hits, decided);
    let emulated = winner == IoModel::Blocking && tally.narrow > tally.slept;
    let mut evidence = behaviour(tally, winner, hits, lower);
    let structure = structure(tally, winner, emulated);
    let agrees = structure.iter().any(|e| e.supports) && structure.iter().all(|e| e.supports);
    let contradicts = structure.iter().any(|e| !e.supports);
    evidence.extend(structure);
    let limits_met = limits_evidence(tally, limits, &mut evidence);
    let confidence = if lower < HIGH_LOWER_BOUND {
        (hits as f64 >= LOW_LEAD * next as f64).then_some(Confidence::Low)
    } else if decided >= HIGH_EPISODES && agrees && limits_met && tally.narrow_datagrams * 2 < hits {
        Some(Confidence::High)
    } else {
        Some(Confidence::Medium)
    };
    // What a lesser tier could not decide may have been the waits over several.
    let open =
        emulated && limits.below_full && share(tally.undecided, tally.undecided + decided) >= UNDECIDED_SHARE;
    let confidence = if open { confidence.min(Some(Confidence::Low)) } else { confidence };
    let confidence = if contradicts { confidence.min(Some(Confidence::Medium)) } else { confidence };
    let settle = (confidence != Some(Confidence::High)).then(|| {
        "More load from at least three connections while trace is attached would settle it.".to_owned()
    });
    IoVerdict {
        name: winner,
        caller: winner.caller().map(str::to_owned),
        callee: winner.callee().map(str::to_owned),
        mechanism: mechanism(tally, winner, emulated),
        qualifier: emulated.then(|| "emulated".to_owned()),
        alternatives: others(&shares, winner),
        shares,
        confidence,
        evidence,
        settle,
        upstream: None,
        storage: None,
    }
}

/// The models that had a share, but `winner`.
pub(super) fn others(shares: &BTreeMap<IoModel, f64>, winner: IoModel) -> Vec<Alternative> {
    shares
        .iter()
        .filter(|(model, share)| **model != winner && **share > 0.0)
        .map(|(model, share)| Alternative { name: model.name().to_owned(), share: Some(*share) })
        .collect()
}

/// Waits over one peer with too few connections: an epoll loop with one client and a private poll look alike.
fn narrow_is_undecided(tally: &Tally) -> bool {
    let few = tally.narrow_connections < WIDTH_CONNECTIONS;
    few && share(tally.narrow, tally.decided()) > 1.0 - WINNER_SHARE
}

/// Empty asks on connections whose owner asked for signals: a handler that drains a socket asks in vain, too. Where
/// signals are traced, the signal is what such an episode ends with.
fn told_by_signal(tally: &Tally, limits: Limits) -> bool {
    !limits.signals_seen
        && share(tally.polled, tally.decided()) > 1.0 - WINNER_SHARE
        && tally.o_async * 2 >= tally.listed.max(1)
}

/// Who asks in vain and then sleeps in a readiness wait multiplexes; polling is to ask without ever sleeping so.
fn spins_then_sleeps(tally: &Tally) -> bool {
    tally.polled > 0
        && tally.ready_slept as f64 >= SPIN_THEN_SLEEP * tally.polled as f64
        && tally.waits_many > 0
}

fn fold_polled_into_multiplexing(counts: &mut [(IoModel, u64)]) {
    let polled = counts.iter().find(|(m, _)| *m == IoModel::Nonblocking).map_or(0, |(_, n)| *n);
    for (model, n) in counts {
        match model {
            IoModel::Nonblocking => *n = 0,
            IoModel::Multiplexing => *n += polled,
            _ => {}
        }
    }
}

pub(super) fn empty(name: IoModel) -> IoVerdict {
    IoVerdict {
        name,
        caller: None,
        callee: None,
        mechanism: None,
        qualifier: None,
        shares: BTreeMap::new(),
        confidence: None,
        alternatives: Vec::new(),
        evidence: Vec::new(),
        settle: None,
        upstream: None,
        storage: None,
    }
}

fn blind() -> IoVerdict {
    let mut verdict = empty(IoModel::Inconclusive);
    verdict.evidence.push(evidence(
        "canary-unseen",
        "The probes saw none of the receives that trace did itself: they are blind here.".to_owned(),
        0.0,
        Some(1.0),
        Kind::Structure,
        false,
    ));
    verdict.settle = Some("Run `trace doctor`; nothing in this report is to be relied on.".to_owned());
    verdict
}

fn nothing_seen(tally: &Tally) -> IoVerdict {
    let mut verdict = empty(IoModel::Inconclusive);
    let text = if tally.undecided > 0 {
        let all = tally.undecided + tally.decided();
        format!("{} of {all} waits for data were of unknown width.", tally.undecided)
    } else {
        "Nobody waited for a connection and then received on it: there was no episode to judge by.".to_owned()
    };
    verdict.evidence.push(evidence("no-episodes", text, 0.0, Some(1.0), Kind::Behaviour, false));
    verdict.settle =
        Some("Send requests over at least three connections while trace is attached.".to_owned());
    verdict
}

/// One kind of evidence, the other silent: where data is always there already, how it is asked for tells how it would be
/// waited for.
fn never_waited(tally: &Tally) -> IoVerdict {
    let model = IoModel::Blocking;
    let unwatched = "No connection was seen in an epoll set, and nobody waited over several.".to_owned();
    let waited = format!(
        "{} receives found their data there, {} waited for it: too few waits to judge by.",
        tally.immediate,
        tally.decided()
    );
    let least = Some(HIGH_EPISODES as f64);
    IoVerdict {
        caller: model.caller().map(str::to_owned),
        callee: model.callee().map(str::to_owned),
        mechanism: mechanism(tally, model, false),
        confidence: Some(Confidence::Medium),
        evidence: vec![
            asked(tally, "asked by calls that may wait", tally.asked_blocking),
            evidence("unwatched", unwatched, 0.0, Some(1.0), Kind::Structure, true),
            evidence("immediate", waited, tally.decided() as f64, least, Kind::Behaviour, false),
        ],
        settle: Some(
            "A client that sends some milliseconds after it has connected would settle it.".to_owned(),
        ),
        ..empty(model)
    }
}

/// The same in a tier that sees only waits that slept: somebody waits over several peers, and no receive waits.
fn watched(tally: &Tally, limits: Limits) -> IoVerdict {
    let model = IoModel::Multiplexing;
    let (immediate, decided) = (tally.immediate, tally.decided());
    let found = format!(
        "{immediate} receives found their data there, {decided} waited for it or were seen to be announced."
    );
    let set = format!("{} of {} connections were in an epoll set.", tally.in_epoll, tally.listed);
    let asked = asked(tally, "asked without waiting", tally.asked_nonblocking);
    let in_sets = share(tally.in_epoll, tally.listed);
    let sure = asked.supports || in_sets >= WINNER_SHARE;
    let mut evidence = vec![
        all_waits(tally),
        evidence("watched", set, in_sets, Some(WINNER_SHARE), Kind::Structure, in_sets >= WINNER_SHARE),
        asked,
        evidence("immediate", found, immediate as f64, None, Kind::Behaviour, true),
    ];
    limits_evidence(tally, limits, &mut evidence);
    IoVerdict {
        caller: model.caller().map(str::to_owned),
        callee: model.callee().map(str::to_owned),
        mechanism: mechanism(tally, model, false),
        confidence: Some(if sure { Confidence::Medium } else { Confidence::Low }),
        evidence,
        settle: Some("Tier full sees what came before each receive: --tier full.".to_owned()),
        ..empty(model)
    }
}

fn all_waits(tally: &Tally) -> Evidence {
    let many = tally.all_waits_many;
    let text =
        format!("{many} readiness waits that slept were over two or more peers, or a listener and a peer.");
    evidence("width-many", text, many as f64, Some(1.0), Kind::Structure, many > 0)
}

fn one_or_many(tally: &Tally) -> IoVerdict {
    let mut verdict = empty(IoModel::Inconclusive);
    verdict.evidence.push(evidence(
        "one-peer-few-connections",
        format!(
            "{} of {} waits were over exactly one peer, but only {} seen: a loop with a single client and a thread that \
             waits on its only connection look alike.",
            tally.waits_one,
            tally.waits_one + tally.waits_many,
            were(tally.narrow_connections)
        ),
        tally.narrow_connections as f64,
        Some(WIDTH_CONNECTIONS as f64),
        Kind::Structure,
        false,
    ));
    verdict.alternatives = [IoModel::Blocking, IoModel::Multiplexing]
        .map(|model| Alternative { name: model.name().to_owned(), share: None })
        .to_vec();
    verdict.settle = Some("Three or more connections, at once or in turn, would settle it.".to_owned());
    verdict
}

fn polling_or_signals(tally: &Tally) -> IoVerdict {
    let mut verdict = empty(IoModel::Inconclusive);
    verdict.evidence.push(evidence(
        "o-async",
        format!(
            "{} of {} connections have O_ASYNC: their owner asked to be told by a signal.",
            tally.o_async, tally.listed
        ),
        share(tally.o_async, tally.listed),
        Some(0.5),
        Kind::Structure,
        false,
    ));
    verdict.alternatives = [IoModel::SignalDriven, IoModel::Nonblocking]
        .map(|model| Alternative { name: model.name().to_owned(), share: None })
        .to_vec();
    verdict.settle = Some("The hook signal_deliver is missing, so it cannot be settled here.".to_owned());
    verdict
}

fn no_winner(tally: &Tally, shares: BTreeMap<IoModel, f64>, hits: u64, next: u64) -> IoVerdict {
    let decided = tally.decided();
    let enough = decided >= HIGH_EPISODES;
    let mut verdict = empty(if enough { IoModel::Mixed } else { IoModel::Inconclusive });
    verdict.evidence.push(evidence(
        "no-model-carries",
        format!("The leading model has {hits} of {decided} episodes, the next {next}."),
        share(hits, decided),
        Some(WINNER_SHARE),
        Kind::Behaviour,
        enough,
    ));
    verdict.alternatives = others(&shares, verdict.name);
    verdict.confidence = enough.then_some(Confidence::Medium);
    verdict.settle = (!enough).then(|| "More load while trace is attached would settle it.".to_owned());
    verdict.shares = shares;
    verdict
}

fn behaviour(tally: &Tally, winner: IoModel, hits: u64, lower: f64) -> Vec<Evidence> {
    let decided = tally.decided();
    let how = match winner {
        IoModel::Blocking if tally.narrow > tally.slept => "waited on just that connection, then received",
        IoModel::Blocking => "slept inside the receive",
        IoModel::Nonblocking => "asked in vain at least twice in a row before data came",
        IoModel::Multiplexing => "received after a readiness call over several peers",
        IoModel::SignalDriven => "were told by a signal",
        IoModel::Asynchronous => "were told when the copy was done",
        IoModel::Mixed | IoModel::Inconclusive => "",
    };
    vec![
        evidence(
            "episodes",
            format!("{hits} of {decided} waits for data {how} (95 % lower bound {lower:.2})."),
            lower,
            Some(HIGH_LOWER_BOUND),
            Kind::Behaviour,
            lower >= HIGH_LOWER_BOUND,
        ),
        evidence(
            "episodes-enough",
            format!("{decided} waits for data were decided."),
            decided as f64,
            Some(HIGH_EPISODES as f64),
            Kind::Behaviour,
            decided >= HIGH_EPISODES,
        ),
    ]
}

fn structure(tally: &Tally, winner: IoModel, emulated: bool) -> Vec<Evidence> {
    match winner {
        IoModel::Blocking if emulated => vec![narrow(tally), connections(tally.narrow_connections)],
        IoModel::Blocking => vec![asked(tally, "asked by calls that may wait", tally.asked_blocking)],
        IoModel::Nonblocking => {
            vec![asked(tally, "asked without waiting", tally.asked_nonblocking), sleeping(tally)]
        }
        IoModel::Multiplexing => vec![wide(tally), connections(tally.connections)],
        IoModel::SignalDriven => {
            vec![asked(tally, "asked for signals (O_ASYNC)", tally.o_async), signals(tally)]
        }
        IoModel::Asynchronous => vec![rings(tally)],
        IoModel::Mixed | IoModel::Inconclusive => Vec::new(),
    }
}

fn signals(tally: &Tally) -> Evidence {
    let told = tally.fd_signals + tally.sigio_signals;
    let text = format!(
        "{told} signals of I/O were delivered or dequeued, {} of which named a descriptor (F_SETSIG).",
        tally.fd_signals
    );
    evidence("signals", text, told as f64, Some(1.0), Kind::Structure, told > 0)
}

fn rings(tally: &Tally) -> Evidence {
    let ways = tally.ring_receives;
    let text = format!(
        "{} receives were completed by {}: {} at once, {} after the kernel had waited, {} by io-wq.",
        ways.total(),
        if tally.rings == 1 { "one io_uring".to_owned() } else { format!("{} io_urings", tally.rings) },
        ways.inline,
        ways.armed,
        ways.queued
    );
    evidence("io-uring", text, tally.rings as f64, Some(1.0), Kind::Structure, tally.rings > 0)
}

fn narrow(tally: &Tally) -> Evidence {
    let narrow = tally.narrow_share();
    let (one, all) = (tally.waits_one, tally.waits_one + tally.waits_many);
    let text = format!("{one} of {all} readiness waits were over exactly one peer.");
    evidence("width-one", text, narrow, Some(NARROW_SHARE), Kind::Structure, narrow >= NARROW_SHARE)
}

fn wide(tally: &Tally) -> Evidence {
    let all = tally.waits_one + tally.waits_many;
    let text = format!(
        "{} of {all} readiness waits were over two or more peers, or a listener and a peer.",
        tally.waits_many
    );
    evidence("width-many", text, tally.waits_many as f64, Some(1.0), Kind::Structure, tally.waits_many > 0)
}

fn connections(seen: u64) -> Evidence {
    let enough = seen >= WIDTH_CONNECTIONS;
    let so = if enough { "so the width of a wait tells" } else { "too few for the width of a wait to tell" };
    let text = format!("{} waited for, {so}.", were(seen));
    evidence("connections", text, seen as f64, Some(WIDTH_CONNECTIONS as f64), Kind::Structure, enough)
}

/// `1 connection was`, `2 connections were`.
fn were(connections: u64) -> String {
    counted(connections, "connection was", "connections were")
}

fn asked(tally: &Tally, how: &str, hits: u64) -> Evidence {
    let hit = share(hits, tally.listed);
    let text = format!("{hits} of {} connections were {how}.", tally.listed);
    evidence("asked", text, hit, Some(WINNER_SHARE), Kind::Structure, hit >= WINNER_SHARE)
}

fn sleeping(tally: &Tally) -> Evidence {
    let rate = share(tally.ready_slept, tally.polled);
    let text = format!("{} readiness waits slept, for {} polled waits.", tally.ready_slept, tally.polled);
    evidence("sleeping-waits", text, rate, Some(SPIN_THEN_SLEEP), Kind::Structure, rate < SPIN_THEN_SLEEP)
}

/// What keeps a verdict below `high` although episodes and structure agree; adds only what speaks against.
fn limits_evidence(tally: &Tally, limits: Limits, list: &mut Vec<Evidence>) -> bool {
    let undecided = share(tally.undecided, tally.undecided + tally.decided());
    let all_decided = check(
        ("undecided", "Share of waits for data that could not be decided"),
        undecided,
        UNDECIDED_SHARE,
        list,
    );
    let of_server = check(
        ("client-side", "No connection of a server was seen: judged by the others"),
        f64::from(u8::from(!limits.server_side)),
        0.5,
        list,
    );
    limits_met(limits, (tally.unknown_ns, tally.lived_ns), tally.events, list) && all_decided && of_server
}

/// The same for what limits any verdict: unobserved time (of the time lived), losses among `events`, and the canary.
pub(super) fn limits_met(
    limits: Limits,
    (unknown_ns, lived_ns): (u64, u64),
    events: u64,
    list: &mut Vec<Evidence>,
) -> bool {
    let lost = share(limits.losses, events.max(1));
    let checks = [
        (
            ("unknown-time", "Share of unobserved time of the threads concerned"),
            share(unknown_ns, lived_ns),
            UNDECIDED_SHARE,
        ),
        (("losses", "Lost events for each event of the threads concerned"), lost, LOSS_TOLERANCE),
        (("threads-missed", "Threads that were not measured"), limits.threads_missed as f64, 0.5),
        (
            ("hooks", "Hooks that are not there, without which one of the models cannot be seen"),
            limits.hooks_missing as f64,
            0.5,
        ),
        (("tier", "Measured in a tier below full"), f64::from(u8::from(limits.below_full)), 0.5),
        (("canary", "Known receives of trace itself that were not seen exactly"), inexact(limits), 0.5),
    ];
    // All of them, not only the first that fails.
    checks
        .into_iter()
        .map(|(what, measured, limit)| check(what, measured, limit, list))
        .fold(true, |a, b| a & b)
}

fn check((code, text): (&str, &str), measured: f64, limit: f64, list: &mut Vec<Evidence>) -> bool {
    if measured < limit {
        return true;
    }
    list.push(evidence(
        code,
        format!("{text}: {measured:.4}."),
        measured,
        Some(limit),
        Kind::Behaviour,
        false,
    ));
    false
}

fn inexact(limits: Limits) -> f64 {
    f64::from(u8::from(limits.canary != Some(true)))
}

fn mechanism(tally: &Tally, winner: IoModel, emulated: bool) -> Option<String> {
    let family = || {
        let names = ["select", "poll", "epoll", "io_uring"];
        let (name, calls) = names.into_iter().zip(tally.by_call).max_by_key(|(_, calls)| *calls)?;
        (calls > 0).then(|| name.to_owned())
    };
    let receive =
        || tally.receive_calls.iter().max_by_key(|(_, threads)| *threads).map(|(name, _)| name.clone());
    match winner {
        IoModel::Multiplexing => family(),
        IoModel::Blocking if emulated => family(),
        IoModel::Blocking | IoModel::Nonblocking => receive(),
        IoModel::SignalDriven if tally.fd_signals > tally.sigio_signals => Some("F_SETSIG".to_owned()),
        IoModel::SignalDriven => Some("SIGIO".to_owned()),
        IoModel::Asynchronous => Some("io_uring".to_owned()),
        IoModel::Mixed | IoModel::Inconclusive => None,
    }
}

/// One piece of evidence.
pub(super) fn evidence(
    code: &str,
    text: String,
    measured: f64,
    threshold: Option<f64>,
    kind: Kind,
    supports: bool,
) -> Evidence {
    Evidence { code: code.to_owned(), text, measured, threshold, kind, supports }
}
