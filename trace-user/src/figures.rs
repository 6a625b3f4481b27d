//! Sums and percentiles of a report that several commands speak of: `trace diff`, `trace check`, `trace explain`.

use trace_common::account::Account;
use trace_common::receive::{Accepts, Receives};

use crate::report::ledger::Ledger;
use crate::report::schema::Report;
use crate::snapshot::quantile;

/// Accounts of phase 1: waiting for data, in whichever way.
pub const PHASE_1: [Account; 4] =
    [Account::WaitData, Account::WaitReady, Account::WaitCompletion, Account::WaitSignal];

/// Percentiles by their names.
pub const PERCENTILES: [(&str, f64); 7] =
    [("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)];

/// What a receive with data costs on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerReceive {
    /// Phase 1 of the threads that receive.
    Waiting,
    /// Phase 2.
    Copying,
    /// On a CPU, all threads together.
    Cpu,
}

impl PerReceive {
    /// All of them, in the order in which they are shown.
    pub const ALL: [PerReceive; 3] = [PerReceive::Waiting, PerReceive::Copying, PerReceive::Cpu];

    /// The name of the figure.
    pub const fn name(self) -> &'static str {
        match self {
            PerReceive::Waiting => "waiting",
            PerReceive::Copying => "copying",
            PerReceive::Cpu => "cpu",
        }
    }
}

/// Sums over all threads, ended ones too.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Time by account.
    pub ledger: Ledger,
    /// Time by account of those threads that received data. Ended threads are summed up per process: they count where any
    /// of them did.
    pub receivers: Ledger,
    /// Time lived in the window, ns.
    pub lived_ns: u64,
    /// Receives.
    pub receives: Receives,
    /// Accepts.
    pub accepts: Accepts,
    /// Connections that were received from.
    pub connections: u64,
}

impl Figures {
    /// The sums of `report`.
    pub fn of(report: &Report) -> Figures {
        let mut sum = Figures {
            ledger: Ledger::default(),
            receivers: Ledger::default(),
            lived_ns: 0,
            receives: Receives::ZERO,
            accepts: Accepts::ZERO,
            connections: report.peers.iter().map(|p| p.connections).sum(),
        };
        for process in &report.processes {
            let exited = &process.exited;
            sum.add(&exited.ledger, exited.lived_ns, &exited.receives, &exited.accepts);
            for thread in &process.threads {
                sum.add(&thread.ledger, thread.lived_ns, &thread.receives, &thread.accepts);
            }
        }
        sum
    }

    fn add(&mut self, ledger: &Ledger, lived_ns: u64, receives: &Receives, accepts: &Accepts) {
        self.ledger.add(&ledger.0);
        if receives.with_data > 0 {
            self.receivers.add(&ledger.0);
        }
        self.lived_ns += lived_ns;
        self.receives.add(receives);
        self.accepts.add(accepts);
    }

    /// Share of the threads' time in `account`, 0…1; `None` if no thread lived.
    pub fn share(&self, account: Account) -> Option<f64> {
        (self.lived_ns > 0).then(|| self.ledger.ns(account) as f64 / self.lived_ns as f64)
    }

    /// Mean of `what` for a receive with data, ns; `None` without any.
    pub fn per_receive(&self, what: PerReceive) -> Option<u64> {
        let ns = match what {
            PerReceive::Waiting => self.receivers.sum(|a| PHASE_1.contains(&a)),
            PerReceive::Copying => self.ledger.ns(Account::Copy),
            PerReceive::Cpu => self.ledger.sum(Account::is_on_cpu),
        };
        ns.checked_div(self.receives.with_data)
    }
}

/// How many durations of `account` were counted; `None` if it has no distribution.
pub fn count(report: &Report, account: Account) -> Option<u64> {
    report.distributions.get(&account).map(|buckets| buckets.iter().map(|b| b.1).sum())
}

/// The value that `share` of the durations of `account` do not exceed, ns: the upper edge of its bucket, so up to 6.25 %
/// more than it was. `None` without any.
pub fn percentile(report: &Report, account: Account, share: f64) -> Option<u64> {
    count(report, account).filter(|&n| n > 0)?;
    quantile(report.distributions.get(&account)?, share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;
    use crate::report::{build, sample};

    fn report() -> Report {
        let snapshot = sample::snapshot(4);
        build::build(&snapshot, &model::classify(&snapshot))
    }

    #[test]
    fn sums_are_over_all_threads_and_means_over_receives_with_data() {
        let figures = Figures::of(&report());
        assert_eq!((figures.lived_ns, figures.receives.with_data), (40_000_000_000, 4 * 990));
        assert_eq!(figures.share(Account::WaitReady), Some(0.98));
        assert_eq!(figures.per_receive(PerReceive::Waiting), Some(9_800_000_000 / 990));
        assert_eq!(figures.per_receive(PerReceive::Cpu), Some(180_000_000 / 990));
    }

    #[test]
    fn without_receives_there_is_no_mean_and_without_durations_no_percentile() {
        let mut report = report();
        report.processes.clear();
        report.distributions.insert(Account::Copy, vec![(9, 0)]);
        let figures = Figures::of(&report);
        assert_eq!(PerReceive::ALL.map(|p| figures.per_receive(p)), [None; 3]);
        assert_eq!(figures.share(Account::Copy), None);
        assert_eq!(percentile(&report, Account::Copy, 0.5), None);
        assert_eq!(percentile(&report, Account::WaitSend, 0.5), None);
        assert_eq!(percentile(&report, Account::WaitReady, 0.5), Some(1_048_575));
    }
}
