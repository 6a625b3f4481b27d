//! `trace diff`: two reports compared, in numbers ([`compare`]) and in words ([`words`], [`page`]).
//!
//! Nothing here judges which one is better.

pub mod fair;
pub mod page;
pub mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use trace_common::account::Account;

use crate::figures::{self, Figures, PerReceive};
use crate::model::verdict::{Confidence, Finding};
use crate::names;
use crate::report::build::NO_LOSSES;
use crate::report::schema::{Report, VERSION};
use fair::Warning;

/// A value before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pair<T> {
    /// In the first report.
    pub before: T,
    /// In the second.
    pub after: T,
}

impl<T: PartialEq> Pair<T> {
    /// Whether it is not the same.
    pub fn differs(&self) -> bool {
        self.before != self.after
    }
}

impl Pair<Option<u64>> {
    /// By how much it grew, as a part of what it was (−0.31: by 31 % less); `None` where nothing can be divided.
    pub fn change(&self) -> Option<f64> {
        match (self.before, self.after) {
            (Some(before), Some(after)) if before > 0 => Some(after as f64 / before as f64 - 1.0),
            _ => None,
        }
    }
}

/// Makes a pair by asking both.
fn pair<'a, S, T>(sides: &'a Pair<S>, ask: impl Fn(&'a S) -> T) -> Pair<T> {
    Pair { before: ask(&sides.before), after: ask(&sides.after) }
}

/// A comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Diff {
    /// Version of the schema of reports that this belongs to.
    pub schema_version: &'static str,
    /// In one sentence.
    pub summary: String,
    /// What makes it unfair.
    pub warnings: Vec<Warning>,
    /// What was compared.
    pub measured: Pair<Measured>,
    /// The I/O models.
    pub io_model: Pair<Model>,
    /// The server models.
    pub server_model: Pair<Model>,
    /// Mean of a receive with data, in the order of [`PerReceive::ALL`].
    pub per_receive: Vec<Mean>,
    /// Shares of the threads' time.
    pub accounts: Vec<AccountShare>,
    /// Percentiles of single durations, where there are any.
    pub distributions: Vec<Durations>,
    /// Exchanges.
    pub turns: Pair<Turns>,
    /// Counters of losses that are not 0 in both.
    pub loss: BTreeMap<String, Pair<Option<u64>>>,
    /// Findings.
    pub findings: Findings,
}

/// What one of the reports is about.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Name of the target.
    pub comm: Option<String>,
    /// Start of the window.
    pub started_at: String,
    /// Length of the window.
    pub duration_ns: u64,
    /// Kernel release.
    pub kernel: String,
    /// Version of the tool.
    pub version: String,
    /// How it measured.
    pub tier: String,
    /// Processes.
    pub processes: u64,
    /// Threads.
    pub threads: u64,
    /// Receives with data.
    pub receives: u64,
}

/// A verdict in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// By which call; `None` for server models.
    pub mechanism: Option<String>,
    /// Its qualifier.
    pub qualifier: Option<String>,
    /// What connections are spread over; `None` for I/O models.
    pub units: Option<String>,
    /// How many of these.
    pub count: Option<u64>,
    /// How sure.
    pub confidence: Option<Confidence>,
}

/// A mean for a receive with data.
#[derive(Clone, Debug, Serialize)]
pub struct Mean {
    /// `waiting`, `copying`, `cpu`.
    pub name: &'static str,
    /// The mean; `None` without receives.
    pub ns: Pair<Option<u64>>,
    /// See [`Pair::change`].
    pub change_share: Option<f64>,
}

/// The share of one account.
#[derive(Clone, Debug, Serialize)]
pub struct AccountShare {
    /// The account.
    pub account: Account,
    /// Of the time that all threads lived, 0…1.
    pub share: Pair<Option<f64>>,
    /// Its time.
    pub ns: Pair<u64>,
}

