//! Formats of the report, from saved measurements of real servers: kept word by word in `tests/golden/`, and read back
//! by programs that others wrote. None of it needs privileges.
//!
//! `TRACE_BLESS=1 cargo test -p trace-user --test formats` writes the golden files anew; look at what changed.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

#[path = "formats/browser.rs"]
mod browser;
#[path = "snapshot/packed.rs"]
mod packed;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Servers with a golden file for each format.
const GOLDEN: [&str; 2] = ["redis", "nginx"];
/// All servers: MariaDB's threads wait for one client each.
const SERVERS: [&str; 3] = ["redis", "nginx", "mariadb"];
/// The formats by their extension, and each table of csv.
const FORMATS: [&str; 15] = [
    "txt",
    "json",
    "md",
    "html",
    "folded",
    "prom",
    "verdict.csv",
    "evidence.csv",
    "processes.csv",
    "threads.csv",
    "peers.csv",
    "distributions.csv",
    "findings.csv",
    "losses.csv",
    "calls.csv",
];
/// Debian's Python: its packages are no help to another one on the search path.
const PYTHON: &str = "/usr/bin/python3";

/// The binary `trace`: `TRACE_BIN`, or the one that cargo built for this test.
fn trace() -> PathBuf {
    std::env::var_os("TRACE_BIN").map_or_else(|| env!("CARGO_BIN_EXE_trace").into(), PathBuf::from)
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// What `trace report` of a server's measurement writes with these arguments.
fn report(server: &str, args: &[&str]) -> String {
    let saved = data("data").join(format!("{server}.trace"));
    let output = Command::new(trace()).arg("report").arg(saved).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(server: &str) -> Value {
    serde_json::from_str(&report(server, &["--format", "json"])).unwrap()
}

/// A report in a file.
fn written(directory: &TempDir, server: &str, extension: &str) -> PathBuf {
    let path = directory.path().join(format!("{server}.{extension}"));
    report(server, &["--output", path.to_str().unwrap()]);
    path
}

/// What a Python program prints that is given a file.
fn python(program: &str, file: &Path) -> Value {
    let output = Command::new(PYTHON).args(["-I", "-c", program]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A page without its style and the report in it, which other golden files hold.
fn without_style_and_report(page: &str) -> String {
    let cut = |text: &str, from: &str, to: &str| {
        let (before, rest) = text.split_once(from).unwrap();
        let (_, after) = rest.split_once(to).unwrap();
        format!("{before}{from}…{to}{after}")
    };
    let page = cut(page, "<style>", "</style>");
    // One element a line, so that a change can be seen.
    cut(&page, "id=\"report\">", "</script>").replace("><", ">\n<")
}

#[test]
fn every_format_is_as_it_was() {
    let directory = TempDir::new().unwrap();
    let bless = std::env::var_os("TRACE_BLESS").is_some();
    let mut changed = Vec::new();
    for server in GOLDEN {
        for extension in FORMATS {
            let mut text = std::fs::read_to_string(written(&directory, server, extension)).unwrap();
            if extension == "html" {
                text = without_style_and_report(&text);
            }
            let golden = data("golden").join(format!("{server}.{extension}"));
            if bless {
                std::fs::write(&golden, text).unwrap();
            } else if std::fs::read_to_string(&golden).ok() != Some(text) {
                changed.push(golden);
            }
        }
    }
    let how = "TRACE_BLESS=1 cargo test -p trace-user --test formats every_format, then look at git diff";
    assert!(changed.is_empty(), "these changed: {changed:#?}\nif they should: {how}");
}

/// redis answered a few clients for 400 ms.
#[test]
fn the_timeline_is_as_it_was_and_a_strict_reader_takes_it() {
    let directory = TempDir::new().unwrap();
    let timeline = written(&directory, "timeline", "timeline.json");
    let text = std::fs::read_to_string(&timeline).unwrap();
    assert_eq!(report("timeline", &["--format", "timeline"]), text);
    let golden = data("golden").join("timeline.timeline.json");
    if std::env::var_os("TRACE_BLESS").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&golden).unwrap(), text, "TRACE_BLESS=1 writes it anew");
    let reader = Command::new(PYTHON)
        .arg("-I")
        .arg(data("timeline/read.py"))
        .arg(&timeline)
        .arg(written(&directory, "timeline", "json"))
        .output()
        .unwrap();
    assert!(reader.status.success(), "{}", String::from_utf8_lossy(&reader.stderr));
    let seen: Value = serde_json::from_slice(&reader.stdout).unwrap();
    assert!(seen["turns"].as_u64() > Some(2) && seen["threads"] == 5, "{seen}");
}

#[test]
fn stdout_and_files_are_the_same() {
    let directory = TempDir::new().unwrap();
    for (format, extension) in
        [("table", "txt"), ("json", "json"), ("jsonl", "jsonl"), ("csv", "csv"), ("markdown", "md")]
    {
        let file = std::fs::read_to_string(written(&directory, "redis", extension)).unwrap();
        assert_eq!(report("redis", &["--format", format]), file, "{format}");
    }
    for (format, extension) in [("html", "html"), ("folded", "folded"), ("prometheus", "prom")] {
        let file = std::fs::read_to_string(written(&directory, "redis", extension)).unwrap();
        assert_eq!(report("redis", &["--format", format]), file, "{format}");
    }
    let peers = std::fs::read_to_string(written(&directory, "redis", "peers.csv")).unwrap();
    assert_eq!(report("redis", &["--format", "csv", "--csv-table", "peers"]), peers);
}

#[test]
fn a_line_of_jsonl_is_the_report() {
    for server in SERVERS {
        let line = report(server, &["--format", "jsonl"]);
        assert_eq!(line.lines().count(), 1);
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), json(server));
    }
}

