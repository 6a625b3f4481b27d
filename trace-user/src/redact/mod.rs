//! `trace redact`: saved files without the strings that tell whose they are. Numbers stay, so verdicts do.

pub mod pseudonym;

use crate::model::verdict::{IoVerdict, ServerVerdict};
use crate::report::schema::Report;
use crate::snapshot::Snapshot;
use pseudonym::Pseudonyms;

/// Replaces the strings of a measurement.
pub fn snapshot(snapshot: &mut Snapshot, pseudonyms: &mut Pseudonyms) {
    for process in &mut snapshot.processes {
        process.comm = pseudonyms.name(&process.comm);
        process.exe = process.exe.as_ref().map(|path| pseudonyms.path(path));
    }
    for thread in &mut snapshot.threads {
        thread.comm = pseudonyms.name(&thread.comm);
    }
    for connection in &mut snapshot.connections {
        connection.address = pseudonyms.address(&connection.address);
    }
    for peer in &mut snapshot.peers {
        peer.address = pseudonyms.address(&peer.address);
    }
    texts(&mut snapshot.degraded, pseudonyms);
}

/// Replaces the strings of a report; in its sentences, those that stand somewhere else in it, and whatever looks like an
/// address or a path.
pub fn report(report: &mut Report, pseudonyms: &mut Pseudonyms) {
    let target = &mut report.target;
    target.comm = target.comm.as_ref().map(|name| pseudonyms.name(name));
    target.exe = target.exe.as_ref().map(|path| pseudonyms.path(path));
    for process in &mut report.processes {
        process.comm = pseudonyms.name(&process.comm);
        process.exe = process.exe.as_ref().map(|path| pseudonyms.path(path));
        for thread in &mut process.threads {
            thread.comm = pseudonyms.name(&thread.comm);
        }
    }
    for peer in &mut report.peers {
        peer.address = pseudonyms.address(&peer.address);
    }
    // Sentences last: by now all names are known.
    io_verdict(&mut report.verdict.io_model, pseudonyms);
    server_verdict(&mut report.verdict.server_model, pseudonyms);
    for verdict in report.processes.iter_mut().filter_map(|p| p.io_verdict.as_mut()) {
        io_verdict(verdict, pseudonyms);
    }
    for finding in &mut report.findings {
        for text in [&mut finding.title, &mut finding.evidence, &mut finding.advice] {
            *text = pseudonyms.text(text);
        }
    }
    if let Some(balance) = &mut report.balance {
        balance.cause = pseudonyms.text(&balance.cause);
    }
    texts(&mut report.blind_spots, pseudonyms);
    texts(&mut report.degraded, pseudonyms);
}

fn io_verdict(verdict: &mut IoVerdict, pseudonyms: &mut Pseudonyms) {
    for evidence in &mut verdict.evidence {
        evidence.text = pseudonyms.text(&evidence.text);
    }
    verdict.settle = verdict.settle.as_ref().map(|text| pseudonyms.text(text));
    for inner in [&mut verdict.upstream, &mut verdict.storage].into_iter().flatten() {
        io_verdict(inner, pseudonyms);
    }
}

fn server_verdict(verdict: &mut ServerVerdict, pseudonyms: &mut Pseudonyms) {
    for evidence in &mut verdict.evidence {
        evidence.text = pseudonyms.text(&evidence.text);
    }
}

