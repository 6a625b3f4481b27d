//! The names that an expectation may begin with.

use trace_common::account::Account;

use super::value::Kind;
use crate::figures::{PERCENTILES, PerReceive};
use crate::names::{self, nearest};
use crate::report::schema::Report;
use crate::topics;

/// What can be read from a report.
#[derive(Clone, Debug, PartialEq)]
pub enum Quantity {
    /// A plain one, by its name.
    Plain(&'static str),
    /// Share of episodes of an I/O model.
    ModelShare(String),
    /// Share of the threads' time in an account.
    AccountShare(Account),
    /// Time in an account.
    AccountTime(Account),
    /// Number of durations in the distribution of an account.
    DurationCount(Account),
    /// A percentile of it.
    Percentile(Account, f64),
    /// Mean for a receive with data.
    PerReceive(PerReceive),
    /// A loss counter.
    Loss(String),
    /// Whether there is a finding.
    Finding(String),
}

/// A name and what it stands for.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it is typed.
    pub name: String,
    /// What it is measured in.
    pub kind: Kind,
    /// What it stands for.
    pub quantity: Quantity,
}

/// All names.
#[derive(Clone, Debug)]
pub struct Vocabulary(Vec<Entry>);

/// A value that stands for nothing being there.
pub const ABSENT: &str = "absent";
/// A value that stands for something being there.
pub const PRESENT: &str = "present";

impl Vocabulary {
    /// The names that this version knows, and the counters and findings of `report`, which another version may have
    /// written.
    pub fn of(report: Option<&Report>) -> Vocabulary {
        let mut all = Vocabulary(Vec::new());
        all.plain();
        all.models_and_accounts();
        let losses = report.into_iter().flat_map(|r| r.loss.keys().cloned());
        for name in names::losses().into_iter().chain(losses) {
            all.add(format!("loss.{name}"), Kind::Count, Quantity::Loss(name));
        }
        let codes = report.into_iter().flat_map(|r| r.findings.iter().map(|f| f.code.clone()));
        for code in topics::findings().map(str::to_owned).chain(codes) {
            let kind = Kind::Choice([PRESENT, ABSENT].map(str::to_owned).into());
            all.add(format!("finding.{code}"), kind, Quantity::Finding(code));
        }
        all
    }

    /// What `name` stands for.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.name == name)
    }

    /// The name that is most like `name`.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.0.iter().map(|entry| entry.name.as_str()))
    }

    /// All names, in the order in which they are shown.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    fn add(&mut self, name: String, kind: Kind, quantity: Quantity) {
        if self.find(&name).is_none() {
            self.0.push(Entry { name, kind, quantity });
        }
    }

    fn plain(&mut self) {
        for (name, kind) in plain() {
            self.add(name.to_owned(), kind, Quantity::Plain(name));
        }
    }

    fn models_and_accounts(&mut self) {
        for model in names::IO_MODELS.iter().filter(|model| model.caller().is_some()) {
            let name = model.name();
            self.add(format!("shares.{name}"), Kind::Share, Quantity::ModelShare(name.to_owned()));
        }
        for figure in PerReceive::ALL {
            self.add(format!("per_receive.{}", figure.name()), Kind::Time, Quantity::PerReceive(figure));
        }
        for account in Account::ALL {
            let name = account.name();
            self.add(format!("account.{name}.share"), Kind::Share, Quantity::AccountShare(account));
            self.add(format!("account.{name}.time"), Kind::Time, Quantity::AccountTime(account));
        }
        for account in Account::ALL {
            let name = account.name();
            self.add(format!("{name}.count"), Kind::Count, Quantity::DurationCount(account));
            for (percentile, share) in PERCENTILES {
                let quantity = Quantity::Percentile(account, share);
                self.add(format!("{name}.{percentile}"), Kind::Time, quantity);
            }
        }
    }
}

/// Names without parameters.
fn plain() -> Vec<(&'static str, Kind)> {
    let choice = |names: &[&str]| Kind::Choice(names.iter().map(|&name| name.to_owned()).collect());
    let io_models = names::IO_MODELS.map(|model| model.name());
    vec![
        ("io_model", choice(&io_models)),
        ("io_model.confidence", Kind::Confidence),
        ("io_model.mechanism", Kind::Text),
        ("io_model.qualifier", Kind::Text),
        ("io_model.caller", choice(&["blocking", "non-blocking"])),
        ("io_model.callee", choice(&["synchronous", "asynchronous"])),
        ("upstream", choice(&io_models)),
        ("upstream.confidence", Kind::Confidence),
        ("storage", choice(&io_models)),
        ("storage.confidence", Kind::Confidence),
        ("server_model", choice(&names::SERVER_MODELS)),
        ("server_model.confidence", Kind::Confidence),
        ("server_model.qualifier", Kind::Text),
        ("server_model.units", choice(&["thread", "process"])),
        ("server_model.count", Kind::Count),
        ("threads", Kind::Count),
        ("processes", Kind::Count),
        ("connections", Kind::Count),
        ("receives.calls", Kind::Count),
        ("receives.with_data", Kind::Count),
        ("receives.eof", Kind::Count),
        ("receives.eagain", Kind::Count),
        ("receives.failed", Kind::Count),
        ("receives.bytes", Kind::Count),
        ("accepts.accepted", Kind::Count),
        ("turns.count", Kind::Count),
        ("turns.receive", Kind::Time),
        ("turns.build", Kind::Time),
        ("turns.send", Kind::Time),
        ("turns.service_p50", Kind::Time),
        ("turns.service_p99", Kind::Time),
        ("turns.build_p50", Kind::Time),
        ("balance.workers", Kind::Count),
        ("balance.gini", Kind::Share),
        ("balance.gini_connections", Kind::Share),
        ("balance.gini_cpu", Kind::Share),
        ("loss.total", Kind::Count),
        ("findings", Kind::Count),
        ("findings.warnings", Kind::Count),
        ("calibration.exact", Kind::Flag),
        ("residual.share", Kind::Share),
        ("cost.cpu_share", Kind::Share),
        ("cost.events", Kind::Count),
        ("window.duration", Kind::Time),
        ("window.steal", Kind::Time),
        ("window.ended_by", choice(&["duration", "interrupt", "target-exit", "overhead"])),
        ("tool.tier", Kind::Text),
        ("tool.version", Kind::Text),
        ("host.kernel", Kind::Text),
        ("target.comm", Kind::Text),
    ]
}
