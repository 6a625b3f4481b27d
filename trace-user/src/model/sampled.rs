//! The verdicts on samples: what threads were seen to sleep in, and over which sockets.
//!
//! That is structure and no behaviour: no episode was seen to end, so no verdict is more than `medium`. Who asks without
//! sleeping cannot be told from who works, so `nonblocking` is never among them.

use std::collections::BTreeMap;

use trace_common::account::Account;
use trace_common::conn::Side;

use super::tally::share;
use super::thresholds::{HIGH_EPISODES, WIDTH_CONNECTIONS, WINNER_SHARE};
use super::verdict::{
    Alternative, Confidence, Evidence, IoModel, IoVerdict, Kind, Role, ServerVerdict, Verdicts,
};
use super::{counted, wilson};
use crate::snapshot::{Sampled, SampledWidth, Seen, Snapshot, Thread, ThreadSamples};

/// A thread, and what samples showed of it.
type Member<'a> = (&'a Thread, &'a ThreadSamples);

/// What the model says of a snapshot whose only facts are `sampled`.
pub fn classify(snapshot: &Snapshot, sampled: &Sampled) -> Verdicts {
    let samples: BTreeMap<u32, &ThreadSamples> = sampled.threads.iter().map(|s| (s.tid, s)).collect();
    let all: Vec<Member> = snapshot.threads.iter().filter_map(|t| Some((t, *samples.get(&t.tid)?))).collect();
    let of = |pid: u32| all.iter().copied().filter(|(t, _)| t.pid == pid).collect::<Vec<_>>();
    let io_model = judge(&all, sampled);
    Verdicts {
        processes: snapshot.processes.iter().map(|p| (p.program(), judge(&of(p.pid), sampled))).collect(),
        threads: all.iter().map(|m| (m.0.tid, judge(&[*m], sampled))).collect(),
        roles: all.iter().map(|m| (m.0.tid, role(*m, snapshot))).collect(),
        server_model: server_model(&all, &io_model),
        balance: None,
        handovers: BTreeMap::new(),
        following: None,
        findings: Vec::new(),
        blind_spots: blind_spots(snapshot, sampled),
        io_model,
    }
}

/// Samples that speak for each model.
#[derive(Clone, Copy, Debug, Default)]
struct Votes {
    blocking: u64,
    wide: u64,
    narrow: u64,
    rings: u64,
    signals: u64,
    /// Different sockets of narrow waits.
    narrow_sockets: u64,
    /// Threads with narrow waits.
    narrow_threads: u64,
}

impl Votes {
    fn of(members: &[Member], sides: &dyn Fn(Option<Side>) -> bool) -> Votes {
        let mut votes = Votes::default();
        for (_, samples) in members {
            let narrow = samples.count(|s| sides(s.side) && is_narrow(s));
            votes.blocking += samples.count(|s| sides(s.side) && is_receive(s));
            votes.wide += samples.count(|s| sides(s.side) && is_wide(s));
            votes.narrow += narrow;
            votes.narrow_threads += u64::from(narrow > 0);
            let sockets = samples.seen.iter().filter(|s| sides(s.side) && is_narrow(s));
            votes.narrow_sockets += sockets.map(|s| s.sockets).sum::<u64>();
        }
        // Sleeps that are for no socket in particular.
        let count = |account| members.iter().map(|(_, s)| s.count(|s| s.account == account)).sum();
        votes.rings = count(Account::WaitCompletion);
        votes.signals = count(Account::WaitSignal);
        votes
    }

    fn on_sockets(&self) -> u64 {
        self.blocking + self.wide + self.narrow
    }

    /// Whether waits over one peer are a pattern: a peer each on several threads, or several in turn.
    fn is_emulated(&self) -> bool {
        self.narrow_sockets.max(self.narrow_threads) >= WIDTH_CONNECTIONS
    }
}

/// Asleep in a receive on a socket.
fn is_receive(seen: &Seen) -> bool {
    seen.account == Account::WaitData && seen.sockets > 0
}

fn is_wide(seen: &Seen) -> bool {
    seen.width == Some(SampledWidth::Many)
}

fn is_narrow(seen: &Seen) -> bool {
    seen.width == Some(SampledWidth::One)
}

