//! The outer half of conservation: the ledger against what the scheduler itself counted.

use serde::{Deserialize, Serialize};
use trace_common::account::Account;

use crate::snapshot::Thread;

/// The outer half of conservation (DESIGN §5), over the threads that `/proc/TID/schedstat` was read of at
/// both ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Residual {
    /// Threads compared.
    pub threads: u64,
    /// Time they lived.
    pub lived_ns: u64,
    /// `copy + kernel + user` of the ledger.
    pub on_cpu_ns: u64,
    /// Run time by schedstat.
    pub run_ns: u64,
    /// `|on_cpu − run| / run`; `None` where nothing ran.
    pub on_cpu_share: Option<f64>,
    /// Sleeps of the ledger.
    pub sleep_ns: u64,
    /// `lived − run − delay`.
    pub expected_sleep_ns: u64,
    /// `|sleep − expected| / expected`; `None` where nothing slept.
    pub sleep_share: Option<f64>,
    /// The larger of the two shares.
    pub share: Option<f64>,
}

/// Compares the threads that have a schedstat.
///
/// A waking precedes its enqueue, so `runqueue` is larger than schedstat's delay where wake-ups are remote,
/// and sleep is smaller by as much: that difference is part of the share of the sleeps.
pub fn residual<'a>(threads: impl IntoIterator<Item = &'a Thread>) -> Residual {
    let mut sum = Residual::default();
    for thread in threads {
        let Some(check) = thread.schedstat else { continue };
        let sleep: u64 = Account::ALL.into_iter().filter(|a| a.is_sleep()).map(|a| thread.ns(a)).sum();
        sum.threads += thread.count;
        sum.lived_ns += thread.lived_ns;
        sum.on_cpu_ns += thread.on_cpu_ns();
        sum.run_ns += check.run_ns;
        sum.sleep_ns += sleep;
        sum.expected_sleep_ns += thread.lived_ns.saturating_sub(check.run_ns + check.delay_ns);
    }
    sum.on_cpu_share = share(sum.on_cpu_ns, sum.run_ns);
    sum.sleep_share = share(sum.sleep_ns, sum.expected_sleep_ns);
    sum.share = [sum.on_cpu_share, sum.sleep_share].into_iter().flatten().reduce(f64::max);
    sum
}

fn share(measured: u64, reference: u64) -> Option<f64> {
    (reference > 0).then(|| measured.abs_diff(reference) as f64 / reference as f64)
}
