//! `trace demo`: starts the fixtures one after another, drives and traces each, and compares the I/O models: the
//! textbook's figures with numbers.

mod scene;
mod table;

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use fixtures::load;
use fixtures::spawn::Program;
use serde::Serialize;

use crate::cli::{DemoArgs, FormatArg};
use crate::collect::{self, Faults, Options, Progress, Tier};
use crate::failure::{Code, Failure};
use crate::model;
use crate::run::line::Line;
use crate::snapshot::Snapshot;
use scene::{SCENES, Scene};

/// How long each fixture is traced: at 20 ms of thought, four clients wait some 270 times.
const WINDOW: Duration = Duration::from_millis(1_500);
/// How long the clients may take to connect.
const CONNECT: Duration = Duration::from_secs(10);

/// One row of the comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The fixture.
    pub fixture: &'static str,
    /// The model it is built to have.
    pub expected: &'static str,
    /// The model that was found.
    pub io_model: String,
    /// With its qualifier.
    pub qualifier: Option<String>,
    /// How sure.
    pub confidence: Option<model::verdict::Confidence>,
    /// By which call.
    pub mechanism: Option<String>,
    /// Whether that is right.
    pub right: bool,
    /// Receives with data.
    pub receives: u64,
    /// Median of phase 1, ns: asleep for data, readiness, or in a nap between asks.
    pub waiting_p50_ns: Option<u64>,
    /// Median of phase 2, ns.
    pub copying_p50_ns: Option<u64>,
    /// Whether that is only an upper bound: no first byte was seen of more than 1 % of the receives.
    pub copying_bounded: bool,
    /// On-CPU time for each receive with data, ns.
    pub cpu_per_receive_ns: Option<u64>,
    /// Empty asks for each receive with data.
    pub empty_asks_per_receive: Option<f64>,
    /// Wake-ups for each receive with data.
    pub wakeups_per_receive: Option<f64>,
    /// When it is a good choice.
    pub choice: &'static str,
}

/// Runs the demo.
///
/// # Errors
/// If a fixture cannot be started or traced, and with [`Code::ExpectationFailed`] if a model was not recognised.
pub fn run(args: &DemoArgs, stop: &dyn Fn() -> bool) -> Result<(), Failure> {
    let scenes: Vec<&Scene> = SCENES
        .iter()
        .filter(|s| args.model.is_empty() || args.model.iter().any(|m| m == s.expected || m == s.name))
        .collect();
    if scenes.is_empty() {
        let known: Vec<&str> = SCENES.iter().map(|s| s.name).collect();
        return Err(Failure::new(Code::Usage, "no such model in the demo", args.model.join(", ")).fix(
            format!(
                "one of: blocking, nonblocking, multiplexing, signal-driven, asynchronous, {}",
                known.join(", ")
            ),
        ));
    }
    let mut rows = Vec::new();
    let mut line = Line::new(args.quiet);
    for (i, scene) in scenes.iter().enumerate() {
        if stop() {
            return Err(Failure::new(Code::Interrupted, "the demo was interrupted", "a signal came"));
        }
        if !args.quiet {
            say(&mut line, &format!("demo: {} of {}: {} …", i + 1, scenes.len(), scene.name));
        }
        rows.push(play(scene, &args.types.btf, stop)?);
    }
    drop(line);
    print(args.format, &rows)?;
    let wrong: Vec<&str> = rows.iter().filter(|r| !r.right).map(|r| r.fixture).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Code::ExpectationFailed, "a model was not recognised", wrong.join(", "))
        .fix("a busy machine may need another try; `trace demo --format json` shows the figures"))
}

/// Progress on stderr: one line that is rewritten on a terminal, a line each elsewhere.
fn say(line: &mut Line, text: &str) {
    if line.is_live() { line.rewrite(text) } else { line.print(text) }
}

fn print(format: FormatArg, rows: &[Row]) -> Result<(), Failure> {
    let text = match format {
        FormatArg::Table => table::render(rows),
        FormatArg::Json => serde_json::to_string_pretty(rows)
            .map(|json| json + "\n")
            .map_err(|e| Failure::internal("the comparison cannot be written", e))?,
    };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::internal("the comparison cannot be written to stdout", e))
        }
        _ => Ok(()),
    }
}

fn play(scene: &Scene, btf: &Path, stop: &dyn Fn() -> bool) -> Result<Row, Failure> {
    let failed =
        |e: anyhow::Error| Failure::internal(format!("fixture {} failed", scene.name), format!("{e:#}"));
    let program = std::env::current_exe().context("own executable").map_err(failed)?;
    let fixture = Program::new(program).arg("fixture").serve(scene.mode, scene.args).map_err(failed)?;
    let clients = load::start(scene.load(fixture.port())).map_err(|e| failed(e.into()))?;
    let begun = std::time::Instant::now();
    while !clients.connected() && begun.elapsed() < CONNECT {
        std::thread::sleep(Duration::from_millis(5));
    }
    let options = Options {
        pids: vec![fixture.pid()],
        chosen: Vec::new(),
        held: false,
        follow: true,
        duration: Some(WINDOW),
        interval: None,
        log_calls: 0,
        timeline: None,
        by_descriptor: false,
        tier: Tier::Full,
        auto: false,
        max_overhead: None,
        lowered: None,
        btf: btf.to_path_buf(),
        ahead: None,
        faults: Faults::default(),
    };
    let mut windows = collect::measure(&options, stop, &mut |_: Progress| {})?;
    drop(clients);
    drop(fixture);
    let snapshot = windows.pop().context("no window").map_err(failed)?;
    Ok(row(scene, &snapshot))
}

fn row(scene: &Scene, snapshot: &Snapshot) -> Row {
    let verdict = model::classify(snapshot).io_model;
    let sum = |pick: fn(&crate::snapshot::Thread) -> u64| snapshot.threads.iter().map(pick).sum::<u64>();
    let receives = sum(|t| t.receives.with_data);
    let per = |n: u64| (receives > 0).then(|| n as f64 / receives as f64);
    Row {
        fixture: scene.name,
        expected: scene.expected,
        io_model: verdict.name.name().to_owned(),
        right: verdict.name.name() == scene.expected && verdict.qualifier.as_deref() == scene.qualifier,
        qualifier: verdict.qualifier,
        confidence: verdict.confidence,
        mechanism: verdict.mechanism,
        receives,
        waiting_p50_ns: scene.waits.and_then(|account| snapshot.quantile(account, 0.5)),
        copying_p50_ns: snapshot.quantile(trace_common::account::Account::Copy, 0.5),
        copying_bounded: sum(|t| t.receives.copy_bounded) * 100 > receives,
        cpu_per_receive_ns: per(sum(crate::snapshot::Thread::on_cpu_ns)).map(|ns| ns as u64),
        empty_asks_per_receive: per(sum(|t| t.receives.eagain + t.readiness.empty)),
        wakeups_per_receive: per(sum(|t| t.sleeps)),
        choice: scene.choice,
    }
}