#[test]
fn python_reads_the_csv_back_as_the_report_has_it() {
    const READ: &str = "import csv, json, sys\n\
        rows = list(csv.DictReader(open(sys.argv[1], newline=''), strict=True))\n\
        print(json.dumps(rows))";
    let directory = TempDir::new().unwrap();
    for server in SERVERS {
        let report = json(server);
        let threads = python(READ, &written(&directory, server, "threads.csv"));
        let all = report["processes"].as_array().unwrap().iter();
        let all: Vec<&Value> = all.flat_map(|p| p["threads"].as_array().unwrap()).collect();
        assert_eq!(threads.as_array().unwrap().len(), all.len());
        for (row, thread) in threads.as_array().unwrap().iter().zip(all) {
            for (column, cell) in row.as_object().unwrap() {
                if matches!(column.as_str(), "pid" | "process" | "epoch") {
                    continue;
                }
                let value = thread.pointer(&format!("/{}", column.replace('.', "/")));
                assert_eq!(*cell, cell_of(value), "{server}: {column}");
            }
        }
        let losses = python(READ, &written(&directory, server, "losses.csv"));
        let counts = losses.as_array().unwrap().iter().map(|row| {
            (
                row["counter"].as_str().unwrap().to_owned(),
                json!(row["count"].as_str().unwrap().parse::<u64>().unwrap()),
            )
        });
        assert_eq!(Value::Object(counts.collect()), report["loss"]);
    }
}

fn cell_of(value: Option<&Value>) -> Value {
    match value {
        None | Some(Value::Null) => json!(""),
        Some(Value::String(text)) => json!(text),
        Some(other) => json!(other.to_string()),
    }
}

#[test]
fn the_client_library_of_prometheus_reads_its_text() {
    const READ: &str = "import json, sys\n\
        from prometheus_client.parser import text_string_to_metric_families as parse\n\
        samples = [s for f in parse(open(sys.argv[1]).read()) for s in f.samples]\n\
        print(json.dumps([[s.name, s.labels, s.value] for s in samples]))";
    let directory = TempDir::new().unwrap();
    for server in SERVERS {
        let report = json(server);
        let samples = python(READ, &written(&directory, server, "prom"));
        let samples = samples.as_array().unwrap();
        let named = |name: &str| samples.iter().filter(|s| s[0] == name).collect::<Vec<_>>();
        assert_eq!(named("trace_io_model_info")[0][1]["name"], report["verdict"]["io_model"]["name"]);
        let losses = named("trace_loss");
        assert_eq!(losses.len(), report["loss"].as_object().unwrap().len());
        for loss in losses {
            let count = &report["loss"][loss[1]["counter"].as_str().unwrap()];
            assert_eq!(loss[2].as_f64(), count.as_f64());
        }
        let seconds: f64 = named("trace_ledger_seconds").iter().filter_map(|s| s[2].as_f64()).sum();
        assert!((seconds - lived(&report)).abs() < 1e-6, "{seconds}");
        let mut told: Vec<String> = samples.iter().map(|s| format!("{}{}", s[0], s[1])).collect();
        told.sort();
        told.dedup();
        assert_eq!(told.len(), samples.len(), "no sample twice");
    }
}

/// Time of all threads, s: the sum of all ledgers.
fn lived(report: &Value) -> f64 {
    let ns = |value: &Value| value["lived_ns"].as_u64().unwrap();
    let of = |p: &Value| ns(&p["exited"]) + p["threads"].as_array().unwrap().iter().map(ns).sum::<u64>();
    report["processes"].as_array().unwrap().iter().map(of).sum::<u64>() as f64 / 1e9
}

