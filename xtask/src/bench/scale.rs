//! Ten thousand threads, fifteen thousand connections, births and calls in masses: how long things take and what `trace`
//! itself needs. What is lost is looked at in `trace-user/tests/scale.rs`, too.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::page::losses;
use super::process::{Owned, cpu_ns, high_water_kib};
use super::server::{Kind, Server};
use super::tool::Places;
use crate::process as run;

/// Numbers of threads of the table.
const THREADS: [u32; 4] = [10, 100, 1_000, 10_000];
/// Connections in one epoll server, by two processes of clients.
const CONNECTIONS: u32 = 15_000;
/// Formats of reports, by the extension that asks for them.
const FORMATS: [&str; 9] = ["txt", "json", "jsonl", "csv", "md", "html", "folded", "prom", "trace"];
/// Counters that are no losses.
const NO_LOSSES: [&str; 5] =
    ["early_wakeups", "recovered_wakeups", "recovered_switches", "connections_seen", "connections_folded"];
/// Most time that anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One measurement by `trace`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    /// Of what.
    pub what: String,
    /// From its start until it was attached, ms.
    pub attach_ms: f64,
    /// The last interim snapshot, ms.
    pub snapshot_ms: Option<f64>,
    /// The snapshot at the end, with what /proc says of each thread, ms.
    pub last_snapshot_ms: Option<f64>,
    /// From the interrupt until it had reported and was gone, ms.
    pub end_ms: f64,
    /// Most memory in core, KiB.
    pub resident_kib: u64,
    /// CPU time of `trace` itself as a share of one CPU, while the window was open.
    pub own_share: f64,
    /// Memory of the kernel's maps, bytes.
    pub map_bytes: u64,
    /// Losses by name.
    pub losses: Vec<(String, u64)>,
    /// Whether the accounts of every thread add up to its life.
    pub conserved: bool,
    /// What was to be counted, and was done, and was counted.
    pub counted: Option<(String, u64, u64)>,
}

/// All of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Scale {
    /// In the order of the page.
    pub measured: Vec<Measured>,
    /// Report of 10,000 threads: format and ms.
    pub formats: Vec<(String, f64)>,
    /// From the start of `trace` to a first verdict on a busy redis-server, ms.
    pub first_verdict_ms: f64,
    /// From the interrupt until its report was printed and it was gone, ms.
    pub detach_ms: f64,
    /// Length of the masses, s.
    pub seconds: u64,
}

/// Measures all of it.
///
/// # Errors
/// When a workload or `trace` fails.
pub fn measure(places: &Places, quick: bool) -> Result<Scale> {
    let seconds = if quick { 5 } else { 30 };
    let mut scale = Scale { seconds, ..Scale::default() };
    for count in THREADS {
        let load = Workload::start(places, &["scale", "threads", "--count", &count.to_string()])?;
        let traced = Traced::attach(places, load.process.pid())?;
        std::thread::sleep(Duration::from_secs(4));
        scale.add(traced.end(format!("{count} threads"))?.0);
    }
    scale.formats = formats(places)?;
    scale.add(connections(places)?);
    for (what, rate) in [("births", "2000"), ("calls", "1000000")] {
        scale.add(masses(places, what, rate, seconds)?);
    }
    (scale.first_verdict_ms, scale.detach_ms) = first_verdict(places)?;
    Ok(scale)
}

impl Scale {
    fn add(&mut self, measured: Measured) {
        eprintln!("bench: {measured:?}");
        self.measured.push(measured);
    }
}

/// How long a report takes in each format, of what the last run kept: 10,000 threads.
fn formats(places: &Places) -> Result<Vec<(String, f64)>> {
    let report = |format: &&str| {
        let output = places.scratch.join(format!("again.{format}"));
        let mut command = Command::new(&places.trace);
        command.arg("report").arg(kept(places)).args(["--force", "--output"]).arg(&output);
        let begun = Instant::now();
        run::capture(&mut command)?;
        Ok(((*format).to_owned(), begun.elapsed().as_secs_f64() * 1e3))
    };
    FORMATS.iter().map(report).collect()
}

