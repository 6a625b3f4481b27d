//! The reader's own numbers on a topic, from a report.

use trace_common::account::Account;

use super::{Kind, Topic};
use crate::figures::{self, Figures};
use crate::json_schema::Field;
use crate::model::verdict::{Evidence, IoVerdict};
use crate::names;
use crate::report::schema::{Report, Thread};
use crate::report::{io_line, unit};

/// Most values of a field that are shown.
const VALUES: usize = 8;

/// What `report` says on `topic`, each a sentence.
pub fn on(topic: &Topic, report: &Report) -> Vec<String> {
    match topic.kind {
        Kind::IoModel => io_model(topic.name, report),
        Kind::ServerModel => server_model(topic.name, report),
        Kind::Qualifier => qualifier(topic.name, report),
        Kind::Confidence => confidence(topic.name, report),
        Kind::Role => role(topic.name, report),
        Kind::Account => account(topic.name, report),
        Kind::Side => side(topic.name, report),
        Kind::Ending => ending(topic.name, report),
        Kind::Handover => handover(topic.name, report),
        Kind::Spread => spread(topic.name, report),
        Kind::Finding => finding(topic.name, report),
        Kind::Evidence => evidence(topic.name, report),
        Kind::Loss => loss(topic.name, report),
        Kind::Tier => vec![tier(topic.name, report)],
        Kind::Column | Kind::ExitCode | Kind::Field => Vec::new(),
    }
}

/// The values of a field.
pub fn of_field(field: &Field, report: &Report) -> Vec<String> {
    let Ok(document) = serde_json::to_value(report) else { return Vec::new() };
    let mut values = Vec::new();
    collect(&document, &field.path, &mut values);
    let more = values.len().saturating_sub(VALUES);
    values.truncate(VALUES);
    if more > 0 {
        values.push(format!("… and {}", unit::plural(more as u64, "other value", "other values")));
    }
    values
}

/// Adds what stands at `path`; containers are told by their size.
fn collect(value: &serde_json::Value, path: &str, values: &mut Vec<String>) {
    if path.is_empty() {
        values.push(match value {
            serde_json::Value::Array(items) => unit::plural(items.len() as u64, "entry", "entries"),
            serde_json::Value::Object(fields) => unit::plural(fields.len() as u64, "field", "fields"),
            serde_json::Value::Null => "null: not measured, or none".to_owned(),
            plain => plain.to_string(),
        });
        return;
    }
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    let (name, list) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
    let inner: Vec<&serde_json::Value> = match name {
        "{}" => value.as_object().into_iter().flat_map(|fields| fields.values()).collect(),
        name => value.get(name).into_iter().collect(),
    };
    for inner in inner {
        match inner.as_array().filter(|_| list) {
            Some(items) => items.iter().for_each(|item| collect(item, rest, values)),
            None => collect(inner, rest, values),
        }
    }
}

fn threads(report: &Report) -> impl Iterator<Item = &Thread> {
    report.processes.iter().flat_map(|process| &process.threads)
}

fn io_model(name: &str, report: &Report) -> Vec<String> {
    let verdict = &report.verdict.io_model;
    let mut lines = vec![format!("The verdict is {}.", io_line(verdict))];
    if let Some((_, share)) = verdict.shares.iter().find(|(model, _)| model.name() == name) {
        lines.push(format!("{} of the decided waits were {name}.", unit::percent_of_share(*share)));
    }
    for (side, inner) in [("upstream", &verdict.upstream), ("on files", &verdict.storage)] {
        if let Some(inner) = inner.as_ref().filter(|inner| inner.name.name() == name) {
            lines.push(format!("The verdict {side} is {}.", io_line(inner)));
        }
    }
    let alike = threads(report).filter(|t| t.io_model.is_some_and(|m| m.name() == name)).count() as u64;
    let own = unit::plural(alike, "thread alive at the end has", "threads alive at the end have");
    lines.push(format!("{own} it as a verdict of its own."));
    lines
}

fn server_model(name: &str, report: &Report) -> Vec<String> {
    let verdict = &report.verdict.server_model;
    let is = if verdict.name == name { "is this one" } else { "is another one" };
    let count = match (verdict.count, &verdict.units) {
        (Some(count), Some(units)) => format!(", {} ({units})", unit::count(count)),
        (Some(count), None) => format!(", {}", unit::count(count)),
        _ => String::new(),
    };
    let sure = verdict.confidence.map_or(String::new(), |c| format!(", {} confidence", names::confidence(c)));
    let mut lines = vec![format!("The verdict {is}: {}{count}{sure}.", verdict.name)];
    if verdict.alternatives.iter().any(|a| a.name == name) {
        lines.push("It was also possible.".to_owned());
    }
    lines
}