fn texts(texts: &mut [String], pseudonyms: &mut Pseudonyms) {
    for text in texts {
        *text = pseudonyms.text(text);
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::model;
    use crate::model::balance::{Balance, Spread};
    use crate::model::verdict::Finding;
    use crate::report::{build, sample};

    /// Strings that are the tool's and not the target's. A new field that holds the target's belongs above, not here.
    const KEPT: [&str; 21] = [
        "started_at",
        "version",
        "tier",
        "object_sha256",
        "kernel",
        "arch",
        "syscall",
        "receive_syscall",
        "storage_syscall",
        "schema_version",
        "name",
        "mechanism",
        "qualifier",
        "units",
        "code",
        "severity",
        "server_model",
        "caller",
        "longest_sleep_syscall",
        "sleep_syscall",
        "callee",
    ];

    fn pseudonyms() -> Pseudonyms {
        Pseudonyms::new(b"key").expect("a key")
    }

    /// Every place of a string below `value`, as a JSON pointer.
    fn strings(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::String(_) => found.push(at.to_owned()),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(i, item)| strings(item, &format!("{at}/{i}"), found));
            }
            Value::Object(fields) => {
                fields.iter().for_each(|(name, field)| strings(field, &format!("{at}/{name}"), found));
            }
            _ => {}
        }
    }

    /// Puts an address into every string in turn, and looks for it afterwards.
    fn nothing_survives<T: Serialize + DeserializeOwned>(whole: &T, redact: fn(&mut T, &mut Pseudonyms)) {
        const SECRET: &str = "8.8.4.4";
        let whole = serde_json::to_value(whole).expect("JSON");
        let mut places = Vec::new();
        strings(&whole, "", &mut places);
        assert!(places.len() > 20);
        for place in places {
            let mut changed = whole.clone();
            *changed.pointer_mut(&place).expect("it is there") = json!(SECRET);
            // A name of a kind cannot be anything.
            let Ok(mut typed) = serde_json::from_value::<T>(changed) else { continue };
            redact(&mut typed, &mut pseudonyms());
            let field = place.rsplit('/').next().unwrap_or_default();
            let text = serde_json::to_string(&typed).expect("JSON");
            assert_eq!(text.contains(SECRET), KEPT.contains(&field), "{place}");
        }
    }

    fn sample_report() -> Report {
        let snapshot = sample::snapshot(2);
        let mut report = build::build(&snapshot, &sample::verdicts(&snapshot));
        let text = || "text".to_owned();
        report.findings =
            vec![Finding { code: text(), severity: text(), title: text(), evidence: text(), advice: text() }];
        report.degraded = vec![text()];
        report.balance = Some(Balance {
            workers: 2,
            gini: 0.0,
            gini_connections: None,
            gini_cpu: 0.0,
            spread: Spread::Unseen,
            cause: text(),
        });
        report.verdict.io_model.settle = Some(text());
        report.verdict.io_model.upstream = Some(Box::new(report.verdict.io_model.clone()));
        report
    }

    #[test]
    fn no_string_of_the_target_survives() {
        let mut snapshot = sample::snapshot(2);
        snapshot.degraded = vec!["text".to_owned()];
        snapshot.peers = vec![crate::snapshot::Peer {
            side: trace_common::conn::Side::Client,
            address: "text".to_owned(),
            connections: 1,
            waits: 0,
            wait_ns: 0,
            receives: 0,
            bytes: 0,
            replies: 0,
            reply_ns: 0,
        }];
        nothing_survives(&snapshot, super::snapshot);
        nothing_survives(&sample_report(), report);
    }

    #[test]
    fn the_verdict_stays() {
        let verdict = |snapshot: &Snapshot| {
            let report = build::build(snapshot, &model::classify(snapshot));
            let threads =
                report.processes.iter().flat_map(|p| &p.threads).map(|t| (t.tid, t.role, t.io_model));
            let threads: Vec<_> = threads.collect();
            serde_json::to_string(&(&report.verdict, threads, &report.findings)).expect("JSON")
        };
        let original = sample::snapshot(5);
        let mut redacted = original.clone();
        snapshot(&mut redacted, &mut pseudonyms());
        assert_ne!(original.processes[0].comm, redacted.processes[0].comm);
        assert_eq!(verdict(&redacted), verdict(&original));
    }

    #[test]
    fn a_report_and_its_measurement_get_the_same_pseudonyms() {
        let mut measured = sample::snapshot(3);
        let mut taken = build::build(&measured, &sample::verdicts(&measured));
        snapshot(&mut measured, &mut pseudonyms());
        report(&mut taken, &mut pseudonyms());
        let again = build::build(&measured, &sample::verdicts(&measured));
        let json = |report: &Report| serde_json::to_value(report).expect("JSON");
        assert_eq!(json(&taken)["target"], json(&again)["target"]);
        assert_eq!(json(&taken)["peers"], json(&again)["peers"]);
        assert_eq!(json(&taken)["processes"], json(&again)["processes"]);
    }
}
