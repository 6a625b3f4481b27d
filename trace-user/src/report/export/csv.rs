//! Comma-separated values (RFC 4180): one table of the report a file, its columns named by their place in the
//! JSON report.

use serde_json::{Value, json};
use trace_common::account::Account;

use std::fmt::Write as _;
use std::path::Path;

use super::super::sanitize::Csv;
use super::super::schema::Report;

/// A table of the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Table {
    /// One row: window, target and verdicts
    Verdict,
    /// What the verdicts stand on
    Evidence,
    /// A row for each process, with what its ended threads did
    Processes,
    /// A row for each living thread, with its ledger
    #[default]
    Threads,
    /// Whom the target waited for
    Peers,
    /// A row for each bucket of each account
    Distributions,
    /// Worth a second look
    Findings,
    /// A row for each loss counter, also those that are 0
    Losses,
    /// The logged receives of --calls
    Calls,
}

const VERDICT: &str = "window.started_at window.duration_ns window.ended_by window.steal_ns target.comm target.exe \
    target.container.runtime target.container.id target.processes target.threads io_model.name io_model.mechanism io_model.qualifier io_model.confidence \
    io_model.caller io_model.callee server_model.name server_model.qualifier server_model.units \
    server_model.count server_model.confidence turns.count turns.receive_ns turns.build_ns turns.send_ns \
    turns.service_p50_ns turns.service_p99_ns turns.build_p50_ns balance.workers balance.gini \
    balance.gini_connections balance.gini_cpu balance.spread balance.cause cost.bpf_run_ns cost.events cost.cpu_share cost.map_bytes \
    calibration.floor_ns residual.share tool.version tool.tier tool.object_sha256 host.kernel host.arch";
const EVIDENCE: &str = "verdict code kind for measured threshold text";
const RECEIVES: &str = "receives.calls receives.with_data receives.eof receives.eagain receives.interrupted \
    receives.failed receives.bytes receives.slept receives.after_ready receives.polled receives.signalled \
    receives.completed receives.immediate receives.copy_bounded receives.zero_copy";
const SIDES: &str = "wait_data_by_side.server_ns wait_data_by_side.client_ns wait_data_by_side.local_ns \
    wait_data_by_side.other_ns";
const ACCEPTS: &str = "accepts.calls accepts.accepted accepts.eagain accepts.slept";
const PROCESSES: &str = "pid comm exe alive io_model io_verdict.confidence server_model exited.threads exited.lived_ns \
    epoch by_exec began_ns inner_pid container.runtime container.id";
const THREADS: &str = "pid process epoch tid comm role io_model confidence lived_ns";
const THREADS_END: &str = "receive_syscall readiness.calls readiness.slept readiness.returned readiness.empty \
    readiness.events sends sent_bytes sleeps preemptions check.run_ns check.delay_ns in_flight.syscall \
    in_flight.account in_flight.since_ns in_flight.before_attach waited_before silent kernel_io busy_share \
    event_loop.iterations event_loop.ns event_loop.blocked_ns event_loop.without_work event_loop.longest.ns \
    event_loop.longest_sleep_ns event_loop.longest_sleep_syscall";
const PEERS: &str = "side address connections waits wait_ns receives bytes replies reply_ns";
const DISTRIBUTIONS: &str = "account upper_ns count";
const FINDINGS: &str = "code severity title evidence advice";
const LOSSES: &str = "counter count";
const CALLS: &str = "tid nr entered_at_ns ended_at_ns result wait_data_ns wait_other_ns runqueue_ns preempted_ns \
    copy_ns kernel_ns";

impl Table {
    /// The table that stands before the extension of `path`: peers for `web.peers.csv`.
    pub fn before(path: &Path) -> Option<Table> {
        let name = Path::new(path.file_stem()?).extension()?.to_string_lossy().into_owned();
        clap::ValueEnum::from_str(&name, true).ok()
    }

    /// Its columns, whatever the report holds.
    pub fn columns(self) -> Vec<String> {
        let ledger = |before: &str| {
            let name = |a: Account| format!("{before}ledger.{}_ns", a.name());
            Account::ALL.map(name).join(" ")
        };
        let of_ended = |names: &str| {
            names.split_whitespace().map(|name| format!("exited.{name}")).collect::<Vec<_>>().join(" ")
        };
        let names = match self {
            Table::Verdict => VERDICT.to_owned(),
            Table::Evidence => EVIDENCE.to_owned(),
            Table::Processes => [
                PROCESSES.to_owned(),
                ledger("exited."),
                of_ended(SIDES),
                of_ended(RECEIVES),
                of_ended(ACCEPTS),
            ]
            .join(" "),
            Table::Threads => [THREADS, &ledger(""), SIDES, RECEIVES, ACCEPTS, THREADS_END].join(" "),
            Table::Peers => PEERS.to_owned(),
            Table::Distributions => DISTRIBUTIONS.to_owned(),
            Table::Findings => FINDINGS.to_owned(),
            Table::Losses => LOSSES.to_owned(),
            Table::Calls => CALLS.to_owned(),
        };
        names.split_whitespace().map(str::to_owned).collect()
    }
}

