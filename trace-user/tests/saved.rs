//! Commands on saved files, and what the program says of itself: everything that needs no privileges.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

#[path = "saved/corpus.rs"]
mod corpus;
#[path = "saved/offline.rs"]
mod offline;
#[path = "snapshot/packed.rs"]
#[allow(dead_code, reason = "not every test uses everything")]
mod packed;

use std::process::{Command, Output};

use packed::{SAVED, pack, unpack};
use serde_json::{Value, json};
use tempfile::TempDir;

const TRACE: &str = env!("CARGO_BIN_EXE_trace");
const SAVED_TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
/// redis-server with 20 connections under redis-benchmark for two seconds, by trace 0.1.0 with version 1.0 of the format.
/// It stays as it is: later versions have to read it.
const REDIS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/v1-old.trace");

fn run(args: &[&str]) -> Output {
    Command::new(TRACE).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What it prints, if it ends with this code and says nothing else.
#[track_caller]
fn says(code: i32, args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
    assert!(output.stderr.is_empty(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

/// Exit code 2, nothing on stdout, and an error with all of this.
#[track_caller]
fn refused(args: &[&str], texts: &[&str]) {
    let output = run(args);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty());
    texts.iter().for_each(|text| assert!(stderr.contains(text), "no {text:?} in: {stderr}"));
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A directory with the report on redis as `redis.json` in it.
fn with_report() -> (TempDir, String) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("redis.json").to_str().unwrap().to_owned();
    std::fs::write(&path, says(0, &["report", REDIS, "--format", "json"])).unwrap();
    (directory, path)
}

#[test]
fn an_old_measurement_is_read_and_judged_as_it_was() {
    let report = says(0, &["report", REDIS]);
    for words in
        ["I/O model: multiplexing (epoll), high", "Server model: single-reactor, high", "59,347 calls"]
    {
        assert!(report.contains(words), "{report}");
    }
}

#[test]
fn a_newer_major_version_is_refused_by_every_command() {
    let (directory, report) = with_report();
    let newer = directory.path().join("newer.trace").to_str().unwrap().to_owned();
    let mut document = json(text(&unpack(&std::fs::read(REDIS).unwrap())));
    document["version"] = json!("2.0");
    std::fs::write(&newer, pack(&document)).unwrap();
    let newer_report = directory.path().join("newer.json").to_str().unwrap().to_owned();
    let mut document = json(&std::fs::read_to_string(&report).unwrap());
    document["schema_version"] = json!("2.0");
    std::fs::write(&newer_report, document.to_string()).unwrap();
    let out = directory.path().join("out.json").to_str().unwrap().to_owned();
    refused(&["report", &newer], &["version 2.0", "reads 1.0"]);
    for file in [&newer, &newer_report] {
        refused(&["diff", REDIS, file], &["version 2.0", "reads 1.0"]);
        refused(&["check", file, "--expect", "threads=1"], &["version 2.0"]);
        refused(&["explain", "copy", "--report", file], &["version 2.0"]);
        refused(&["redact", file, "--output", &out], &["version 2.0"]);
    }
    assert!(!std::path::Path::new(&out).exists());
}

#[test]
fn what_is_neither_measurement_nor_report_is_refused() {
    refused(&["diff", REDIS, "/nonexistent.trace"], &["cannot read /nonexistent.trace", "No such file"]);
    refused(&["diff", "/", REDIS], &["Is a directory"]);
    refused(&["check", "/dev/null", "--expect", "threads=1"], &["it is empty"]);
    refused(&["check", "/dev/zero", "--expect", "threads=1"], &["it holds more than"]);
    refused(&["explain", "copy", "--report", SAVED_TEXT], &["no report"]);
}

#[test]
fn a_measurement_and_the_report_on_it_are_compared_checked_and_explained_alike() {
    let (_directory, report) = with_report();
    let alike = |args: &dyn Fn(&str) -> Vec<String>| {
        let said = |file: &str| {
            let args = args(file);
            says(0, &args.iter().map(String::as_str).collect::<Vec<_>>())
        };
        assert_eq!(said(REDIS), said(&report));
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    alike(&|file| words(&format!("diff {SAVED} {file}")));
    alike(&|file| words(&format!("diff {file} {SAVED} --json")));
    alike(&|file| words(&format!("check {file} --expect threads=5")));
    alike(&|file| words(&format!("explain wait_ready --report {file}")));
}

#[test]
fn a_comparison_says_what_changed_and_why_it_is_unfair() {
    let page = says(0, &["diff", SAVED, REDIS]).split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["from blocking (read) to multiplexing (epoll)", "Not a fair comparison", "other targets"] {
        assert!(page.contains(words), "{page}");
    }
    let diff = json(&says(0, &["diff", SAVED, REDIS, "--format", "json"]));
    assert_eq!(diff["io_model"]["after"]["name"], "multiplexing");
    assert_eq!(diff["io_model"]["before"]["confidence"], "high");
    let same = json(&says(0, &["diff", REDIS, REDIS, "--json"]));
    assert_eq!(same["warnings"], json!([]));
}

#[test]
fn other_tiers_are_not_compared() {
    let (directory, report) = with_report();
    let other = directory.path().join("other.json").to_str().unwrap().to_owned();
    let mut document = json(&std::fs::read_to_string(&report).unwrap());
    document["tool"]["tier"] = json!("sched");
    std::fs::write(&other, document.to_string()).unwrap();
    refused(&["diff", &report, &other], &["tier full", "tier sched", "--tier"]);
}

#[test]
fn expectations_have_an_exit_code_for_each_answer() {
    let lines =
        says(0, &["check", REDIS, "--expect", "io_model=multiplexing", "--expect", "wait_ready.p99<=10ms"]);
    assert_eq!(lines.matches("✓ holds").count(), 2);
    let lines = says(3, &["check", REDIS, "--expect", "io_model=blocking", "--expect", "wait_send.p99<1s"]);
    assert!(lines.contains("✗ failed      io_model=blocking  (measured multiplexing)"), "{lines}");
    let lines = says(4, &["check", REDIS, "--expect", "threads=5", "--expect", "wait_send.p99<1s"]);
    assert!(lines.contains("? undecidable wait_send.p99<1s  (measured nothing"), "{lines}");
    let answers = json(&says(3, &["check", REDIS, "--expect", "threads=6", "--json"]));
    assert_eq!((&answers["exit_code"], &answers["answers"][0]["outcome"]), (&json!(3), &json!("fails")));
    refused(&["check", REDIS, "--expect", "thread=5"], &["did you mean threads?"]);
    refused(&["check", REDIS, "--expect", "io_model=multiplexin"], &["did you mean multiplexing?"]);
    refused(&["check", REDIS], &["--expect"]);
    assert!(says(0, &["check", "--names"]).lines().any(|name| name == "account.wait_data.share"));
}

#[test]
fn junit_is_written_beside_the_answers_and_not_over_a_file() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("out.xml");
    let path = file.to_str().unwrap();
    let check = ["check", REDIS, "--expect", "threads=6", "--junit", path];
    says(3, &check);
    let xml = std::fs::read_to_string(&file).unwrap();
    assert!(xml.starts_with("<?xml") && xml.contains("failures=\"1\""), "{xml}");
    refused(&check, &["exists already", "--force"]);
    says(3, &[&check[..], &["--force"]].concat());
}

#[test]
fn topics_are_listed_explained_and_guessed() {
    assert!(says(0, &["explain"]).contains("multi-reactor"));
    assert!(says(0, &["explain", "exit", "7"]).contains("lockdown"));
    assert!(says(0, &["explain", "multiplexing", "--report", REDIS]).contains("100% of the decided waits"));
    refused(&["explain", "multiplexin"], &["trace explain multiplexing"]);
    refused(&["explain", "\x1b[2J"], &["u{1b}[2J"]);
}

#[test]
fn a_redacted_measurement_names_nobody_and_keeps_its_verdict() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (measured, report) = (path("r.trace"), path("r.json"));
    says(0, &["redact", REDIS, "--output", &measured, "--key", "k"]);
    says(0, &["redact", REDIS, "--output", &report, "--key", "k"]);
    let unpacked = unpack(&std::fs::read(&measured).unwrap());
    for content in [text(&unpacked), &std::fs::read_to_string(&report).unwrap()] {
        assert!(
            !["redis", "bio_", "jemalloc", "/usr"].iter().any(|name| content.contains(name)),
            "{content}"
        );
    }
    let judged = |file: &str| json(&says(0, &["report", file, "--format", "json"]));
    let (before, after) = (judged(REDIS), judged(&measured));
    assert_eq!(before["verdict"], after["verdict"]);
    assert_eq!(before["distributions"], after["distributions"]);
    assert_eq!(after, json(&std::fs::read_to_string(&report).unwrap()));
    refused(&["redact", REDIS, "--output", &measured], &["exists already"]);
    refused(&["redact", &report, "--output", &path("x.trace")], &["does not hold what was measured"]);
    refused(&["redact", REDIS, "--output", &path("x.html")], &["stands for no format"]);
    refused(&["redact", REDIS, "--output", &path("x.json"), "--key", ""], &["the key is empty"]);
    says(0, &["redact", REDIS, "--output", &path("random.json")]);
    let random = json(&std::fs::read_to_string(path("random.json")).unwrap());
    assert_ne!(random["target"]["comm"], after["target"]["comm"]);
}