fn connections(places: &Places) -> Result<Measured> {
    let mut server = Workload::start(places, &["serve", "epoll", "--size", "64"])?;
    let port = server.ready["port"].as_u64().context("no port")?.to_string();
    let (half, text) = ((CONNECTIONS / 2).to_string(), "x".repeat(64));
    let clients = [
        "press",
        "--port",
        &port,
        "--connections",
        &half,
        "--duration",
        "5000",
        "--reply",
        "64",
        "--send",
        &text,
    ];
    let mut clients = [Workload::start(places, &clients)?, Workload::start(places, &clients)?];
    let traced = Traced::attach(places, server.process.pid())?;
    clients.iter_mut().for_each(|client| drop(client.process.child().stdin.take()));
    for client in &mut clients {
        client.line()?;
    }
    let mut measured = traced.end(format!("{CONNECTIONS} connections in one epoll server"))?;
    let report = &measured.1;
    let seen = report["peers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|peer| peer["connections"].as_u64())
        .sum();
    measured.0.counted = Some(("connections".into(), u64::from(CONNECTIONS), seen));
    server.process.interrupt(false, PATIENCE)?;
    Ok(measured.0)
}

fn masses(places: &Places, what: &str, rate: &str, seconds: u64) -> Result<Measured> {
    let mut load =
        Workload::start(places, &["scale", what, "--rate", rate, "--seconds", &seconds.to_string()])?;
    let traced = Traced::attach(places, load.process.pid())?;
    writeln!(load.process.child().stdin.as_mut().context("no stdin")?)?;
    let done: Value = serde_json::from_str(&load.line()?)?;
    let number = |key: &str| done[key].as_u64().unwrap_or(0);
    // The last ones are still ending.
    std::thread::sleep(Duration::from_millis(100));
    let per_second = number("count") as f64 * 1e9 / number("wall_ns").max(1) as f64;
    let (mut measured, report) =
        traced.end(format!("{rate} {what} a second for {seconds} s (done: {per_second:.0} a second)"))?;
    let exited = |key: &str, field: &str| sum(&report, |process| process["exited"][key][field].as_u64());
    let counted = if what == "births" {
        sum(&report, |process| process["exited"]["threads"].as_u64())
    } else {
        let living = |process: &Value| {
            let threads = process["threads"].as_array()?.iter();
            Some(threads.filter_map(|thread| thread["receives"]["calls"].as_u64()).sum())
        };
        exited("receives", "calls") + sum(&report, living)
    };
    measured.counted = Some((what.into(), number("count"), counted));
    Ok(measured)
}

fn sum(report: &Value, of: impl Fn(&Value) -> Option<u64>) -> u64 {
    report["processes"].as_array().into_iter().flatten().filter_map(of).sum()
}

/// A first verdict on a busy server, and the end: ms.
fn first_verdict(places: &Places) -> Result<(f64, f64)> {
    let server = Server::start(Kind::Redis, &places.trace, &places.scratch)?;
    std::thread::scope(|scope| {
        let load = scope.spawn(|| server.drive_bare(Duration::from_secs(4), 40_000.0));
        std::thread::sleep(Duration::from_millis(500));
        let begun = Instant::now();
        let mut trace = start(places, server.pids()[0])?;
        trace.wait_until(PATIENCE, "a first verdict", || said(places).contains("so far:"))?;
        let first = begun.elapsed();
        std::thread::sleep(Duration::from_millis(500));
        let asked = Instant::now();
        trace.interrupt(false, PATIENCE)?;
        let end = asked.elapsed();
        load.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
        Ok((first.as_secs_f64() * 1e3, end.as_secs_f64() * 1e3))
    })
}

/// A workload that is ready.
struct Workload {
    process: Owned,
    said: std::io::Lines<BufReader<ChildStdout>>,
    ready: Value,
}

impl Workload {
    fn start(places: &Places, args: &[&str]) -> Result<Self> {
        let mut command = Command::new(&places.trace);
        command.arg("fixture").args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Owned::start(&mut command)?;
        let mut said = BufReader::new(process.child().stdout.take().context("no stdout")?).lines();
        let ready = serde_json::from_str(&said.next().context("the workload ended early")??)?;
        Ok(Self { process, said, ready })
    }

    fn line(&mut self) -> Result<String> {
        Ok(self.said.next().context("the workload ended early")??)
    }
}

/// `trace` at work.
struct Traced<'a> {
    places: &'a Places,
    process: Owned,
    attach: Duration,
    since: Instant,
    cpu_ns: u64,
}

fn said(places: &Places) -> String {
    fs::read_to_string(places.scratch.join("said.txt")).unwrap_or_default()
}

fn kept(places: &Places) -> PathBuf {
    places.scratch.join("kept.trace")
}