fn judge(members: &[Member], sampled: &Sampled) -> IoVerdict {
    let decides = |side: Option<Side>| matches!(side, Some(Side::Server | Side::Datagram));
    let server = Votes::of(members, &decides);
    if server.on_sockets() > 0 {
        return decide(members, sampled, server, &decides);
    }
    let others = |side: Option<Side>| matches!(side, Some(Side::Client | Side::Other));
    let verdict = decide(members, sampled, Votes::of(members, &others), &others);
    if verdict.name == IoModel::Inconclusive {
        return verdict;
    }
    let why = "No thread was seen to wait for a connection of the server side: others' answers decide.";
    with(verdict, evidence("client-side", why.to_owned(), 0.0, None, true))
}

fn decide(
    members: &[Member],
    sampled: &Sampled,
    votes: Votes,
    sides: &dyn Fn(Option<Side>) -> bool,
) -> IoVerdict {
    let total = votes.on_sockets();
    if total == 0 {
        return nothing(members, sampled, votes);
    }
    let emulated = votes.is_emulated();
    if !emulated && share(votes.narrow, total) > 1.0 - WINNER_SHARE {
        return one_peer(votes, total);
    }
    let blocking = votes.blocking + if emulated { votes.narrow } else { 0 };
    let (name, hits) = if blocking >= votes.wide {
        (IoModel::Blocking, blocking)
    } else {
        (IoModel::Multiplexing, votes.wide)
    };
    let is_hit = |s: &Seen| {
        sides(s.side)
            && match name {
                IoModel::Blocking => is_receive(s) || (emulated && is_narrow(s)),
                _ => is_wide(s),
            }
    };
    let won = share(hits, total);
    let shares = BTreeMap::from([
        (IoModel::Blocking, share(blocking, total)),
        (IoModel::Multiplexing, share(votes.wide, total)),
    ]);
    let text = most(members, &is_hit);
    let evidence = evidence("sampled", text, won, Some(WINNER_SHARE), won >= WINNER_SHARE);
    let decided = won >= WINNER_SHARE;
    let enough = hits >= HIGH_EPISODES && wilson::lower_bound(hits, total) >= WINNER_SHARE;
    let emulated = decided && name == IoModel::Blocking && votes.narrow > votes.blocking;
    let name = if decided { name } else { IoModel::Mixed };
    let verdict = IoVerdict {
        caller: name.caller().map(str::to_owned),
        callee: name.callee().map(str::to_owned),
        mechanism: decided.then(|| mechanism(members, &is_hit)).flatten(),
        qualifier: emulated.then(|| "emulated".to_owned()),
        confidence: decided.then_some(if enough && !emulated { Confidence::Medium } else { Confidence::Low }),
        alternatives: if decided { Vec::new() } else { super::io_model::others(&shares, IoModel::Mixed) },
        shares,
        settle: Some("Tier full, with sudo, sees how waits end, not only where threads sleep.".to_owned()),
        ..empty(name)
    };
    with(verdict, evidence)
}

/// No thread was seen to sleep over a connection: why, and what was seen instead.
fn nothing(members: &[Member], sampled: &Sampled, votes: Votes) -> IoVerdict {
    let mut verdict = empty(IoModel::Inconclusive);
    let samples: u64 = members.iter().map(|(_, s)| s.samples).sum();
    let asleep: u64 = members.iter().map(|(_, s)| s.samples - s.runnable.min(s.samples)).sum();
    if votes.rings > 0 {
        verdict.alternatives = named(&[IoModel::Asynchronous, IoModel::Multiplexing]);
        let text = format!(
            "In {} of {samples} samples a thread slept for completions: whether of receives or of readiness, samples \
             do not tell.",
            votes.rings
        );
        verdict.evidence.push(evidence("sampled", text, share(votes.rings, samples), None, false));
    } else if votes.signals > 0 && sampled.o_async > 0 {
        verdict.alternatives = named(&[IoModel::SignalDriven]);
        let text = format!(
            "In {} of {samples} samples a thread slept for a signal, and {} O_ASYNC: whether such a signal comes, samples \
             do not tell.",
            votes.signals,
            counted(sampled.o_async, "socket has", "sockets have")
        );
        verdict.evidence.push(evidence("sampled", text, share(votes.signals, samples), None, false));
    } else {
        let text = format!(
            "In none of {samples} samples did a thread sleep in a receive, or in a readiness call over connections{}.",
            instead(members)
        );
        verdict.evidence.push(evidence("sampled-nothing", text, 0.0, Some(1.0), false));
    }
    let denied = denied(members);
    if denied > 0 {
        verdict.evidence.push(permission(denied, members.len() as u64, sampled));
        verdict.settle = Some(
            "Run trace as root or with CAP_SYS_PTRACE, so that it may read what threads sleep in.".to_owned(),
        );
    } else if asleep * 2 < samples {
        verdict.settle = Some(
            "Tier full, with sudo, sees what running threads ask; samples see sleepers only.".to_owned(),
        );
    } else {
        verdict.settle =
            Some("Tier full, with sudo; or requests over at least three connections.".to_owned());
    }
    verdict
}

