//! The timeline as Chrome's trace viewer and Perfetto read it: JSON with complete events (`"ph": "X"`) on one track a
//! thread and one a connection. ("Trace Event Format", Google 2016; Perfetto's importer of it.)
//!
//! Times are microseconds, with three digits after the point: whole nanoseconds, none of which is rounded. Events are
//! sorted by their begin; on one track they nest or do not overlap, as both programs demand.

mod tracks;

use std::fmt::Write as _;

use serde_json::{Value, json};
use trace_common::account::Account;

use super::super::json;
use super::super::sanitize::Terminal;
use super::super::schema::Report;
use crate::snapshot::timeline::{Phase, Timeline};
use tracks::{Shown, Tracks};

/// Added to a process id it makes that of the pseudo-process with its connections: `PID_MAX_LIMIT` of
/// `include/linux/threads.h`, above which there is no process.
const CONNECTIONS_OF: u64 = 1 << 22;

/// One event a line; without any where none was recorded.
///
/// # Errors
/// None of the strings can fail.
pub fn render(report: &Report) -> serde_json::Result<String> {
    let none = Timeline::default();
    let timeline = report.timeline.as_ref().map_or(&none, |t| &t.recorded);
    let tracks = Tracks::of(timeline);
    let mut text = format!(
        "{{\"displayTimeUnit\":\"ns\",\n\"otherData\":{},\n\"traceEvents\":[\n",
        line(&about(report, timeline, tracks.left_out))?
    );
    let mut separator = "";
    for name in names(report, &tracks) {
        // Writing into a string cannot fail, here and below.
        let _ = write!(text, "{separator}{}", line(&name)?);
        separator = ",\n";
    }
    for event in &tracks.events {
        let track = &tracks.tracks[event.track as usize];
        let (name, category) = words(event.shown);
        let _ = write!(
            text,
            "{separator}{{\"ph\":\"X\",\"pid\":{},\"tid\":{},\"ts\":{},\"dur\":{},\"name\":\"{name}\",\"cat\":\"{category}\"}}",
            pid(track.pid, track.of_connection),
            track.tid,
            Micros(event.from_ns),
            Micros(event.ns),
        );
        separator = ",\n";
    }
    text += "\n]}\n";
    Ok(text)
}

/// A value in one line without its end, safe to print.
fn line(value: &Value) -> serde_json::Result<String> {
    let mut text = json::line(value)?;
    text.truncate(text.trim_end().len());
    Ok(text)
}

fn about(report: &Report, timeline: &Timeline, left_out: u64) -> Value {
    json!({
        "tool": format!("trace {}", report.tool.version),
        "kernel": report.host.kernel,
        "started_at": report.window.started_at,
        "duration_ns": report.window.duration_ns,
        "clock": "after the start of the window",
        "spans": timeline.spans(),
        "limit": timeline.limit,
        "dropped": timeline.dropped,
        "left_out": left_out,
    })
}

/// Metadata events: what processes and threads are called, and their order.
fn names(report: &Report, tracks: &Tracks) -> Vec<Value> {
    let of_process = |pid: u32, of_connections: bool| {
        let comm = report.processes.iter().rfind(|p| p.pid == pid).map_or("?", |p| &p.comm);
        let name = format!("{} {pid}", Terminal(comm));
        if of_connections { format!("connections of {name}") } else { name }
    };
    let meta = |pid: u64, tid: u32, what: &str, args: Value| json!({"ph": "M", "pid": pid, "tid": tid, "ts": 0, "name": what, "args": args});
    let mut events = Vec::new();
    let mut last = None;
    for (i, track) in tracks.tracks.iter().enumerate() {
        let pid = pid(track.pid, track.of_connection);
        if last.replace(pid) != Some(pid) {
            let name = of_process(track.pid, track.of_connection);
            events.push(meta(pid, 0, "process_name", json!({"name": name})));
            events.push(meta(pid, 0, "process_sort_index", json!({"sort_index": i})));
        }
        events.push(meta(pid, track.tid, "thread_name", json!({"name": Terminal(&track.name).to_string()})));
        events.push(meta(pid, track.tid, "thread_sort_index", json!({"sort_index": i})));
    }
    events
}

fn pid(pid: u32, of_connection: bool) -> u64 {
    u64::from(pid) + if of_connection { CONNECTIONS_OF } else { 0 }
}

/// Name and category of an event.
fn words(shown: Shown) -> (&'static str, &'static str) {
    match shown {
        Shown::Account(account) => (account.name(), category(account)),
        Shown::Turn => ("turn", "turn"),
        Shown::Phase(Phase::Wait) => (Account::WaitData.name(), "waiting"),
        Shown::Phase(Phase::Receive) => ("receive", "turn"),
        Shown::Phase(Phase::Build) => ("build", "turn"),
        Shown::Phase(Phase::Send) => ("send", "turn"),
        Shown::Phase(Phase::Reply) => ("reply", "waiting"),
    }
}

fn category(account: Account) -> &'static str {
    match account {
        Account::Stopped => "stopped",
        Account::Runqueue | Account::Preempted => "queued",
        Account::Copy => "copying",
        Account::Kernel | Account::User => "cpu",
        Account::Unknown => "unknown",
        _ => "waiting",
    }
}

/// Nanoseconds, written as microseconds.
struct Micros(u64);

impl std::fmt::Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{build, sample};

    #[test]
    fn events_have_exact_times_and_their_tracks_have_names_that_nothing_obeys() {
        let snapshot = sample::snapshot(2);
        let text = render(&build::build(&snapshot, &sample::verdicts(&snapshot))).expect("text");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let events = value["traceEvents"].as_array().expect("events");
        let of = |name: &str| events.iter().filter(|e| e["name"] == name).collect::<Vec<_>>();
        assert_eq!(of("thread_name").len(), 3);
        assert_eq!(of("wait_ready")[0]["cat"], "waiting");
        assert_eq!((&of("turn")[0]["pid"], of("turn").len()), (&json!(4_194_304 + 100), 1));
        assert!(text.contains("\"ts\":1.001,\"dur\":0.999"), "{text}");
        assert_eq!(value["otherData"]["spans"], 6);
    }

    #[test]
    fn a_report_without_a_timeline_has_no_events() {
        let mut snapshot = sample::snapshot(2);
        snapshot.timeline = None;
        let text = render(&build::build(&snapshot, &sample::verdicts(&snapshot))).expect("text");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["traceEvents"], json!([]));
    }
}
