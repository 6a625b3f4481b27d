//! What holds for all formats: they agree, they are small, and nothing of the target is obeyed.

use std::time::Instant;

use serde_json::Value;

use super::super::{build, sample, sanitize};
use super::*;
use crate::model::verdict::Finding;
use crate::snapshot::Snapshot;

/// Each of them would do harm somewhere, and all name themselves.
const HOSTILE: [&str; 10] = [
    "</script><script>HARM()</script>",
    "<!--<script>HARM",
    "\"onload=HARM() x='HARM",
    "=cmd|'/c HARM'!A0",
    "\t=HARM()\r\n+HARM,\"-HARM",
    "[HARM](http://HARM) ![HARM](x) `HARM` | # HARM",
    "\x1b]0;HARM\x07\u{9b}2J\u{202e}HARM\u{2028}\u{feff}",
    "HARM;root;user 1\nHARM;user 99",
    "HARM\"} 1\nHARM{a=\"\\",
    "HARM\u{fffd}\0&lt;script&gt;",
];

fn report_on(snapshot: &Snapshot) -> Report {
    build::build(snapshot, &sample::verdicts(snapshot))
}

fn export(report: &Report, format: ReportFormat) -> String {
    format.export(report, Layout::default()).expect("every report can be written")
}

fn hostile(text: &str) -> Report {
    let mut snapshot = sample::snapshot(2);
    let own = || text.to_owned();
    snapshot.processes[0].comm = own();
    snapshot.processes[0].exe = Some(own());
    snapshot.threads.iter_mut().for_each(|t| {
        t.comm = own();
        t.receive_syscall = Some(own());
    });
    snapshot.connections.iter_mut().for_each(|c| c.address = own());
    snapshot.degraded.push(own());
    snapshot.loss.insert(own(), 1);
    snapshot.host.kernel = own();
    snapshot.tool.version = own();
    snapshot.tool.command = Some(vec!["trace".into(), own()]);
    snapshot.window.started_at = own();
    let mut report = report_on(&snapshot);
    report.blind_spots.push(own());
    report.verdict.io_model.mechanism = Some(own());
    report.verdict.io_model.qualifier = Some(own());
    report.verdict.io_model.settle = Some(own());
    report.verdict.io_model.evidence[0].text = own();
    report.verdict.server_model.name = own();
    let (code, severity, title, evidence, advice) = (own(), own(), own(), own(), own());
    report.findings.push(Finding { code, severity, title, evidence, advice });
    report
}

#[test]
fn no_format_lets_a_control_character_through() {
    for text in HOSTILE {
        let report = hostile(text);
        for format in ReportFormat::ALL {
            let written = export(&report, format);
            let obeyed = written.chars().find(|&c| c != '\n' && sanitize::is_hostile(c));
            assert_eq!(obeyed, None, "{format:?} of {text:?}");
        }
    }
}

#[test]
fn a_hostile_page_has_the_elements_of_a_harmless_one() {
    let harmless = tags(&export(&hostile("plain"), ReportFormat::Html));
    for text in HOSTILE {
        assert_eq!(tags(&export(&hostile(text), ReportFormat::Html)), harmless, "{text:?}");
    }
}

/// Every tag of a page without the values of its attributes.
fn tags(page: &str) -> Vec<String> {
    let tag = |after: &str| {
        let mut quoted = false;
        let mut tag = String::new();
        for c in after.chars().take_while(|c| *c != '<') {
            quoted ^= c == '"';
            match c {
                '>' if !quoted => break,
                c if !quoted => tag.push(c),
                _ => {}
            }
        }
        tag
    };
    page.split('<').skip(1).map(tag).collect()
}

#[test]
fn the_json_within_the_page_is_the_report() {
    for text in HOSTILE {
        let report = hostile(text);
        let page = export(&report, ReportFormat::Html);
        let (_, rest) = page.split_once("id=\"report\">").expect("the report is there");
        let (inner, _) = rest.split_once("</script>").expect("it ends");
        let inner: Value = serde_json::from_str(inner).expect("JSON");
        let json: Value = serde_json::from_str(&export(&report, ReportFormat::Json)).expect("JSON");
        assert_eq!(inner, json, "{text:?}");
    }
}

#[test]
fn lines_stay_lines() {
    let lines = |text: &str, format| export(&hostile(text), format).lines().count();
    for text in HOSTILE {
        for format in
            [ReportFormat::Markdown, ReportFormat::Folded, ReportFormat::Prometheus, ReportFormat::Jsonl]
        {
            assert_eq!(lines(text, format), lines("plain", format), "{format:?} of {text:?}");
        }
        for line in export(&hostile(text), ReportFormat::Folded).lines() {
            let (stack, ns) = line.split_once(' ').expect("one blank");
            assert_eq!(stack.split(';').count(), 3, "{line}");
            assert!(ns.parse::<u64>().is_ok(), "{line}");
        }
    }
}

#[test]
fn every_table_of_csv_is_rectangular_whatever_it_holds() {
    for table in <csv::Table as clap::ValueEnum>::value_variants() {
        for report in [report_on(&sample::snapshot(0)), hostile("a,b\"c\n=d")] {
            let text = export(&report, ReportFormat::Csv(*table));
            let columns = table.columns().len();
            for line in text.lines() {
                let mut quoted = false;
                let commas = line.chars().filter(|&c| {
                    quoted ^= c == '"';
                    c == ',' && !quoted
                });
                assert_eq!(commas.count() + 1, columns, "{table:?}: {line}");
            }
        }
    }
}