/// Percentiles of one account.
#[derive(Clone, Debug, Serialize)]
pub struct Durations {
    /// The account.
    pub account: Account,
    /// How many.
    pub count: Pair<Option<u64>>,
    /// Median.
    pub p50_ns: Pair<Option<u64>>,
    /// 90th percentile.
    pub p90_ns: Pair<Option<u64>>,
    /// 99th percentile.
    pub p99_ns: Pair<Option<u64>>,
    /// The longest.
    pub max_ns: Pair<Option<u64>>,
}

/// Exchanges in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Turns {
    /// How many; `None` where not measured.
    pub count: Option<u64>,
    /// Median service time.
    pub service_p50_ns: Option<u64>,
    /// 99th percentile.
    pub service_p99_ns: Option<u64>,
}

/// Findings that only one of them has, and that both have.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// Only after.
    pub appeared: Vec<Finding>,
    /// Only before.
    pub vanished: Vec<Finding>,
    /// Codes of those in both.
    pub stayed: Vec<String>,
}

/// Compares `before` with `after`.
///
/// # Errors
/// Why they cannot be compared at all.
pub fn compare(before: &Report, after: &Report) -> Result<Diff, String> {
    fair::refuse(before, after)?;
    let reports = Pair { before, after };
    let figures = pair(&reports, |r| Figures::of(r));
    let mut diff = Diff {
        schema_version: VERSION,
        summary: String::new(),
        warnings: fair::warnings(before, after, &figures),
        measured: Pair { before: measured(before, &figures.before), after: measured(after, &figures.after) },
        io_model: pair(&reports, |r| io_model(r)),
        server_model: pair(&reports, |r| server_model(r)),
        per_receive: PerReceive::ALL.map(|what| mean(what, &figures)).into(),
        accounts: accounts(&figures),
        distributions: distributions(&reports),
        turns: pair(&reports, |r| Turns {
            count: r.turns.count,
            service_p50_ns: r.turns.service_p50_ns,
            service_p99_ns: r.turns.service_p99_ns,
        }),
        loss: loss(&reports),
        findings: findings(before, after),
    };
    diff.summary = words::summary(&diff);
    Ok(diff)
}

fn measured(report: &Report, figures: &Figures) -> Measured {
    Measured {
        comm: report.target.comm.clone(),
        started_at: report.window.started_at.clone(),
        duration_ns: report.window.duration_ns,
        kernel: report.host.kernel.clone(),
        version: report.tool.version.clone(),
        tier: report.tool.tier.clone(),
        processes: report.target.processes,
        threads: report.target.threads,
        receives: figures.receives.with_data,
    }
}

fn io_model(report: &Report) -> Model {
    let verdict = &report.verdict.io_model;
    Model {
        name: verdict.name.name().to_owned(),
        mechanism: verdict.mechanism.clone(),
        qualifier: verdict.qualifier.clone(),
        units: None,
        count: None,
        confidence: verdict.confidence,
    }
}

fn server_model(report: &Report) -> Model {
    let verdict = &report.verdict.server_model;
    Model {
        name: verdict.name.clone(),
        mechanism: None,
        qualifier: verdict.qualifier.clone(),
        units: verdict.units.clone(),
        count: verdict.count,
        confidence: verdict.confidence,
    }
}

fn mean(what: PerReceive, figures: &Pair<Figures>) -> Mean {
    let ns = pair(figures, |f| f.per_receive(what));
    Mean { name: what.name(), ns, change_share: ns.change() }
}

fn accounts(figures: &Pair<Figures>) -> Vec<AccountShare> {
    let share = |account| AccountShare {
        account,
        share: pair(figures, |f| f.share(account)),
        ns: pair(figures, |f| f.ledger.ns(account)),
    };
    Account::ALL.into_iter().map(share).collect()
}

fn distributions(reports: &Pair<&Report>) -> Vec<Durations> {
    let of = |account| {
        let at = |share| pair(reports, |r| figures::percentile(r, account, share));
        Durations {
            account,
            count: pair(reports, |r| figures::count(r, account)),
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            max_ns: at(1.0),
        }
    };
    let some = |d: &Durations| d.p50_ns.before.is_some() || d.p50_ns.after.is_some();
    Account::ALL.into_iter().map(of).filter(some).collect()
}