fn qualifier(name: &str, report: &Report) -> Vec<String> {
    let verdict = &report.verdict;
    let has = [&verdict.io_model.qualifier, &verdict.server_model.qualifier];
    let stands = has.iter().any(|qualifier| qualifier.as_deref() == Some(name));
    vec![if stands { "The verdict has it.".to_owned() } else { "The verdict does not have it.".to_owned() }]
}

fn confidence(name: &str, report: &Report) -> Vec<String> {
    let verdict = &report.verdict;
    let mut lines = Vec::new();
    for (axis, confidence, evidence) in [
        ("I/O model", verdict.io_model.confidence, &verdict.io_model.evidence),
        ("server model", verdict.server_model.confidence, &verdict.server_model.evidence),
    ] {
        let sure = confidence.map_or("none", names::confidence);
        lines.push(format!("The confidence of the {axis} is {sure}."));
        if sure == name {
            lines
                .extend(evidence.iter().filter(|e| !e.supports).map(|e| format!("Against more: {}", e.text)));
        }
    }
    lines
}

fn role(name: &str, report: &Report) -> Vec<String> {
    let with = || threads(report).filter(|t| t.role.is_some_and(|role| names::role(role) == name));
    let count = with().count() as u64;
    let mut lines = vec![format!(
        "{} at the end of the window.",
        unit::plural(count, "thread has it", "threads have it")
    )];
    let lived: u64 = with().map(|t| t.lived_ns).sum();
    let largest = Account::ALL.into_iter().map(|a| (with().map(|t| t.ledger.ns(a)).sum::<u64>(), a)).max();
    if let Some((ns, account)) = largest.filter(|(ns, _)| *ns > 0) {
        lines.push(format!("Most of their time, {}, is {}.", unit::percent(ns, lived), account.name()));
    }
    lines
}

fn account(name: &str, report: &Report) -> Vec<String> {
    let Some(account) = Account::ALL.into_iter().find(|a| a.name() == name) else { return Vec::new() };
    let figures = Figures::of(report);
    let ns = figures.ledger.ns(account);
    let mut lines = vec![format!(
        "{} of all threads' time, {} in all.",
        unit::percent(ns, figures.lived_ns),
        unit::time(ns)
    )];
    let at = |share| figures::percentile(report, account, share).map(unit::time);
    if let (Some(count), Some(p50), Some(p99), Some(max)) =
        (figures::count(report, account), at(0.5), at(0.99), at(1.0))
    {
        lines.push(format!(
            "{}: median {p50}, p99 {p99}, longest {max}.",
            unit::plural(count, "duration", "durations")
        ));
    }
    if let Some(thread) = threads(report).max_by_key(|t| t.ledger.ns(account)).filter(|_| ns > 0) {
        let most = thread.ledger.ns(account);
        lines.push(format!("Most of it in thread {} ({}): {}.", thread.tid, thread.comm, unit::time(most)));
    }
    lines
}

fn side(name: &str, report: &Report) -> Vec<String> {
    let on = || report.peers.iter().filter(|p| as_json(p.side) == name);
    let sum = |of: fn(&crate::report::schema::Peer) -> u64| on().map(of).sum::<u64>();
    vec![format!(
        "{}, {}, waited {} in receives on them.",
        unit::plural(sum(|p| p.connections), "connection", "connections"),
        unit::plural(sum(|p| p.receives), "receive with data", "receives with data"),
        unit::time(sum(|p| p.wait_ns)),
    )]
}

fn ending(name: &str, report: &Report) -> Vec<String> {
    let r = Figures::of(report).receives;
    let count = match name {
        "slept" => r.slept,
        "after_ready" => r.after_ready,
        "polled" => r.polled,
        "signalled" => r.signalled,
        "completed" => r.completed,
        _ => r.immediate,
    };
    let [part, whole] = [count, r.with_data].map(unit::count);
    vec![format!("{part} of {whole} receives with data, {}.", unit::percent(count, r.with_data))]
}