/// Threads that slept and none of whose sleeps could be read.
fn denied(members: &[Member]) -> u64 {
    let hidden = |s: &ThreadSamples| s.count(|seen| seen.account == Account::Unknown);
    members.iter().filter(|(_, s)| hidden(s) > 0 && hidden(s) + s.runnable == s.samples).count() as u64
}

fn permission(denied: u64, threads: u64, sampled: &Sampled) -> Evidence {
    let yama = match sampled.yama {
        Some(scope) => format!(" and kernel.yama.ptrace_scope 0 (it is {scope})"),
        None => String::new(),
    };
    let text = format!(
        "What {denied} of {threads} threads sleep in may not be read: /proc/PID/task/TID/syscall takes \
         PTRACE_MODE_ATTACH, which is the user's own processes{yama}, or CAP_SYS_PTRACE."
    );
    evidence("sampled-denied", text, share(denied, threads), Some(0.0), false)
}

fn one_peer(votes: Votes, total: u64) -> IoVerdict {
    let text = format!(
        "In {} of {total} samples a thread slept in a readiness call over exactly one peer: a loop with a single client, \
         and a thread that waits on its only connection, look alike.",
        votes.narrow
    );
    let why = evidence(
        "one-peer-few-connections",
        text,
        votes.narrow_sockets as f64,
        Some(WIDTH_CONNECTIONS as f64),
        false,
    );
    let verdict = IoVerdict {
        alternatives: named(&[IoModel::Blocking, IoModel::Multiplexing]),
        settle: Some("Three or more connections, at once or in turn, would settle it.".to_owned()),
        ..empty(IoModel::Inconclusive)
    };
    with(verdict, why)
}

/// The thread that speaks most for it, in words: `in 300 of 300 samples thread 7 slept in epoll_wait over 12 sockets`.
fn most(members: &[Member], is_hit: &dyn Fn(&Seen) -> bool) -> String {
    let hits = |m: &Member| m.1.count(is_hit);
    let threads = members.iter().filter(|m| hits(m) > 0).count() as u64;
    let Some(best) = members.iter().max_by_key(|m| hits(m)) else { return String::new() };
    let seen = best.1.seen.iter().find(|s| is_hit(s));
    let call = seen.and_then(|s| s.syscall.clone()).unwrap_or_else(|| "a wait".to_owned());
    let over = match seen {
        Some(seen) if is_wide(seen) => format!(" over {}", counted(seen.peers, "socket", "sockets")),
        _ => " for a socket".to_owned(),
    };
    let others = match threads {
        0 | 1 => String::new(),
        n => format!("; {} more were seen so", counted(n - 1, "thread", "threads")),
    };
    format!(
        "In {} of {} samples thread {} slept in {call}{over}{others}.",
        hits(best),
        best.1.samples,
        best.0.tid
    )
}

/// What most samples showed, where nothing speaks for a model: `; most showed a sleep in nanosleep`.
fn instead(members: &[Member]) -> String {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, samples) in members {
        *sums.entry("no sleep").or_default() += samples.runnable;
        for seen in &samples.seen {
            let call = match (&seen.syscall, seen.account) {
                (Some(call), _) => call,
                (None, Account::Unknown) => "a call that may not be read",
                (None, account) => account.name(),
            };
            *sums.entry(call).or_default() += seen.samples;
        }
    }
    match sums.into_iter().max_by_key(|(_, n)| *n) {
        Some(("no sleep", n)) if n > 0 => "; most showed threads that ran".to_owned(),
        Some((call, n)) if n > 0 => format!("; most showed a sleep in {call}"),
        _ => String::new(),
    }
}

