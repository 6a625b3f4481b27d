//! Whether a report is as expected: pure.

use serde::Serialize;

use super::expression::Expectation;
use super::value::Value;
use super::vocabulary::{ABSENT, PRESENT, Quantity};
use crate::figures::{self, Figures};
use crate::model::verdict::IoVerdict;
use crate::report::schema::Report;
use crate::report::total_lost;
use crate::snapshot;
use trace_common::account::Account;

/// The name of a verdict that is none.
const INCONCLUSIVE: &str = "inconclusive";
/// What stands for a qualifier that is not there.
const NONE: &str = "none";

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As expected.
    Holds,
    /// Not as expected.
    Fails,
    /// It was not measured, or not well enough.
    Undecidable,
}

/// The answer to one expectation.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// The expectation as it was typed.
    pub expectation: String,
    /// The answer.
    pub outcome: Outcome,
    /// The measured value in words; `None` if there is none.
    pub measured: Option<String>,
    /// Why it cannot be decided.
    pub why: Option<String>,
}

/// A value that was measured.
struct Measured {
    value: Value,
    /// What it would be at most, if all that was not observed belonged to it.
    at_most: Option<Value>,
}

/// Whether `report`, whose sums are `figures`, is as expected.
pub fn decide(expectation: &Expectation, report: &Report, figures: &Figures) -> Answer {
    let answer = |outcome, measured: Option<String>, why: Option<String>| Answer {
        expectation: expectation.text.clone(),
        outcome,
        measured,
        why,
    };
    let measured = match measure(&expectation.quantity, report, figures) {
        Ok(measured) => measured,
        Err(why) => return answer(Outcome::Undecidable, None, Some(why)),
    };
    let shown = Some(measured.value.to_string());
    let holds = |value: &Value| {
        value.compare(&expectation.wanted).map(|ordering| expectation.comparison.holds(ordering))
    };
    if is_inconclusive(expectation, &measured.value) {
        let why = "the verdict is inconclusive; trace report says what would settle it";
        return answer(Outcome::Undecidable, shown, Some(why.to_owned()));
    }
    let least = holds(&measured.value);
    if measured.at_most.as_ref().is_some_and(|most| holds(most) != least) {
        let why = "what was not observed (account unknown) could change it";
        return answer(Outcome::Undecidable, shown, Some(why.to_owned()));
    }
    match least {
        Some(true) => answer(Outcome::Holds, shown, None),
        Some(false) => answer(Outcome::Fails, shown, None),
        None => answer(Outcome::Undecidable, shown, Some("its kind is another one".to_owned())),
    }
}

/// An inconclusive verdict says nothing of any model, but it is certainly an inconclusive one.
fn is_inconclusive(expectation: &Expectation, measured: &Value) -> bool {
    let inconclusive = Value::Text(INCONCLUSIVE.to_owned());
    let of_verdict =
        matches!(expectation.quantity, Quantity::Plain("io_model" | "upstream" | "storage" | "server_model"));
    of_verdict && *measured == inconclusive && expectation.wanted != inconclusive
}

fn measure(quantity: &Quantity, report: &Report, figures: &Figures) -> Result<Measured, String> {
    let plainly = |value| Measured { value, at_most: None };
    if report.sampling.is_some() && !is_sampled(quantity) {
        return Err("tier proc does not measure it: that takes probes".to_owned());
    }
    match quantity {
        Quantity::Plain(name) => plain(name, report, figures).map(plainly),
        Quantity::ModelShare(name) => {
            let shares = &report.verdict.io_model.shares;
            if shares.is_empty() {
                return Err("no episode was decided".to_owned());
            }
            let share =
                shares.iter().find(|(model, _)| model.name() == name).map_or(0.0, |(_, share)| *share);
            Ok(plainly(Value::Share(share)))
        }
        Quantity::AccountShare(account) => {
            let share = figures.share(*account).ok_or("no thread lived in the window")?;
            let unknown = figures.share(Account::Unknown).filter(|_| *account != Account::Unknown);
            let at_most = unknown.filter(|&u| u > 0.0).map(|u| Value::Share((share + u).min(1.0)));
            Ok(Measured { value: Value::Share(share), at_most })
        }
        Quantity::AccountTime(account) => Ok(plainly(Value::Time(figures.ledger.ns(*account) as f64))),
        Quantity::DurationCount(account) => {
            let count = figures::count(report, *account);
            count.map(Value::Count).map(plainly).ok_or_else(|| unmeasured(account.name()))
        }
        Quantity::Percentile(account, share) => {
            let ns = figures::percentile(report, *account, *share);
            let none = || format!("no duration of {} was counted in the window", account.name());
            ns.map(|ns| plainly(Value::Time(ns as f64))).ok_or_else(none)
        }
        Quantity::PerReceive(figure) => {
            let ns = figures.per_receive(*figure);
            ns.map(|ns| plainly(Value::Time(ns as f64))).ok_or("nothing was received".to_owned())
        }
        Quantity::Loss(name) => {
            let count = report.loss.get(name).copied();
            count.map(Value::Count).map(plainly).ok_or_else(|| unmeasured(name))
        }
        Quantity::Finding(code) => {
            let present = report.findings.iter().any(|finding| finding.code == *code);
            Ok(plainly(text(if present { PRESENT } else { ABSENT })))
        }
    }
}