/// `table` of `report`: a header, then a row a line, all with the same columns; an empty cell was not measured.
///
/// # Errors
/// None of the report's values can fail.
pub fn render(report: &Report, table: Table) -> serde_json::Result<String> {
    let columns = table.columns();
    let mut text = columns.join(",") + "\n";
    let places: Vec<Vec<&str>> = columns.iter().map(|name| name.split('.').collect()).collect();
    for row in rows(report, table)? {
        let row = row?;
        for (i, place) in places.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let value = place.iter().try_fold(&row, |value, name| value.get(name));
            // Writing into a string cannot fail.
            let _ = write!(text, "{comma}{}", cell(value));
        }
        text.push('\n');
    }
    Ok(text)
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => Csv(text).to_string(),
        // Numbers and truth values; a negative number is one.
        Some(value) => value.to_string(),
    }
}

/// Rows of a table, one after the other: those of 10,000 threads take 200 MB.
type Rows<'a> = Box<dyn Iterator<Item = serde_json::Result<Value>> + 'a>;

/// The rows as objects with the fields of the JSON report.
fn rows(report: &Report, table: Table) -> serde_json::Result<Rows<'_>> {
    let all = |values: Vec<Value>| -> Rows<'_> { Box::new(values.into_iter().map(Ok)) };
    let list = |values: Value| match values {
        Value::Array(values) => all(values),
        _ => all(Vec::new()),
    };
    Ok(match table {
        Table::Verdict => all(vec![json!({
            "window": report.window, "target": report.target, "io_model": report.verdict.io_model,
            "server_model": report.verdict.server_model, "turns": report.turns, "balance": report.balance, "cost": report.cost,
            "calibration": report.calibration, "residual": report.residual, "tool": report.tool,
            "host": report.host,
        })]),
        Table::Evidence => all(evidence(report)?),
        Table::Processes => Box::new(report.processes.iter().map(process)),
        Table::Threads => threads(report),
        Table::Peers => list(serde_json::to_value(&report.peers)?),
        Table::Distributions => all(distributions(report)),
        Table::Findings => list(serde_json::to_value(&report.findings)?),
        Table::Losses => {
            let row = |(counter, count)| Ok(json!({"counter": counter, "count": count}));
            Box::new(report.loss.iter().map(row))
        }
        Table::Calls => list(serde_json::to_value(&report.calls)?),
    })
}

fn evidence(report: &Report) -> serde_json::Result<Vec<Value>> {
    let verdict = &report.verdict;
    let io = |v: &Option<Box<crate::model::verdict::IoVerdict>>| {
        v.iter().flat_map(|v| v.evidence.clone()).collect()
    };
    let parts: [(&str, Vec<_>); 4] = [
        ("io_model", verdict.io_model.evidence.clone()),
        ("server_model", verdict.server_model.evidence.clone()),
        ("upstream", io(&verdict.io_model.upstream)),
        ("storage", io(&verdict.io_model.storage)),
    ];
    let mut rows = Vec::new();
    for (name, evidence) in parts {
        for one in evidence {
            rows.push(with(serde_json::to_value(one)?, [("verdict", json!(name))]));
        }
    }
    Ok(rows)
}

/// Without its threads, which may be many.
fn process(process: &super::super::schema::Process) -> serde_json::Result<Value> {
    let alone = super::super::schema::Process { threads: Vec::new(), ..process.clone() };
    serde_json::to_value(alone)
}

fn threads(report: &Report) -> Rows<'_> {
    let all = report.processes.iter().flat_map(|p| p.threads.iter().map(move |t| (p, t)));
    Box::new(all.map(|(process, thread)| {
        let row = serde_json::to_value(thread)?;
        Ok(with(
            row,
            [("pid", json!(process.pid)), ("process", json!(process.comm)), ("epoch", json!(process.epoch))],
        ))
    }))
}

fn distributions(report: &Report) -> Vec<Value> {
    let of = |(account, buckets): (&Account, &Vec<(u64, u64)>)| {
        let name = account.name();
        let row = |(upper, count): &(u64, u64)| json!({"account": name, "upper_ns": upper, "count": count});
        buckets.iter().map(row).collect::<Vec<_>>()
    };
    report.distributions.iter().flat_map(of).collect()
}

fn with<const N: usize>(mut row: Value, fields: [(&str, Value); N]) -> Value {
    for (name, value) in fields {
        row[name] = value;
    }
    row
}