fn handover(name: &str, report: &Report) -> Vec<String> {
    let all: u64 = report.handovers.values().sum();
    let here = report.handovers.iter().find(|(way, _)| as_json(way) == name).map_or(0, |(_, count)| *count);
    vec![format!("{} of {} connections.", unit::count(here), unit::count(all))]
}

fn spread(name: &str, report: &Report) -> Vec<String> {
    let Some(balance) = &report.balance else {
        return vec!["Fewer than two workers served: nothing was spread.".to_owned()];
    };
    let is =
        if as_json(balance.spread) == name { "This is what spreads them" } else { "Something else does" };
    vec![format!("{is}: {}", balance.cause)]
}

/// The name of a variant, as reports have it.
fn as_json(variant: impl serde::Serialize) -> String {
    let value = serde_json::to_value(variant).ok();
    value.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

fn finding(code: &str, report: &Report) -> Vec<String> {
    let here = report.findings.iter().filter(|f| f.code == code);
    let mut lines: Vec<String> = here.map(|f| format!("Found ({}): {}.", f.severity, f.evidence)).collect();
    if lines.is_empty() {
        lines.push("Not found.".to_owned());
    }
    lines
}

fn evidence(code: &str, report: &Report) -> Vec<String> {
    fn within<'a>(verdict: &'a IoVerdict, all: &mut Vec<&'a Evidence>) {
        all.extend(&verdict.evidence);
        for inner in [&verdict.upstream, &verdict.storage].into_iter().flatten() {
            within(inner, all);
        }
    }
    let mut all: Vec<&Evidence> = Vec::new();
    within(&report.verdict.io_model, &mut all);
    all.extend(&report.verdict.server_model.evidence);
    let here = all.into_iter().filter(|e| e.code == code);
    let mut lines: Vec<String> = here
        .map(|e| format!("{}: {}", if e.supports { "For the verdict" } else { "Against it" }, e.text))
        .collect();
    if lines.is_empty() {
        lines.push("Not among the evidence.".to_owned());
    }
    lines
}

fn loss(name: &str, report: &Report) -> Vec<String> {
    match report.loss.get(name) {
        Some(count) => vec![format!("{} in this window.", unit::count(*count))],
        None => vec!["Not counted by the version that measured.".to_owned()],
    }
}

/// Whether it is the tier of the report, and how that came.
fn tier(name: &str, report: &Report) -> String {
    let own = &report.tool.tier;
    let steps = report.tool.steps.len() as u64;
    let came = match steps {
        0 => String::new(),
        n => format!(", after {} for its cost", unit::plural(n, "step", "steps")),
    };
    if name == own {
        format!("The tier of this report{came}.")
    } else {
        format!("This report is of tier {own}{came}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json_schema;
    use crate::report::{build, sample};
    use crate::topics::{all, find};

    fn report() -> Report {
        let snapshot = sample::snapshot(4);
        build::build(&snapshot, &sample::verdicts(&snapshot))
    }

    fn numbers(name: &str) -> String {
        let found = find(&name.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let lines = found.topics.iter().flat_map(|topic| on(topic, &report()));
        lines
            .chain(found.fields.iter().flat_map(|field| of_field(field, &report())))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn topics_get_the_figures_of_the_report() {
        assert!(
            numbers("multiplexing").contains("99.0% of the decided waits"),
            "{}",
            numbers("multiplexing")
        );
        assert!(
            numbers("multi-reactor").contains("is this one: multi-reactor, 4 (process), medium confidence")
        );
        assert!(numbers("reactor").contains("4 threads have it"));
        assert!(numbers("wait_ready").contains("98.0% of all threads' time"), "{}", numbers("wait_ready"));
        assert!(numbers("finding idle").contains("Not found"));
        assert!(numbers("evidence episodes").contains("980 of 990"));
        assert!(numbers("after_ready").contains("3,920 of 3,960"));
        assert!(numbers("map_full").contains("0 in this window"));
        assert!(numbers("side client").contains("1 connection,"));
        assert_eq!(numbers("field target.threads"), "4");
        assert_eq!(numbers("service_p99_ns"), "null: not measured, or none");
    }

    #[test]
    fn every_topic_and_field_has_figures_or_none_to_have() {
        let report = report();
        for topic in all() {
            let none = matches!(topic.kind, Kind::Column | Kind::ExitCode);
            assert_eq!(on(&topic, &report).is_empty(), none, "{}", topic.name);
        }
        for field in json_schema::fields() {
            assert!(of_field(field, &report).len() <= VALUES + 1, "{}", field.path);
        }
    }
}
