//! `trace redact`: saved files without the strings that tell whose they are. Numbers stay, so verdicts do.

pub mod pseudonym;

use crate::model::verdict::{IoVerdict, ServerVerdict};
use crate::report::schema::Report;
use crate::snapshot::{Container, Snapshot};
use pseudonym::Pseudonyms;

/// Words of trace's own command line that are no options.
const OWN_WORDS: [&str; 3] = ["attach", "run", "demo"];

/// Replaces the strings of a measurement.
pub fn snapshot(snapshot: &mut Snapshot, pseudonyms: &mut Pseudonyms) {
    command(&mut snapshot.tool.command, pseudonyms);
    for process in &mut snapshot.processes {
        process.comm = pseudonyms.name(&process.comm);
        process.exe = process.exe.as_ref().map(|path| pseudonyms.path(path));
        container(&mut process.container, pseudonyms);
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
    if let Some(timeline) = &mut snapshot.timeline {
        for thread in &mut timeline.threads {
            thread.comm = pseudonyms.name(&thread.comm);
        }
        for connection in &mut timeline.connections {
            connection.address = pseudonyms.address(&connection.address);
        }
    }
    texts(&mut snapshot.degraded, pseudonyms);
}

/// Replaces the strings of a report; in its sentences, those that stand somewhere else in it, and whatever looks like an
/// address or a path.
pub fn report(report: &mut Report, pseudonyms: &mut Pseudonyms) {
    command(&mut report.tool.command, pseudonyms);
    let target = &mut report.target;
    target.comm = target.comm.as_ref().map(|name| pseudonyms.name(name));
    target.exe = target.exe.as_ref().map(|path| pseudonyms.path(path));
    container(&mut target.container, pseudonyms);
    for process in &mut report.processes {
        process.comm = pseudonyms.name(&process.comm);
        process.exe = process.exe.as_ref().map(|path| pseudonyms.path(path));
        container(&mut process.container, pseudonyms);
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

/// Its id is a name as well: that of LXC and nspawn was given by people.
fn container(container: &mut Option<Container>, pseudonyms: &mut Pseudonyms) {
    if let Some(container) = container {
        container.id = pseudonyms.name(&container.id);
    }
}

/// Replaces, in the command line that measured, all but trace's own words and numbers: after `--` stands a command of
/// which nothing is known.
fn command(command: &mut Option<Vec<String>>, pseudonyms: &mut Pseudonyms) {
    let mut own = true;
    for (i, word) in command.iter_mut().flatten().enumerate() {
        if word == "--" {
            own = false;
        } else if i == 0 {
            *word = "trace".to_owned();
        } else if !own {
            // Whatever it is: not even a number of it stays.
            *word = pseudonyms.path(word);
        } else if let Some((option, value)) = word.split_once('=').filter(|(option, _)| is_option(option)) {
            *word = format!("{option}={}", argument(value, pseudonyms));
        } else if !is_option(word) && !OWN_WORDS.contains(&word.as_str()) {
            *word = argument(word, pseudonyms);
        }
    }
}

fn is_option(word: &str) -> bool {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
    name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
}

/// A process id, a port or a time stays: what is at most seven digits, with a unit or without.
fn argument(word: &str, pseudonyms: &mut Pseudonyms) -> String {
    let unit = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = word.len() - unit.len();
    if (1..=7).contains(&digits) && matches!(unit, "" | "ms" | "s" | "m" | "h" | "%") {
        word.to_owned()
    } else if word.contains('/') {
        pseudonyms.path(word)
    } else {
        pseudonyms.name(word)
    }
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
    use crate::report::schema::Samples;
    use crate::report::{build, sample};

    /// Strings that are the tool's and not the target's. A new field that holds the target's belongs above, not here.
    const KEPT: [&str; 25] = [
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
        // Of a step down: tiers, and the name and confidence of a verdict.
        "from",
        "to",
        "io_model",
        "confidence",
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
        report.tool.command = Some(vec![text(), text()]);
        report.tool.steps = vec![sample::step()];
        report.processes[0].threads[0].samples =
            Some(Samples { count: 1, runnable: 0, seen: vec![sample::seen()] });
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
        snapshot.tool.command = Some(["trace", "attach", "--name", "text"].map(str::to_owned).into());
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
        snapshot.tool.steps = vec![sample::step()];
        snapshot.sampled = Some(sample::sampled(&[100]));
        nothing_survives(&snapshot, super::snapshot);
        nothing_survives(&sample_report(), report);
    }

    #[test]
    fn of_a_command_line_only_the_words_of_trace_stay() {
        let redacted = |line: &str| {
            let mut words = Some(line.split(' ').map(str::to_owned).collect());
            command(&mut words, &mut pseudonyms());
            words.unwrap_or_default().join(" ")
        };
        let name = |name: &str| pseudonyms().name(name);
        let path = |path: &str| pseudonyms().path(path);
        assert_eq!(
            redacted("/opt/trace attach --name nginx --duration 10s --port=80 --output=/home/me/x.json -vv"),
            format!(
                "trace attach --name {} --duration 10s --port=80 --output={} -vv",
                name("nginx"),
                path("/home/me/x.json")
            )
        );
        assert_eq!(
            redacted("trace run --quiet -- ./attach --secret attach"),
            format!("trace run --quiet -- {} {} {}", path("./attach"), path("--secret"), path("attach"))
        );
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