/// Whether samples of `/proc` tell a quantity.
fn is_sampled(quantity: &Quantity) -> bool {
    match quantity {
        Quantity::Plain(name) => {
            let probes = ["receives.", "accepts.", "connections", "findings", "loss."];
            !probes.iter().any(|before| name.starts_with(before))
        }
        Quantity::AccountShare(account) | Quantity::AccountTime(account) => snapshot::is_sampled(*account),
        Quantity::ModelShare(_) | Quantity::DurationCount(_) | Quantity::Percentile(..) => true,
        Quantity::PerReceive(_) | Quantity::Loss(_) | Quantity::Finding(_) => false,
    }
}

fn text(name: &str) -> Value {
    Value::Text(name.to_owned())
}

fn unmeasured(name: &str) -> String {
    format!("{name} was not measured")
}

fn plain(name: &str, report: &Report, figures: &Figures) -> Result<Value, String> {
    let io = &report.verdict.io_model;
    let server = &report.verdict.server_model;
    let (receives, window) = (&figures.receives, &report.window);
    let value = match name {
        "io_model" => Some(text(io.name.name())),
        "io_model.confidence" => io.confidence.map(Value::Confidence),
        "io_model.mechanism" => io.mechanism.as_deref().map(text),
        "io_model.qualifier" => Some(text(io.qualifier.as_deref().unwrap_or(NONE))),
        "io_model.caller" => io.caller.as_deref().map(text),
        "io_model.callee" => io.callee.as_deref().map(text),
        "upstream" => named(io.upstream.as_deref()),
        "upstream.confidence" => sure(io.upstream.as_deref()),
        "storage" => named(io.storage.as_deref()),
        "storage.confidence" => sure(io.storage.as_deref()),
        "server_model" => Some(text(&server.name)),
        "server_model.confidence" => server.confidence.map(Value::Confidence),
        "server_model.qualifier" => Some(text(server.qualifier.as_deref().unwrap_or(NONE))),
        "server_model.units" => server.units.as_deref().map(text),
        "server_model.count" => server.count.map(Value::Count),
        "threads" => Some(Value::Count(report.target.threads)),
        "processes" => Some(Value::Count(report.target.processes)),
        "connections" => Some(Value::Count(figures.connections)),
        "receives.calls" => Some(Value::Count(receives.calls)),
        "receives.with_data" => Some(Value::Count(receives.with_data)),
        "receives.eof" => Some(Value::Count(receives.eof)),
        "receives.eagain" => Some(Value::Count(receives.eagain)),
        "receives.failed" => Some(Value::Count(receives.failed)),
        "receives.bytes" => Some(Value::Count(receives.bytes)),
        "accepts.accepted" => Some(Value::Count(figures.accepts.accepted)),
        "loss.total" => Some(Value::Count(total_lost(&report.loss))),
        "findings" => Some(Value::Count(report.findings.len() as u64)),
        "findings.warnings" => {
            let warnings = report.findings.iter().filter(|f| f.severity == "warning");
            Some(Value::Count(warnings.count() as u64))
        }
        "calibration.exact" => (report.calibration.done > 0).then_some(Value::Flag(report.calibration.exact)),
        "residual.share" => report.residual.share.map(Value::Share),
        "cost.cpu_share" => report.cost.cpu_share.map(Value::Share),
        "cost.events" => report.cost.events.map(Value::Count),
        "window.duration" => Some(Value::Time(window.duration_ns as f64)),
        "window.steal" => window.steal_ns.map(|ns| Value::Time(ns as f64)),
        "window.ended_by" => serde_json::to_value(window.ended_by).ok().and_then(|v| v.as_str().map(text)),
        "tool.tier" => Some(text(&report.tool.tier)),
        "tool.version" => Some(text(&report.tool.version)),
        "host.kernel" => Some(text(&report.host.kernel)),
        "target.comm" => report.target.comm.as_deref().map(text),
        other => turn(other, report).or_else(|| balance(other, report)),
    };
    value.ok_or_else(|| unmeasured(name))
}

fn named(verdict: Option<&IoVerdict>) -> Option<Value> {
    verdict.map(|v| text(v.name.name()))
}

fn sure(verdict: Option<&IoVerdict>) -> Option<Value> {
    verdict.and_then(|v| v.confidence).map(Value::Confidence)
}

fn turn(name: &str, report: &Report) -> Option<Value> {
    let turns = &report.turns;
    let time = |ns: Option<u64>| ns.map(|ns| Value::Time(ns as f64));
    match name {
        "turns.count" => turns.count.map(Value::Count),
        "turns.receive" => time(turns.receive_ns),
        "turns.build" => time(turns.build_ns),
        "turns.send" => time(turns.send_ns),
        "turns.service_p50" => time(turns.service_p50_ns),
        "turns.service_p99" => time(turns.service_p99_ns),
        "turns.build_p50" => time(turns.build_p50_ns),
        _ => None,
    }
}

fn balance(name: &str, report: &Report) -> Option<Value> {
    let balance = report.balance.as_ref()?;
    match name {
        "balance.workers" => Some(Value::Count(balance.workers)),
        "balance.gini" => Some(Value::Share(balance.gini)),
        "balance.gini_connections" => balance.gini_connections.map(Value::Share),
        "balance.gini_cpu" => Some(Value::Share(balance.gini_cpu)),
        _ => None,
    }
}