#[test]
fn every_column_of_csv_is_a_field_of_the_report() {
    let report = hostile("x");
    for table in [csv::Table::Threads, csv::Table::Processes, csv::Table::Peers, csv::Table::Verdict] {
        let text = export(&report, ReportFormat::Csv(table));
        let json: Value = serde_json::from_str(&export(&report, ReportFormat::Json)).expect("JSON");
        let row = match table {
            csv::Table::Threads => json.pointer("/processes/0/threads/0"),
            csv::Table::Processes => json.pointer("/processes/0"),
            csv::Table::Peers => json.pointer("/peers/0"),
            _ => Some(&json),
        };
        for column in text.lines().next().expect("a header").split(',') {
            let place = format!("/{}", column.replace('.', "/"));
            let of_process = matches!(column, "pid" | "process" | "epoch");
            let of_verdict = json.pointer(&format!("/verdict{place}")).is_some();
            let first = column.split('.').next().unwrap_or_default();
            // Of what was not measured, the parts are not there either.
            let is_null = row.is_some_and(|row| row.get(first) == Some(&Value::Null));
            let is_field = is_null || row.and_then(|row| row.pointer(&place)).is_some();
            assert!(is_field || of_process || of_verdict, "{table:?}: {column}");
        }
    }
}

#[test]
fn ten_thousand_threads_fit_into_two_mebibytes() {
    let mut snapshot = sample::snapshot(10_000);
    for (i, thread) in snapshot.threads.iter_mut().enumerate() {
        thread.comm = format!("kind{}x-{i}", i % 30);
    }
    let report = report_on(&snapshot);
    let begun = Instant::now();
    let page = export(&report, ReportFormat::Html);
    let took = begun.elapsed();
    println!("{} bytes in {took:?}", page.len());
    // Some 0.1 s if it is optimised.
    assert!(took.as_secs() < 5, "{took:?}");
    assert!(page.len() < 2 << 20, "{}", page.len());
    assert!(page.contains("id=\"left-out\"") && page.contains("the rows of the threads"));
    let small = export(&report_on(&sample::snapshot(3)), ReportFormat::Html);
    assert!(!small.contains("id=\"left-out\"") && small.contains("The whole report"));
}

#[test]
fn many_of_anything_fit_too() {
    let mut snapshot = sample::snapshot(1);
    let connection = snapshot.connections[0].clone();
    snapshot.connections = (0..16_384)
        .map(|i| {
            let address = format!("10.{}.{}.{}:80", i >> 16, i >> 8 & 255, i & 255);
            crate::snapshot::Connection { address, ..connection.clone() }
        })
        .collect();
    let process = snapshot.processes[0].clone();
    snapshot
        .processes
        .extend((1..9_000).map(|i| crate::snapshot::Process { pid: 100 + i, ..process.clone() }));
    let page = export(&report_on(&snapshot), ReportFormat::Html);
    assert!(page.len() < 2 << 20, "{}", page.len());
    assert!(page.contains("the processes"));
}

#[test]
fn an_empty_report_has_every_format() {
    let mut snapshot = sample::snapshot(0);
    snapshot.processes.clear();
    snapshot.connections.clear();
    snapshot.distributions.clear();
    let report = report_on(&snapshot);
    for format in ReportFormat::ALL {
        let text = export(&report, format);
        assert!(format == ReportFormat::Folded || text.ends_with('\n'), "{format:?}");
    }
}

#[test]
fn the_command_is_shown_as_a_shell_reads_it() {
    let mut snapshot = sample::snapshot(1);
    let words = ["trace", "run", "--", "sh", "-c", "echo 'a' | b", ""];
    snapshot.tool.command = Some(words.map(str::to_owned).into());
    let shown = words::command(&report_on(&snapshot));
    assert_eq!(shown.as_deref(), Some(r"trace run -- sh -c 'echo '\''a'\'' | b' ''"));
    snapshot.tool.command = None;
    assert_eq!(words::command(&report_on(&snapshot)), None);
}

#[test]
fn the_figure_is_that_of_the_model() {
    let page = |name, mechanism: &str| {
        let mut report = report_on(&sample::snapshot(1));
        report.verdict.io_model.name = name;
        report.verdict.io_model.mechanism = Some(mechanism.into());
        export(&report, ReportFormat::Html)
    };
    use crate::model::verdict::IoModel;
    let has = |page: String, text: &str| assert!(page.contains(text), "{text}");
    has(page(IoModel::Multiplexing, "epoll"), "calls: epoll; meanwhile the process is asleep in the wait");
    has(page(IoModel::Multiplexing, "epoll"), "waiting, median 1.05 ms");
    has(page(IoModel::Blocking, "read"), "calls: read; meanwhile the process is asleep in the receive");
    has(page(IoModel::Nonblocking, "read"), "0.0 asks in vain");
    has(page(IoModel::SignalDriven, "SIGIO"), "the kernel answers: SIGIO; the process calls: receive");
    has(page(IoModel::Asynchronous, "io_uring"), "the kernel answers: completion");
    has(page(IoModel::Mixed, "read"), "no textbook figure");
}
