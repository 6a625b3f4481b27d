//! Interval reports: `--interval`.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::process::Command;

use fixtures::Mode;
use fixtures::load::Pattern;
use serde_json::Value;
use support::programs::{load, serve, trace};
use support::test_alone;
use tempfile::TempDir;

fn lines(text: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn calls(report: &Value) -> u64 {
    let threads = report["processes"][0]["threads"].as_array().unwrap();
    threads.iter().map(|t| t["receives"]["calls"].as_u64().unwrap()).sum()
}

#[test]
fn each_line_is_a_report_and_the_last_one_the_report() {
    test_alone!();
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let server = serve(Mode::Epoll, "");
    let _load = load(Pattern::PingPong, &server, "--connections 4 --think 5");
    let pid = server.pid().to_string();
    let output = Command::new(trace())
        .args(["attach", "--pid", &pid, "--duration", "1100ms", "--interval", "300ms", "--format", "jsonl"])
        .args(["--quiet", "--output", &path("a.jsonl"), &path("a.trace"), &path("a.txt")])
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(std::fs::read(path("a.jsonl")).unwrap(), output.stdout);
    let mut reports = lines(&output.stdout);
    // On a crowded machine the end may come before a line that is late.
    assert!((3..=4).contains(&reports.len()), "{}", reports.len());
    let last = reports.len() - 1;
    let (mut end, mut seen) = (0, 0);
    for (i, report) in reports.iter().enumerate() {
        let interval = &report["interval"];
        assert_eq!((interval["index"].as_u64(), interval["from_ns"].as_u64()), (Some(i as u64), Some(end)));
        end = interval["to_ns"].as_u64().unwrap();
        assert_eq!(report["window"]["duration_ns"].as_u64(), Some(end));
        assert_eq!(report["window"]["ended_by"], if i < last { "open" } else { "duration" });
        assert!(calls(report) > seen, "everything since the window's start");
        seen = calls(report);
    }
    let mut last = reports.pop().unwrap();
    last.as_object_mut().unwrap().remove("interval").unwrap();
    let again =
        Command::new(trace()).args(["report", &path("a.trace"), "--format", "json"]).output().unwrap();
    assert_eq!(last, serde_json::from_slice::<Value>(&again.stdout).unwrap());
    assert!(std::fs::read_to_string(path("a.txt")).unwrap().contains("I/O model: multiplexing"));
}