fn loss(reports: &Pair<&Report>) -> BTreeMap<String, Pair<Option<u64>>> {
    let names: BTreeSet<&String> = reports.before.loss.keys().chain(reports.after.loss.keys()).collect();
    let real = names.into_iter().filter(|name| !NO_LOSSES.contains(&name.as_str()));
    let counted = real.map(|name| (name.clone(), pair(reports, |r| r.loss.get(name).copied())));
    counted.filter(|(_, p)| p.before.unwrap_or(0) + p.after.unwrap_or(0) > 0).collect()
}

fn findings(before: &Report, after: &Report) -> Findings {
    let has = |report: &Report, code: &str| report.findings.iter().any(|f| f.code == code);
    let only = |these: &Report, others: &Report| -> Vec<Finding> {
        these.findings.iter().filter(|f| !has(others, &f.code)).cloned().collect()
    };
    let stayed = before.findings.iter().map(|f| f.code.clone()).filter(|code| has(after, code)).collect();
    Findings { appeared: only(after, before), vanished: only(before, after), stayed }
}

/// A confidence in words; nothing for none.
fn sure(confidence: Option<Confidence>) -> Option<String> {
    confidence.map(|c| format!("{} confidence", names::confidence(c)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{build, sample};

    fn report() -> Report {
        let snapshot = sample::snapshot(4);
        build::build(&snapshot, &sample::verdicts(&snapshot))
    }

    fn finding(code: &str) -> Finding {
        let text = || "text".to_owned();
        Finding { code: code.to_owned(), severity: text(), title: text(), evidence: text(), advice: text() }
    }

    #[test]
    fn a_report_does_not_differ_from_itself() {
        let diff = compare(&report(), &report()).expect("comparable");
        assert!(diff.warnings.is_empty() && diff.loss.is_empty(), "{diff:?}");
        assert!(!diff.io_model.differs() && !diff.server_model.differs() && !diff.measured.differs());
        assert!(diff.per_receive.iter().all(|m| m.change_share == Some(0.0)));
        assert!(diff.accounts.iter().all(|a| !a.share.differs()));
        assert!(diff.summary.contains("no model changed"), "{}", diff.summary);
    }

    #[test]
    fn what_changed_is_named_with_both_values() {
        let (mut before, mut after) = (report(), report());
        let server = &mut before.verdict.server_model;
        (server.name, server.units, server.count) =
            ("thread-per-connection".to_owned(), Some("thread".to_owned()), Some(412));
        for thread in &mut after.processes[0].threads {
            let less = thread.ledger.ns(Account::WaitReady) * 69 / 100;
            thread.ledger.0.insert(Account::WaitReady, less);
        }
        before.findings = vec![finding("stays"), finding("goes")];
        after.findings = vec![finding("stays"), finding("comes")];
        after.loss.insert("map_full".to_owned(), 7);
        let diff = compare(&before, &after).expect("comparable");
        assert_eq!(
            diff.summary,
            "from one thread per connection (412) to 4 loops, one a process; waiting per receive −31%"
        );
        assert_eq!(diff.loss["map_full"], Pair { before: Some(0), after: Some(7) });
        let codes = |findings: &[Finding]| findings.iter().map(|f| f.code.clone()).collect::<Vec<_>>();
        assert_eq!(codes(&diff.findings.appeared), ["comes"]);
        assert_eq!(codes(&diff.findings.vanished), ["goes"]);
        assert_eq!(diff.findings.stayed, ["stays"]);
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        let mut empty = report();
        (empty.processes, empty.distributions, empty.peers) = Default::default();
        let diff = compare(&empty, &report()).expect("comparable");
        assert!(diff.per_receive.iter().all(|m| m.ns.before.is_none() && m.change_share.is_none()));
        assert!(serde_json::to_string(&diff).is_ok());
        assert!(!page::render(&diff).contains("NaN"));
    }
}
