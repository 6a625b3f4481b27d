//! How evenly the work is spread over those who serve, and what spreads it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use trace_common::conn::Side;
use trace_common::handover::Handover;

use super::thresholds::UNEVEN;
use crate::snapshot::{Handovers, Snapshot, Thread};

/// What decides which worker gets a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// Several workers accept from one listener: whoever is awake first.
    SharedListener,
    /// Several listeners on one port: the kernel, by a hash of the addresses (`SO_REUSEPORT`).
    Reuseport,
    /// One accepts, and hands over to older threads: its queue, or its choice.
    Acceptor,
    /// One accepts, and a thread or process is born for each connection.
    PerConnection,
    /// Nobody accepted in the window.
    Unseen,
}

/// The balance over workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Balance {
    /// Threads that received on connections of the server side.
    pub workers: u64,
    /// Gini coefficient of their receives with data: 0 for all alike, towards 1 for one that does everything.
    pub gini: f64,
    /// The same of the connections that they served first; `None` if no connection was new to anyone.
    pub gini_connections: Option<f64>,
    /// The same of their time on a CPU.
    pub gini_cpu: f64,
    /// What spreads the connections.
    pub spread: Spread,
    /// Both in a sentence.
    pub cause: String,
}

/// Gini coefficient of `values`: half their mean absolute difference over their mean (C. Gini, *Variabilità e
/// mutabilità*, 1912), from the sorted values x₁ ≤ … ≤ xₙ as Σ(2i − n − 1)xᵢ / (n Σxᵢ). 0 for nothing.
pub fn gini(mut values: Vec<u64>) -> f64 {
    values.sort_unstable();
    let n = values.len() as f64;
    let sum: f64 = values.iter().map(|v| *v as f64).sum();
    if sum == 0.0 {
        return 0.0;
    }
    let weighted: f64 = values.iter().zip(1..).map(|(v, i)| (2.0 * f64::from(i) - n - 1.0) * *v as f64).sum();
    weighted / (n * sum)
}

/// All connections that were handed over, by the way they took.
pub fn handovers(snapshot: &Snapshot) -> Handovers {
    let mut sum = Handovers::new();
    for (way, connections) in snapshot.threads.iter().flat_map(|t| &t.served) {
        *sum.entry(*way).or_default() += connections;
    }
    sum
}

/// The balance over those who serve; `None` for fewer than two of them.
pub fn of(snapshot: &Snapshot) -> Option<Balance> {
    let workers: Vec<&Thread> = snapshot.threads.iter().filter(|t| t.count == 1 && serves(t)).collect();
    if workers.len() < 2 {
        return None;
    }
    let by = |f: &dyn Fn(&Thread) -> u64| gini(workers.iter().map(|t| f(t)).collect());
    let served = |t: &Thread| t.served.values().sum::<u64>();
    let any_new = workers.iter().any(|t| served(t) > 0);
    let (receives, connections) = (by(&|t| t.receives.with_data), any_new.then(|| by(&served)));
    let spread = spread(snapshot, &workers);
    Some(Balance {
        workers: workers.len() as u64,
        gini: receives,
        gini_connections: connections,
        gini_cpu: by(&Thread::on_cpu_ns),
        spread,
        cause: cause(receives, connections, spread),
    })
}

fn serves(thread: &Thread) -> bool {
    let episodes = thread.episodes.get(&Side::Server);
    !thread.served.is_empty()
        || episodes.is_some_and(|e| {
            e.slept + e.ready_wide + e.ready_narrow + e.ready_unknown + e.polled + e.signalled + e.completed
                > 0
        })
}

fn spread(snapshot: &Snapshot, workers: &[&Thread]) -> Spread {
    let ways = handovers(snapshot);
    let n = |way| ways.get(&way).copied().unwrap_or(0);
    let born = n(Handover::Fork) + n(Handover::NewThread);
    let handed = n(Handover::Queue) + n(Handover::PassedDescriptor);
    let themselves = n(Handover::SameThread);
    if born + handed + themselves == 0 {
        return Spread::Unseen;
    }
    if born > handed + themselves {
        return Spread::PerConnection;
    }
    if handed > themselves {
        return Spread::Acceptor;
    }
    if own_listeners(snapshot, workers) { Spread::Reuseport } else { Spread::SharedListener }
}

/// Whether some port has several listeners.
fn own_listeners(snapshot: &Snapshot, workers: &[&Thread]) -> bool {
    let pids: BTreeSet<u32> = workers.iter().map(|t| t.pid).collect();
    let mut by_port: BTreeMap<u16, BTreeSet<u64>> = BTreeMap::new();
    for listener in snapshot.processes.iter().filter(|p| pids.contains(&p.pid)).flat_map(|p| &p.listeners) {
        by_port.entry(listener.port).or_default().insert(listener.inode);
    }
    by_port.values().any(|inodes| inodes.len() > 1)
}

fn cause(receives: f64, connections: Option<f64>, spread: Spread) -> String {
    let how = match spread {
        Spread::SharedListener => "workers accept from a listener that they share, whoever is awake first",
        Spread::Reuseport => {
            "each port has several listeners (SO_REUSEPORT), chosen by a hash of the addresses"
        }
        Spread::Acceptor => "one thread accepts and hands connections to threads that were there before",
        Spread::PerConnection => "a worker is born for each connection",
        Spread::Unseen => "connections are older than the window",
    };
    let what = match connections {
        _ if receives < UNEVEN => "the work is spread evenly",
        Some(connections) if connections >= UNEVEN => "some got more connections than others",
        Some(_) => "connections are spread evenly, and some of them ask for more than others",
        None => "some connections ask for more than others",
    };
    format!("{what}: {how}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gini_is_0_for_equals_and_grows_to_1_with_one_that_does_all() {
        assert_eq!(gini(vec![]), 0.0);
        assert_eq!(gini(vec![0, 0]), 0.0);
        assert_eq!(gini(vec![7, 7, 7]), 0.0);
        assert!((gini(vec![1, 3]) - 0.25).abs() < 1e-12);
        assert!((gini(vec![0, 0, 0, 10]) - 0.75).abs() < 1e-12);
    }

    #[test]
    fn uneven_work_over_even_connections_is_the_connections_doing() {
        let told = cause(0.5, Some(0.0), Spread::Reuseport);
        assert!(told.starts_with("connections are spread evenly") && told.contains("SO_REUSEPORT"), "{told}");
        assert!(cause(0.5, Some(0.6), Spread::SharedListener).contains("more connections"));
        assert!(cause(0.01, None, Spread::Unseen).contains("evenly"));
    }
}