fn mechanism(members: &[Member], is_hit: &dyn Fn(&Seen) -> bool) -> Option<String> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    let seen = members.iter().flat_map(|(_, s)| &s.seen).filter(|s| is_hit(s));
    for seen in seen {
        *sums.entry(family(seen.syscall.as_deref()?)).or_default() += seen.samples;
    }
    sums.into_iter().max_by_key(|(_, n)| *n).map(|(name, _)| name.to_owned())
}

/// The name that verdicts have for a call: `epoll` for epoll_pwait2.
fn family(call: &str) -> &str {
    match call {
        "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => "epoll",
        "poll" | "ppoll" => "poll",
        "select" | "pselect6" => "select",
        other => other,
    }
}

/// Who waits for connections in a loop is seen; how a thread came to its only connection is not.
fn server_model(members: &[Member], io_model: &IoVerdict) -> ServerVerdict {
    let on_server = |s: &Seen| matches!(s.side, Some(Side::Server | Side::Datagram));
    let loops: Vec<&Member> =
        members.iter().filter(|(_, s)| s.count(|s| is_wide(s) && on_server(s)) > 0).collect();
    let bound = members.iter().filter(|(_, s)| s.count(|s| is_receive(s) && on_server(s)) > 0);
    let (bound, n) = (bound.count() as u64, loops.len() as u64);
    let mut verdict = ServerVerdict {
        name: "inconclusive".to_owned(),
        qualifier: None,
        units: None,
        count: None,
        confidence: None,
        alternatives: Vec::new(),
        evidence: Vec::new(),
    };
    match io_model.name {
        IoModel::Multiplexing if n > 0 => {
            let processes: std::collections::BTreeSet<u32> = loops.iter().map(|(t, _)| t.pid).collect();
            let by_process = processes.len() as u64 == n;
            verdict.name = if n == 1 { "single-reactor" } else { "multi-reactor" }.to_owned();
            verdict.units = Some(if by_process { "process" } else { "thread" }.to_owned());
            verdict.count = Some(n);
            verdict.confidence = Some(Confidence::Low);
            let text = format!(
                "{} seen to sleep over several connections.",
                counted(n, "thread was", "threads were")
            );
            verdict.evidence.push(evidence("loops", text, n as f64, None, true));
            if n > 1 {
                verdict.alternatives = candidates(&["reactor-with-workers"]);
            }
        }
        IoModel::Blocking if bound > 0 => {
            let text = format!(
                "{} seen to sleep in a receive; how they came to their connections, samples do not tell.",
                counted(bound, "thread was", "threads were")
            );
            verdict.evidence.push(evidence("workers", text, bound as f64, None, false));
            verdict.alternatives = candidates(match bound {
                1 => &["iterative", "thread-per-connection", "thread-pool"],
                _ => &["thread-per-connection", "thread-pool", "process-per-connection", "process-pool"],
            });
        }
        _ => {
            let text = "Nobody was seen to wait for a connection of the server side.".to_owned();
            verdict.evidence.push(evidence("sampled-nothing", text, 0.0, Some(1.0), false));
        }
    }
    verdict
}

fn role((thread, samples): Member, snapshot: &Snapshot) -> Role {
    if thread.kernel_io {
        return Role::KernelIo;
    }
    let on_server = |s: &Seen| matches!(s.side, Some(Side::Server | Side::Datagram));
    if samples.count(is_wide) > 0 {
        return Role::Reactor;
    }
    if samples.count(|s| on_server(s) && (is_receive(s) || is_narrow(s))) > 0 {
        return Role::ConnectionWorker;
    }
    let accepts = |s: &Seen| s.account == Account::WaitAccept || s.width == Some(SampledWidth::Listeners);
    if samples.count(accepts) > 0 {
        return Role::Acceptor;
    }
    let waits_for_children = samples.seen.first().is_some_and(|s| s.syscall.as_deref() == Some("wait4"));
    if thread.tid == thread.pid && snapshot.processes.len() > 1 && waits_for_children {
        return Role::Supervisor;
    }
    if thread.silent && thread.on_cpu_ns() == 0 { Role::Idle } else { Role::Background }
}

