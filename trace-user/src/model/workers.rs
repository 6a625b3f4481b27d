//! Findings on those who serve: how work is spread over them, and what they wait for.

use std::collections::BTreeMap;

use trace_common::account::Account;
use trace_common::conn::Side;

use super::balance::Spread;
use super::findings::finding;
use super::tally::share;
use super::thresholds::{MANY_WORKERS, ROUSED, STARVED, UNBALANCED, UPSTREAM_REPLIES, UPSTREAM_SHARE};
use super::verdict::{Finding, Role, Verdicts};
use crate::snapshot::{Snapshot, Thread};

/// Roles of those who serve connections.
const SERVING: [Role; 3] = [Role::Reactor, Role::ConnectionWorker, Role::PoolWorker];

/// Findings on the workers of `snapshot`.
pub fn find(snapshot: &Snapshot, verdicts: &Verdicts) -> Vec<Finding> {
    let serving: Vec<&Thread> = snapshot
        .threads
        .iter()
        .filter(|t| verdicts.roles.get(&t.tid).is_some_and(|role| SERVING.contains(role)))
        .collect();
    [unbalanced(&serving, verdicts), starved(&serving), too_many(&serving, verdicts), wait_for_one(snapshot)]
        .into_iter()
        .flatten()
        .collect()
}

fn unbalanced(serving: &[&Thread], verdicts: &Verdicts) -> Option<Finding> {
    let balance = verdicts.balance.as_ref()?;
    let receives: u64 = serving.iter().map(|t| t.receives.with_data).sum();
    let long_lived = balance.spread != Spread::PerConnection;
    (long_lived && balance.gini >= UNBALANCED && receives >= ROUSED * balance.workers).then(|| {
        finding(
            "workers-unbalanced",
            "warning",
            "Some workers do much more than others",
            format!("Gini {:.2} over {} workers: {}", balance.gini, balance.workers, balance.cause),
            "A listener for each worker (SO_REUSEPORT) spreads connections; long-lived ones stay where they are.",
        )
    })
}

fn starved(serving: &[&Thread]) -> Option<Finding> {
    let sum = |accounts: &[Account]| -> u64 {
        serving.iter().flat_map(|t| accounts.iter().map(|account| t.ns(*account))).sum()
    };
    let queued = sum(&[Account::Runqueue, Account::Preempted]);
    let waited = sum(&[Account::WaitData, Account::WaitReady, Account::WaitAccept, Account::WaitCompletion]);
    let lived: u64 = serving.iter().map(|t| t.lived_ns).sum();
    (queued > waited && share(queued, lived) >= STARVED).then(|| {
        finding(
            "cpu-starved",
            "warning",
            "Those who serve wait longer for a CPU than for work",
            format!(
                "{:.0} % of their time runnable without a CPU, {:.0} % waiting for data",
                100.0 * share(queued, lived),
                100.0 * share(waited, lived)
            ),
            "More CPUs, fewer runnable threads, or a larger share for this service (cpu.weight, cpu.max).",
        )
    })
}

fn too_many(serving: &[&Thread], verdicts: &Verdicts) -> Option<Finding> {
    let model = &verdicts.server_model.name;
    let alive = serving.iter().filter(|t| t.alive).count() as u64;
    (model.ends_with("-per-connection") && alive >= MANY_WORKERS).then(|| {
        finding(
            "thousand-workers",
            "warning",
            "More than a thousand connections have a worker of their own",
            format!("{alive} workers alive at the end of the window, {model}"),
            "Each costs a stack and a place in the scheduler: a loop serves idle connections for nothing.",
        )
    })
}

/// Replies of one address, against what building the answers took in all.
fn wait_for_one(snapshot: &Snapshot) -> Option<Finding> {
    let build_ns = snapshot.turns.as_ref()?.totals.build_ns;
    let mut by_address: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let listed = snapshot.connections.iter().map(|c| (c.side, &*c.address, c.replies, c.reply_ns));
    let folded = snapshot.peers.iter().map(|p| (p.side, &*p.address, p.replies, p.reply_ns));
    for (_, address, replies, ns) in listed.chain(folded).filter(|(side, ..)| *side == Side::Client) {
        let sum = by_address.entry(address).or_default();
        *sum = (sum.0 + replies, sum.1 + ns);
    }
    let (address, (replies, reply_ns)) = by_address.into_iter().max_by_key(|(_, (_, ns))| *ns)?;
    (replies >= UPSTREAM_REPLIES && share(reply_ns, build_ns) >= UPSTREAM_SHARE).then(|| {
        finding(
            "workers-wait-for-upstream",
            "warning",
            "Answers take as long as one other server takes to reply",
            format!(
                "{replies} replies of {address} took {:.1} ms, building all answers {:.1} ms",
                reply_ns as f64 / 1e6,
                build_ns as f64 / 1e6
            ),
            "Look there first: attach trace to it, too. More workers here only wait more.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::classify;
    use crate::report::sample;
    use crate::snapshot::Episodes;

    /// Four loops with so many receives each.
    fn codes(receives: [u64; 4]) -> Vec<String> {
        let mut snapshot = sample::snapshot(4);
        for (thread, receives) in snapshot.threads.iter_mut().zip(receives) {
            thread.receives.with_data = receives;
            thread.episodes.insert(Side::Server, Episodes { ready_wide: 50, ..Episodes::default() });
        }
        classify(&snapshot).findings.into_iter().map(|f| f.code).collect()
    }

    #[test]
    fn workers_are_out_of_balance_where_one_of_four_does_little() {
        assert!(codes([5_000, 5_000, 5_000, 10]).contains(&"workers-unbalanced".to_owned()));
        assert!(!codes([5_000, 4_000, 5_000, 6_000]).contains(&"workers-unbalanced".to_owned()));
        assert!(!codes([50, 1, 1, 1]).contains(&"workers-unbalanced".to_owned()), "too few to tell");
    }
}