#[test]
fn folded_stacks_add_up_to_the_time_that_the_threads_lived() {
    for server in SERVERS {
        let text = report(server, &["--format", "folded"]);
        let ns: u64 = text.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
        assert!((ns as f64 / 1e9 - lived(&json(server))).abs() < 1e-6, "{text}");
    }
}

#[test]
fn the_page_shows_the_figures_of_the_report_in_a_browser_and_asks_nobody() {
    let directory = TempDir::new().unwrap();
    for server in SERVERS {
        let seen = browser::open(&written(&directory, server, "html"));
        assert_eq!(seen.complaints, Vec::<String>::new());
        assert_eq!(seen.requests, 0);
        let report = json(server);
        let figures = browser::figures(&seen.page);
        assert!(figures.len() > 20, "{figures:?}");
        for (at, value) in figures {
            assert_eq!(json!(value), cell_of(report.pointer(&at)), "{at}");
        }
        let (_, inner) = seen.page.split_once("id=\"report\">").unwrap();
        let inner: Value = serde_json::from_str(inner.split_once("</script>").unwrap().0).unwrap();
        assert_eq!(inner, report);
    }
}

/// Names that would do harm where they are obeyed, in a saved measurement: not one is.
#[test]
fn hostile_names_come_out_inert_in_every_format() {
    let directory = TempDir::new().unwrap();
    for harm in [
        "</script><script>document.title='HARM'</script>",
        "\"><img src=http://192.0.2.1/x.png onerror=alert(1)>",
        "=cmd|'/c calc'!A0\r\n,;\"",
        "\u{1b}[2J\u{202e}\u{9b}\n{HARM=\"1\"} 1;\u{fffd}",
    ] {
        let mut document = packed::saved();
        let snapshot = &mut document["snapshot"];
        for (at, field) in [("/processes", "comm"), ("/processes", "exe"), ("/threads", "comm")] {
            for item in snapshot.pointer_mut(at).unwrap().as_array_mut().unwrap() {
                item[field] = json!(harm);
            }
        }
        for connection in snapshot["connections"].as_array_mut().unwrap() {
            connection["address"] = json!(harm);
        }
        snapshot["tool"]["command"] = json!(["trace", "run", "--", harm]);
        snapshot["timeline"] = json!({
            "limit": u64::MAX,
            "dropped": u64::MAX,
            "threads": [{"tid": 1, "pid": 1, "comm": harm, "spans": [[0, u64::MAX, 5], [255, 0, 5]]}],
            "connections": [{"pid": u32::MAX, "side": "server", "address": harm, "spans": [[1, 0, 5], [0, 0, 9]]}],
        });
        let saved = directory.path().join("hostile.trace");
        std::fs::write(&saved, packed::pack(&document)).unwrap();
        for extension in FORMATS.into_iter().chain(["timeline.json"]) {
            let path = directory.path().join(format!("hostile.{extension}"));
            let mut command = Command::new(trace());
            command.arg("report").arg(&saved).args(["--force", "--output"]).arg(&path);
            assert!(command.output().unwrap().status.success());
            let text = std::fs::read_to_string(path).unwrap();
            let obeyed =
                text.chars().find(|c| c.is_control() && *c != '\n' || matches!(c, '\u{202e}' | '\u{fffd}'));
            assert_eq!(obeyed, None, "{extension}");
        }
        let seen = browser::open(&directory.path().join("hostile.html"));
        assert_eq!((seen.complaints, seen.requests), (Vec::new(), 0));
        assert!(!seen.page.contains("<title>HARM"));
    }
}

/// What tests of the page look for is found where it is.
#[test]
fn a_page_that_complains_and_asks_is_noticed() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("bad.html");
    let page = "<!DOCTYPE html><script>nothing.there()</script><img src='http://192.0.2.1/x.png'>";
    std::fs::write(&path, page).unwrap();
    let seen = browser::open(&path);
    assert!(!seen.complaints.is_empty() && seen.requests > 0);
}

#[test]
fn a_button_of_the_page_saves_the_report() {
    let directory = TempDir::new().unwrap();
    let page = std::fs::read_to_string(written(&directory, "redis", "html")).unwrap();
    // The page obeys no script but its own, so this one's policy is taken away, and its button pressed.
    let (before, rest) = page.split_once("<meta http-equiv").unwrap();
    let page = format!("{before}<meta data-was{rest}");
    let press = "<script>URL.createObjectURL = blob => { blob.text().then(text => \
        document.body.dataset.saved = JSON.parse(text).schema_version); return '#'; };\
        document.getElementById('save').click();</script></body>";
    let path = directory.path().join("pressed.html");
    std::fs::write(&path, page.replace("</body>", press)).unwrap();
    let seen = browser::open(&path);
    assert!(seen.page.contains("data-saved=\"1."), "{:?}", seen.complaints);
}