fn start(places: &Places, pid: u32) -> Result<Owned> {
    let file = fs::File::create(places.scratch.join("said.txt"))?;
    let mut command = Command::new(&places.trace);
    command.args(["attach", "-v", "--pid", &pid.to_string(), "--force", "--output"]).arg(kept(places));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    Owned::start(&mut command)
}

impl<'a> Traced<'a> {
    fn attach(places: &'a Places, pid: u32) -> Result<Self> {
        let begun = Instant::now();
        let mut process = start(places, pid)?;
        process.wait_until(PATIENCE, "it was attached", || said(places).contains("attached to"))?;
        let attach = begun.elapsed();
        let cpu_ns = cpu_ns(&[process.pid()]);
        Ok(Self { places, process, attach, since: Instant::now(), cpu_ns })
    }

    /// Ends it; the measurement, and its report.
    fn end(mut self, what: String) -> Result<(Measured, Value)> {
        let pid = self.process.pid();
        let own_ns = cpu_ns(&[pid]).saturating_sub(self.cpu_ns);
        let own_share = own_ns as f64 / self.since.elapsed().as_nanos() as f64;
        let asked = Instant::now();
        let watch = std::thread::spawn(move || {
            let mut most = 0;
            while let Some(kib) = high_water_kib(pid) {
                most = kib;
                std::thread::sleep(Duration::from_millis(1));
            }
            most
        });
        self.process.interrupt(false, PATIENCE)?;
        let end = asked.elapsed();
        let resident_kib = watch.join().unwrap_or(0);
        let report = report_of(self.places)?;
        let text = said(self.places);
        let mut reads = text.lines().filter_map(read_ms).rev();
        let losses =
            losses(&report).into_iter().filter(|(name, _)| !NO_LOSSES.contains(&name.as_str())).collect();
        let measured = Measured {
            what,
            attach_ms: self.attach.as_secs_f64() * 1e3,
            last_snapshot_ms: reads.next(),
            snapshot_ms: reads.next(),
            end_ms: end.as_secs_f64() * 1e3,
            resident_kib,
            own_share,
            map_bytes: report["cost"]["map_bytes"].as_u64().unwrap_or(0),
            losses,
            conserved: is_conserved(&report),
            counted: None,
        };
        Ok((measured, report))
    }
}

fn report_of(places: &Places) -> Result<Value> {
    let output = places.scratch.join("kept.json");
    let mut command = Command::new(&places.trace);
    command.arg("report").arg(kept(places)).args(["--force", "--output"]).arg(&output);
    run::capture(&mut command)?;
    read_json(&output)
}

fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// Whether all accounts of living threads, and of the ended ones of each process, add up to the time they lived.
fn is_conserved(report: &Value) -> bool {
    let adds_up = |of: &Value| {
        let accounts = of["ledger"].as_object().into_iter().flatten();
        let sum: u64 = accounts.filter_map(|(_, ns)| ns.as_u64()).sum();
        Some(sum) == of["lived_ns"].as_u64()
    };
    let processes = report["processes"].as_array().into_iter().flatten();
    processes.into_iter().all(|process| {
        let mut threads = process["threads"].as_array().into_iter().flatten();
        adds_up(&process["exited"]) && threads.all(adds_up)
    })
}

/// The time in `trace: read 1,001 threads in 12.3 ms`, ms.
fn read_ms(line: &str) -> Option<f64> {
    let (_, time) = line.split_once("read ")?.1.split_once(" in ")?;
    let (number, unit) = time.trim().split_once(' ')?;
    let factor = match unit {
        "s" => 1e3,
        "ms" => 1.0,
        "µs" => 1e-3,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_reads_are_found() {
        assert_eq!(read_ms("trace: read 10,001 threads in 84.5 ms"), Some(84.5));
        assert_eq!(read_ms("trace: read 1 thread in 1.02 s"), Some(1020.0));
        assert_eq!(read_ms("trace: attached to 1 process, 1 thread until Ctrl-C"), None);
    }

    #[test]
    fn an_account_too_much_is_noticed() {
        let report = |ns: u64| {
            let thread = serde_json::json!({"lived_ns": 7, "ledger": {"user_ns": ns, "kernel_ns": 3}});
            let exited = serde_json::json!({"lived_ns": 0, "ledger": {}});
            serde_json::json!({"processes": [{"exited": exited, "threads": [thread]}]})
        };
        assert!(is_conserved(&report(4)));
        assert!(!is_conserved(&report(5)));
    }
}