fn blind_spots(snapshot: &Snapshot, sampled: &Sampled) -> Vec<String> {
    let mut spots = vec![
        "Receives, bytes, episodes, turns, peers and the copy are not measured: no file of /proc shows them."
            .to_owned(),
        format!(
            "Sleeps are shared out by {} samples of each thread, {:.0} a second ({:.0} asked for): what lasts less than \
             that may be missing.",
            sampled.rounds, sampled.achieved_hz, sampled.asked_hz
        ),
        "Time on the run queue is not told apart from being pushed off a CPU.".to_owned(),
    ];
    if sampled.denied > 0 {
        let threads = sampled.threads.len() as u64;
        spots.push(permission(sampled.denied, threads, sampled).text);
    }
    if sampled.by_wchan > 0 {
        spots.push(format!(
            "Of {} the kernel function they sleep in (wchan) stands in for the call: it does not say for which descriptor.",
            counted(sampled.by_wchan, "thread", "threads")
        ));
    }
    if snapshot.threads.iter().any(|t| t.schedstat.is_none()) {
        spots.push(
            "This kernel counts no run time (schedstat): all of a life is shared out by samples.".to_owned(),
        );
    }
    spots
}

fn named(models: &[IoModel]) -> Vec<Alternative> {
    models.iter().map(|model| Alternative { name: model.name().to_owned(), share: None }).collect()
}

fn candidates(names: &[&str]) -> Vec<Alternative> {
    names.iter().map(|name| Alternative { name: (*name).to_owned(), share: None }).collect()
}

fn empty(name: IoModel) -> IoVerdict {
    super::io_model::empty(name)
}

fn with(mut verdict: IoVerdict, why: Evidence) -> IoVerdict {
    verdict.evidence.push(why);
    verdict
}

