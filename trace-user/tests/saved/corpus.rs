//! Every measurement of a real server that is kept (`truth/snapshots`): its report is valid, all its words are explained,
//! and without names it is judged the same.

use std::fs::File;
use std::path::Path;

use serde_json::{Value, json};
use trace_user::redact::{self, pseudonym::Pseudonyms};
use trace_user::report::build;
use trace_user::report::schema::Report;
use trace_user::snapshot::{Snapshot, file};
use trace_user::{diff, json_schema, model, names, topics};

/// All of them, by name.
fn corpus() -> Vec<(String, Snapshot)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../truth/snapshots");
    let mut all: Vec<(String, Snapshot)> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "trace"))
        .map(|path| (path.display().to_string(), file::decode(File::open(path).unwrap()).unwrap()))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(all.len() > 100);
    all
}

fn report(snapshot: &Snapshot) -> Report {
    build::build(snapshot, &model::classify(snapshot))
}

fn value(report: &Report) -> Value {
    serde_json::to_value(report).unwrap()
}

#[test]
fn reports_are_valid_and_all_their_words_are_explained() {
    let validator = jsonschema::draft202012::new(&json_schema::document()).unwrap();
    let explained = |kind: &str, name: &str| {
        let words = [kind.to_owned(), name.to_owned()];
        assert!(!topics::find(&words).topics.is_empty(), "no topic: {kind} {name}");
    };
    for (name, snapshot) in corpus() {
        let report = report(&snapshot);
        let value = value(&report);
        let errors: Vec<_> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        let verdict = &report.verdict;
        explained("model", verdict.io_model.name.name());
        explained("server-model", &verdict.server_model.name);
        assert!(names::SERVER_MODELS.contains(&&*verdict.server_model.name));
        for qualifier in [&verdict.io_model.qualifier, &verdict.server_model.qualifier].into_iter().flatten()
        {
            explained("qualifier", qualifier);
        }
        let inner = [&verdict.io_model.upstream, &verdict.io_model.storage];
        let inner = inner.into_iter().flatten().flat_map(|verdict| &verdict.evidence);
        let evidence = verdict.io_model.evidence.iter().chain(&verdict.server_model.evidence).chain(inner);
        evidence.for_each(|evidence| explained("evidence", &evidence.code));
        report.findings.iter().for_each(|finding| explained("finding", &finding.code));
        report.loss.keys().for_each(|counter| explained("loss", counter));
    }
}

/// What a report says beside names: its peers and threads may change their order with them.
fn judged(report: &Value) -> Value {
    let findings: Vec<&Value> = report["findings"].as_array().unwrap().iter().map(|f| &f["code"]).collect();
    json!([report["verdict"], report["turns"], report["distributions"], report["loss"], findings])
}

#[test]
fn without_names_they_are_judged_the_same() {
    for (name, snapshot) in corpus() {
        let mut redacted = snapshot.clone();
        redact::snapshot(&mut redacted, &mut Pseudonyms::new(b"key").unwrap());
        let (before, after) = (value(&report(&snapshot)), value(&report(&redacted)));
        assert_eq!(judged(&before), judged(&after), "{name}");
        let left = after.to_string();
        for process in &snapshot.processes {
            assert!(
                process.comm.len() < 4 || !left.contains(&format!("\"{}\"", process.comm)),
                "{name}: {}",
                process.comm
            );
            assert!(process.exe.as_ref().is_none_or(|exe| !left.contains(exe.as_str())), "{name}");
        }
    }
}

#[test]
fn each_can_be_compared_with_the_next() {
    let reports: Vec<Report> = corpus().iter().map(|(_, snapshot)| report(snapshot)).collect();
    for pair in reports.windows(2) {
        let diff = diff::compare(&pair[0], &pair[1]).unwrap();
        let page = diff::page::render(&diff);
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }
}
