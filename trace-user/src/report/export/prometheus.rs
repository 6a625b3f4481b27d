//! Prometheus' text format, for a node exporter's textfile collector or a push gateway.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use trace_common::account::Account;

use super::super::Layout;
use super::super::cohort::{cohorts, role_name};
use super::super::phases::totals;
use super::super::sanitize::Label;
use super::super::schema::Report;
use crate::snapshot::quantile;

/// Quantiles of the distributions.
const QUANTILES: [(f64, &str); 4] = [(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99"), (1.0, "1")];

/// What a sample is told from others by.
type Labels<'a> = Vec<(&'a str, String)>;

/// The metrics of `report`, in seconds and bytes, each with its help and type.
pub fn render(report: &Report, layout: Layout) -> String {
    let mut text = Text::default();
    about(&mut text, report);
    verdict(&mut text, report);
    ledger(&mut text, report, layout);
    receives(&mut text, report);
    distributions(&mut text, report);
    exchanges(&mut text, report);
    peers(&mut text, report);
    trust(&mut text, report);
    text.0
}

fn about(text: &mut Text, report: &Report) {
    let pids: Vec<String> = report.target.pids.iter().map(u32::to_string).collect();
    let labels = vec![
        ("version", report.tool.version.clone()),
        ("tier", report.tool.tier.clone()),
        ("kernel", report.host.kernel.clone()),
        ("arch", report.host.arch.clone()),
    ];
    text.info("trace_build_info", "What measured, and where.", labels);
    let labels = vec![
        ("comm", report.target.comm.clone().unwrap_or_default()),
        ("exe", report.target.exe.clone().unwrap_or_default()),
        ("pids", pids.join(" ")),
        ("container", report.target.container.as_ref().map(ToString::to_string).unwrap_or_default()),
    ];
    text.info("trace_target_info", "What was measured.", labels);
    text.one("trace_window_seconds", "Length of the window.", seconds(report.window.duration_ns));
    text.one("trace_target_processes", "Processes seen in the window.", report.target.processes);
    text.one("trace_target_threads", "Threads seen in the window.", report.target.threads);
}

fn verdict(text: &mut Text, report: &Report) {
    let (io, server) = (&report.verdict.io_model, &report.verdict.server_model);
    let sure = |confidence: Option<_>| match confidence {
        Some(confidence) => format!("{confidence:?}").to_lowercase(),
        None => String::new(),
    };
    let labels = vec![
        ("name", io.name.name().to_owned()),
        ("mechanism", io.mechanism.clone().unwrap_or_default()),
        ("qualifier", io.qualifier.clone().unwrap_or_default()),
        ("confidence", sure(io.confidence)),
    ];
    text.info("trace_io_model_info", "How the target waits for input.", labels);
    let labels = vec![
        ("name", server.name.clone()),
        ("qualifier", server.qualifier.clone().unwrap_or_default()),
        ("confidence", sure(server.confidence)),
    ];
    text.info("trace_server_model_info", "How it spreads connections.", labels);
    let shares = io.shares.iter().map(|(model, share)| (vec![("model", model.name().to_owned())], *share));
    text.family("trace_io_model_share", "gauge", "Share of the decided episodes.", shares);
    let findings = report
        .findings
        .iter()
        .map(|f| (vec![("code", f.code.clone()), ("severity", f.severity.clone())], 1_u64));
    text.family("trace_finding", "gauge", "Worth a second look.", findings);
}

/// Labels come from names, which different cohorts may share: such samples are one.
fn ledger(text: &mut Text, report: &Report, layout: Layout) {
    let mut times: BTreeMap<Labels<'_>, u64> = BTreeMap::new();
    let mut threads: BTreeMap<Labels<'_>, u64> = BTreeMap::new();
    for cohort in cohorts(report, layout) {
        let mut labels = vec![
            ("process", cohort.process.clone()),
            ("thread", cohort.title()),
            ("role", cohort.role.map(role_name).unwrap_or_default().to_owned()),
            ("state", if cohort.ended { "ended" } else { "alive" }.to_owned()),
        ];
        if let (true, [thread]) = (layout.threads, &cohort.members[..]) {
            labels.push(("tid", thread.tid.to_string()));
        }
        *threads.entry(labels.clone()).or_default() += cohort.threads;
        for account in Account::ALL.into_iter().filter(|&a| cohort.ledger.has(a)) {
            let mut labels = labels.clone();
            labels.push(("account", account.name().to_owned()));
            *times.entry(labels).or_default() += cohort.ledger.ns(account);
        }
    }
    text.family("trace_threads", "gauge", "Alike threads.", threads);
    let times = times.into_iter().map(|(labels, ns)| (labels, seconds(ns)));
    text.family("trace_ledger_seconds", "gauge", "Time of alike threads in the window by account.", times);
}

fn receives(text: &mut Text, report: &Report) {
    if report.sampling.is_some() {
        return;
    }
    let (r, a) = totals(report);
    let outcome = |name: &str, count: u64| (vec![("outcome", name.to_owned())], count);
    let outcomes = [
        outcome("with_data", r.with_data),
        outcome("eof", r.eof),
        outcome("eagain", r.eagain),
        outcome("interrupted", r.interrupted),
        outcome("failed", r.failed),
    ];
    text.family("trace_receives", "gauge", "Receives on sockets in the window.", outcomes);
    text.one("trace_received_bytes", "Bytes received in the window.", r.bytes);
    let ending = |name: &str, count: u64| (vec![("ending", name.to_owned())], count);
    let endings = [
        ending("slept", r.slept),
        ending("after_ready", r.after_ready),
        ending("polled", r.polled),
        ending("signalled", r.signalled),
        ending("completed", r.completed),
        ending("immediate", r.immediate),
    ];
    text.family("trace_receive_endings", "gauge", "Receives with data by what came before.", endings);
    let accepts = [
        outcome("accepted", a.accepted),
        outcome("eagain", a.eagain),
        outcome("other", a.calls.saturating_sub(a.accepted + a.eagain)),
    ];
    text.family("trace_accepts", "gauge", "Accepts in the window.", accepts);
}

fn distributions(text: &mut Text, report: &Report) {
    let account = |account: &Account| ("account", account.name().to_owned());
    let counts = report
        .distributions
        .iter()
        .map(|(name, buckets)| (vec![account(name)], buckets.iter().map(|b| b.1).sum::<u64>()));
    text.family("trace_durations", "gauge", "Spells of an account that were measured.", counts);
    let at = |(name, buckets): (&Account, &Vec<(u64, u64)>)| {
        let quantile = |(share, label): (f64, &str)| {
            let labels = vec![account(name), ("quantile", label.to_owned())];
            let value = match quantile(buckets, share)? {
                u64::MAX => "+Inf".to_owned(),
                ns => seconds(ns),
            };
            Some((labels, value))
        };
        QUANTILES.into_iter().filter_map(quantile).collect::<Vec<_>>()
    };
    let help = "How long a spell of an account lasted.";
    text.family("trace_duration_seconds", "gauge", help, report.distributions.iter().flat_map(at));
}

fn exchanges(text: &mut Text, report: &Report) {
    let turns = &report.turns;
    if let Some(count) = turns.count {
        text.one("trace_turns", "Exchanges on server-side connections in the window.", count);
    }
    let part = |name: &str, ns: Option<u64>| Some((vec![("part", name.to_owned())], seconds(ns?)));
    let parts =
        [part("receive", turns.receive_ns), part("build", turns.build_ns), part("send", turns.send_ns)];
    text.family("trace_turn_mean_seconds", "gauge", "Mean time of an exchange.", parts.into_iter().flatten());
    let at = |name: &str, ns: Option<u64>| Some((vec![("quantile", name.to_owned())], seconds(ns?)));
    let service = [at("0.5", turns.service_p50_ns), at("0.99", turns.service_p99_ns)];
    text.family("trace_service_seconds", "gauge", "Service time.", service.into_iter().flatten());
    if let Some(balance) = &report.balance {
        let by = |name: &str, gini: f64| (vec![("by", name.to_owned())], gini);
        let ginis = [by("receives", balance.gini), by("cpu", balance.gini_cpu)];
        text.family("trace_balance_gini", "gauge", "0 where all workers do alike.", ginis);
    }
}

fn peers(text: &mut Text, report: &Report) {
    let of = |peer: &super::super::schema::Peer| {
        vec![("side", format!("{:?}", peer.side).to_lowercase()), ("address", peer.address.clone())]
    };
    let waits = report.peers.iter().map(|peer| (of(peer), seconds(peer.wait_ns)));
    text.family("trace_peer_wait_seconds", "gauge", "Time asleep in receives by peer.", waits);
    let replies = report.peers.iter().map(|peer| (of(peer), seconds(peer.reply_ns)));
    text.family("trace_peer_reply_seconds", "gauge", "Time until the replies of a peer.", replies);
    let bytes = report.peers.iter().map(|peer| (of(peer), peer.bytes));
    text.family("trace_peer_received_bytes", "gauge", "Bytes received by peer.", bytes);
    let connections = report.peers.iter().map(|peer| (of(peer), peer.connections));
    text.family("trace_peer_connections", "gauge", "Connections by peer.", connections);
}

fn trust(text: &mut Text, report: &Report) {
    let losses = report.loss.iter().map(|(name, count)| (vec![("counter", name.clone())], *count));
    text.family("trace_loss", "gauge", "Loss counters; 0 when nothing was lost.", losses);
    if report.calibration.done > 0 {
        let exact = u64::from(report.calibration.exact);
        text.one("trace_canary_exact", "Whether known receives were seen exactly.", exact);
    }
    if let Some(ns) = report.calibration.floor_ns {
        text.one("trace_floor_seconds", "CPU times below this are the probes' own.", seconds(ns));
    }
    if let Some(ns) = report.cost.bpf_run_ns {
        text.one("trace_cost_seconds", "Run time of the probes in the window.", seconds(ns));
    }
    if let Some(ns) = report.cost.own_cpu_ns {
        text.one("trace_cost_own_cpu_seconds", "CPU time that trace itself took in the window.", seconds(ns));
    }
    text.one("trace_cost_map_bytes", "Memory of the maps.", report.cost.map_bytes);
    if let Some(share) = report.residual.share {
        text.one("trace_residual_share", "Ledger against the scheduler's own count.", share);
    }
}

/// Seconds, to the nanosecond, without a detour over floating point.
fn seconds(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

/// What was written so far.
#[derive(Default)]
struct Text(String);

impl Text {
    /// A metric with its samples; none without any.
    fn family<'a, V: fmt::Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, V)>,
    ) {
        let mut head = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in samples {
            self.0.push_str(&std::mem::take(&mut head));
            self.0.push_str(name);
            for (i, (label, text)) in labels.iter().enumerate() {
                let open = if i == 0 { '{' } else { ',' };
                // Writing into a string cannot fail.
                let _ = write!(self.0, "{open}{label}=\"{}\"", Label(text));
            }
            let close = if labels.is_empty() { "" } else { "}" };
            let _ = writeln!(self.0, "{close} {value}");
        }
    }

    fn one(&mut self, name: &str, help: &str, value: impl fmt::Display) {
        self.family(name, "gauge", help, [(Vec::new(), value)]);
    }

    /// A metric that is 1 and says something by its labels.
    fn info(&mut self, name: &str, help: &str, labels: Labels<'_>) {
        self.family(name, "gauge", help, [(labels, 1_u64)]);
    }
}