fn evidence(code: &str, text: String, measured: f64, threshold: Option<f64>, supports: bool) -> Evidence {
    Evidence { code: code.to_owned(), text, measured, threshold, kind: Kind::Structure, supports }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    /// Three threads, of which samples showed `seen`.
    fn verdicts(seen: &Seen, denied: u64) -> Verdicts {
        let mut snapshot = sample::snapshot(3);
        let mut sampled = sample::sampled(&[100, 101, 102]);
        sampled.denied = denied;
        for thread in &mut sampled.threads {
            thread.seen = vec![seen.clone()];
        }
        snapshot.sampled = Some(sampled);
        crate::model::classify(&snapshot)
    }

    fn receive(side: Side) -> Seen {
        Seen {
            syscall: Some("recvfrom".into()),
            account: Account::WaitData,
            side: Some(side),
            width: None,
            sockets: 1,
            ..sample::seen()
        }
    }

    fn name(verdicts: &Verdicts) -> (IoModel, Option<Confidence>) {
        (verdicts.io_model.name, verdicts.io_model.confidence)
    }

    #[test]
    fn sleeps_over_several_connections_are_multiplexing_and_medium_at_most() {
        let verdicts = verdicts(&sample::seen(), 0);
        assert_eq!(name(&verdicts), (IoModel::Multiplexing, Some(Confidence::Medium)));
        assert_eq!(verdicts.io_model.mechanism.as_deref(), Some("epoll"));
        let text = &verdicts.io_model.evidence[0].text;
        assert!(
            text.contains("In 50 of 60 samples thread") && text.contains("epoll_wait over 12 sockets"),
            "{text}"
        );
        assert_eq!((&*verdicts.server_model.name, verdicts.server_model.count), ("multi-reactor", Some(3)));
        assert_eq!(verdicts.roles[&101], Role::Reactor);
        let few = self::verdicts(&Seen { samples: 5, ..sample::seen() }, 0);
        assert_eq!(name(&few), (IoModel::Multiplexing, Some(Confidence::Low)));
    }

    #[test]
    fn sleeps_in_receives_are_blocking_and_the_server_side_decides() {
        let server = verdicts(&receive(Side::Server), 0);
        assert_eq!(name(&server), (IoModel::Blocking, Some(Confidence::Medium)));
        assert_eq!(server.server_model.name, "inconclusive");
        assert_eq!(server.roles[&100], Role::ConnectionWorker);
        let client = verdicts(&receive(Side::Client), 0);
        assert_eq!(client.io_model.name, IoModel::Blocking);
        assert!(client.io_model.evidence.iter().any(|e| e.code == "client-side"));
    }

    #[test]
    fn one_peer_each_is_a_pattern_from_three_on() {
        let narrow = |sockets| Seen { width: Some(SampledWidth::One), peers: 1, sockets, ..sample::seen() };
        let emulated = verdicts(&narrow(1), 0);
        assert_eq!(name(&emulated), (IoModel::Blocking, Some(Confidence::Low)));
        assert_eq!(emulated.io_model.qualifier.as_deref(), Some("emulated"));
        let mut snapshot = sample::snapshot(1);
        let mut sampled = sample::sampled(&[100]);
        sampled.threads[0].seen = vec![narrow(1)];
        snapshot.sampled = Some(sampled);
        let alone = crate::model::classify(&snapshot);
        assert_eq!(alone.io_model.name, IoModel::Inconclusive);
        assert_eq!(alone.io_model.alternatives.len(), 2);
    }

    #[test]
    fn what_samples_cannot_tell_is_inconclusive_and_says_what_was_seen() {
        let wait = |account, call: &str| Seen {
            syscall: Some(call.into()),
            account,
            side: None,
            width: None,
            peers: 0,
            ..sample::seen()
        };
        let nap = verdicts(&wait(Account::WaitTimer, "nanosleep"), 0).io_model;
        assert_eq!((nap.name, nap.confidence), (IoModel::Inconclusive, None));
        assert!(nap.evidence[0].text.contains("most showed a sleep in nanosleep"), "{:?}", nap.evidence);
        let ring = verdicts(&wait(Account::WaitCompletion, "io_uring_enter"), 0).io_model;
        let names: Vec<&str> = ring.alternatives.iter().map(|a| a.name.as_str()).collect();
        assert_eq!((ring.name, &names[..]), (IoModel::Inconclusive, &["asynchronous", "multiplexing"][..]));
        let hidden = Seen { syscall: None, ..wait(Account::Unknown, "") };
        let denied = verdicts(&hidden, 3);
        assert_eq!(denied.io_model.name, IoModel::Inconclusive);
        let why = denied.io_model.evidence.iter().find(|e| e.code == "sampled-denied").expect("why");
        assert!(why.text.contains("ptrace_scope 0 (it is 1)"), "{}", why.text);
        assert!(denied.blind_spots.iter().any(|spot| spot.contains("CAP_SYS_PTRACE")));
    }

    #[test]
    fn no_half_of_the_samples_carries_a_model() {
        let mut snapshot = sample::snapshot(2);
        let mut sampled = sample::sampled(&[100, 101]);
        sampled.threads[1].seen = vec![receive(Side::Server)];
        snapshot.sampled = Some(sampled);
        let verdict = crate::model::classify(&snapshot).io_model;
        assert_eq!((verdict.name, verdict.confidence), (IoModel::Mixed, None));
        assert_eq!(verdict.shares[&IoModel::Blocking], 0.5);
    }

    #[test]
    fn a_report_on_samples_has_null_for_what_takes_probes() {
        let mut snapshot = sample::snapshot(1);
        snapshot.sampled = Some(sample::sampled(&[100]));
        snapshot.threads[0].ledger.remove(&Account::Copy);
        let report = crate::report::build::build(&snapshot, &crate::model::classify(&snapshot));
        let json = serde_json::to_value(&report).expect("JSON");
        let thread = &json["processes"][0]["threads"][0];
        assert!(thread["receives"].is_null() && thread["sends"].is_null(), "{thread:#}");
        assert!(thread["ledger"]["copy_ns"].is_null() && thread["ledger"]["user_ns"].is_u64(), "{thread:#}");
        assert!(json["processes"][0]["exited"]["ledger"]["copy_ns"].is_null());
        assert_eq!(thread["samples"]["seen"][0]["width"], "many");
        let again: crate::report::schema::Report = serde_json::from_value(json.clone()).expect("the report");
        assert_eq!(serde_json::to_value(&again).expect("JSON"), json);
    }
}
