//! `cargo xtask bench`: what `trace` costs those it watches and those it does not, side by side with other tools.
//!
//! One run measures everything it compares: each round of a tool lies between two without any, and the tools take
//! turns, so that a machine that grows slower meanwhile is unfair to none. `docs/BENCHMARKS.md` is written by it.

mod floor;
mod micro;
mod page;
mod process;
mod profile;
mod record;
mod require;
mod scale;
mod scale_page;
mod server;
mod stats;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{process as run, setup, workspace};
use micro::Loops;
use record::{Absent, LoopRound, Record, ServerRound};
use server::{Kind, Server};
use tool::{Attached, Places, Tool};

/// What all of it needs.
const PACKAGES: [&str; 9] = [
    "bpftrace",
    "linux-perf",
    "strace",
    "redis-server",
    "redis-tools",
    "nginx-light",
    "wrk",
    "memcached",
    "util-linux",
];

/// Where bpftrace looks for tracepoints; not every machine mounts it.
const TRACEFS: &str = "/sys/kernel/tracing";

/// Options of `bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Few and short rounds: for CI, and while developing. The page then goes to target/bench
    #[arg(long)]
    quick: bool,
    /// Only these servers, or `loops`; may be given several times
    #[arg(long, value_name = "NAME")]
    server: Vec<Kind>,
    /// Only these tools; may be given several times. Floors are added where they are compared with
    #[arg(long, value_name = "NAME")]
    tool: Vec<Tool>,
    /// Rounds of each server; the microloops get at least 15, unless --quick
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Only the microloops, and fail when `full` costs a system call more than 3 times the floor in the target, or 1.6
    /// times in a bystander
    #[arg(long)]
    gate: bool,
    /// Only ten thousand threads, fifteen thousand connections, births and calls in masses; the rest of the page stays
    #[arg(long, conflicts_with_all = ["server", "tool", "gate"])]
    scale: bool,
    /// Measure this `trace` instead of one built now (with optimisation)
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write the page again from the figures that the last complete run left
    #[arg(long)]
    again: bool,
}

impl Args {
    fn kinds(&self) -> Vec<Kind> {
        match (self.gate, self.server.is_empty()) {
            (true, _) => vec![Kind::Loops],
            _ if self.scale => vec![Kind::Redis],
            (false, true) => Kind::SERVERS.into_iter().chain([Kind::Loops]).collect(),
            (false, false) => self.server.clone(),
        }
    }

    fn tools(&self) -> Vec<Tool> {
        let wanted = |tool: Tool| match tool {
            _ if self.scale => false,
            Tool::Floor if self.tool.contains(&Tool::Full) => true,
            Tool::FloorSched if self.tool.contains(&Tool::Sched) => true,
            _ if self.gate && self.tool.is_empty() => matches!(tool, Tool::Floor | Tool::Full),
            _ => self.tool.is_empty() || self.tool.contains(&tool),
        };
        Tool::ALL.into_iter().filter(|tool| wanted(*tool)).collect()
    }

    fn is_complete(&self) -> bool {
        !self.quick && !self.gate && self.server.is_empty() && self.tool.is_empty()
    }
}

/// How long and how often.
struct Plan {
    /// Of a server under a tool.
    time: Duration,
    /// Of each microloop.
    loop_time: Duration,
    rounds: usize,
    loop_rounds: usize,
}

impl Plan {
    fn of(args: &Args) -> Self {
        let rounds = args.rounds.map_or(if args.quick { 3 } else { 9 }, usize::from);
        let (time, loop_time) = if args.quick { (1000, 100) } else { (2000, 200) };
        let loop_rounds = if args.quick { rounds.max(5) } else { rounds.max(15) };
        Self {
            time: Duration::from_millis(time),
            loop_time: Duration::from_millis(loop_time),
            rounds,
            loop_rounds,
        }
    }
}

/// Measures, and writes the page.
///
/// # Errors
/// When nothing could be measured, or with `--gate` what is required does not hold.
pub fn run(args: &Args) -> Result<()> {
    let root = workspace::root();
    if args.again {
        return publish(&root, &kept(&root, true)?, true);
    }
    if !setup::is_root() {
        bail!("tracing needs root; run `sudo --preserve-env=PATH,HOME cargo xtask bench`");
    }
    install(args)?;
    let _first = process::Priority::raise();
    let places = places(&root, args)?;
    if args.scale {
        let complete = !args.quick;
        let mut record = kept(&root, complete).unwrap_or_default();
        if record.machine.is_empty() {
            record.machine = page::machine(&root);
        }
        record.scale = Some(scale::measure(&places, args.quick)?);
        return publish(&root, &record, complete);
    }
    let mut bench = Bench { plan: Plan::of(args), tools: args.tools(), places, record: Record::default() };
    bench.record.machine = page::machine(&root);
    for kind in args.kinds() {
        match kind {
            Kind::Loops => bench.loops()?,
            kind => bench.server(kind)?,
        }
    }
    if args.is_complete() {
        bench.record.scale = Some(scale::measure(&bench.places, false)?);
    }
    publish(&root, &bench.record, args.is_complete())?;
    if args.gate { gate(&root, bench) } else { Ok(()) }
}

/// Times that the loops are measured, all rounds taken together, before a gate fails: what else happens on the machine only
/// makes a slice longer, so the best ones come closer to what is true.
const TRIES: usize = 3;

fn gate(root: &Path, mut bench: Bench) -> Result<()> {
    for nth in 1.. {
        match require::gate(&bench.record) {
            Err(error) if nth < TRIES => eprintln!("bench: once more, since {error:#}"),
            held => return held,
        }
        bench.loops()?;
        publish(root, &bench.record, false)?;
    }
    Ok(())
}

/// Where the page and the figures of a run go; those of one that is not complete are kept apart.
fn files(root: &Path, complete: bool) -> (PathBuf, PathBuf) {
    let directory = if complete { root.join("docs") } else { root.join("target/bench") };
    (directory.join("BENCHMARKS.md"), directory.join("benchmarks.json"))
}

fn publish(root: &Path, record: &Record, complete: bool) -> Result<()> {
    let (page, figures) = files(root, complete);
    fs::create_dir_all(page.parent().context("no directory")?)?;
    fs::write(&figures, serde_json::to_string(record)? + "\n")?;
    let text = page::page(record);
    fs::write(&page, &text)?;
    println!("{text}");
    eprintln!("bench: wrote {} and {}", page.display(), figures.display());
    Ok(())
}

/// What the last run of the kind left.
fn kept(root: &Path, complete: bool) -> Result<Record> {
    let (_, figures) = files(root, complete);
    Ok(serde_json::from_str(&workspace::read_text(&figures)?)?)
}

/// Installs what the chosen servers and tools are.
fn install(args: &Args) -> Result<()> {
    let (kinds, tools) = (args.kinds(), args.tools());
    let needed = |package: &&str| match *package {
        "bpftrace" => tools.contains(&Tool::Bpftrace),
        "linux-perf" => tools.contains(&Tool::Perf),
        "strace" => tools.contains(&Tool::Strace),
        "redis-server" | "redis-tools" => kinds.contains(&Kind::Redis),
        "nginx-light" => kinds.contains(&Kind::Nginx) && workspace::find_program("nginx").is_none(),
        "wrk" => kinds.contains(&Kind::Nginx),
        "memcached" => kinds.contains(&Kind::Memcached),
        _ => true,
    };
    let names: Vec<&str> = PACKAGES.iter().filter(|package| needed(package)).copied().collect();
    setup::packages("the benchmarks", &names)?;
    if tools.contains(&Tool::Bpftrace) && !Path::new(TRACEFS).join("events").exists() {
        run::run(Command::new("mount").args(["-t", "tracefs", "tracefs", TRACEFS]))?;
    }
    Ok(())
}

fn places(root: &Path, args: &Args) -> Result<Places> {
    let trace = match &args.trace {
        Some(trace) => fs::canonicalize(trace).with_context(|| format!("there is no {}", trace.display()))?,
        None => build(root)?,
    };
    let scratch = root.join("target/bench/scratch");
    fs::create_dir_all(&scratch)?;
    let script = root.join("xtask/src/bench/equivalent.bt");
    Ok(Places { trace, prebuilt: workspace::prebuilt(root), script, scratch })
}

/// Builds `trace` as users get it.
fn build(root: &Path) -> Result<PathBuf> {
    let mut cargo = run::cargo();
    cargo.current_dir(root).args([
        "build",
        "--release",
        "--locked",
        "--package",
        "trace-user",
        "--bin",
        "trace",
    ]);
    eprintln!("bench: {}", run::describe(&cargo));
    run::run(&mut cargo)?;
    let here = std::env::current_exe().context("cannot tell where this program is")?;
    let target = here.parent().and_then(Path::parent).context("this program is in no target directory")?;
    Ok(target.join("release/trace"))
}

struct Bench {
    plan: Plan,
    tools: Vec<Tool>,
    places: Places,
    record: Record,
}

impl Bench {
    /// The tools in the order of a round: each round begins with another one.
    fn order(&self, round: usize) -> Vec<Tool> {
        let mut tools = self.tools.clone();
        tools.rotate_left(round % self.tools.len().max(1));
        tools
    }

    /// Leaves out a tool that cannot be had, saying so.
    fn give_up(&mut self, tool: Tool, server: Kind, error: &anyhow::Error) {
        eprintln!("bench: {} is left out: {error:#}", tool.title());
        self.tools.retain(|other| *other != tool);
        self.record.absent.push(Absent { tool, server, why: format!("{error:#}") });
    }

    fn server(&mut self, kind: Kind) -> Result<()> {
        let all = self.tools.clone();
        let server = Server::start(kind, &self.places.trace, &self.places.scratch)?;
        let time = self.plan.time;
        // Warms caches, and tells what to expect.
        let first = server.drive_bare(Duration::from_secs(1), 20_000.0)?;
        let mut bare = server.drive_bare(time, first.per_second)?;
        let mut rates: Vec<(Tool, f64)> =
            all.iter().map(|tool| (*tool, bare.per_second * tool.guess())).collect();
        for round in 0..self.plan.rounds {
            for tool in self.order(round) {
                let rate = rates.iter_mut().find(|(other, _)| *other == tool).context("no such tool")?;
                match self.server_round(&server, kind, tool, round, &mut bare, &mut rate.1) {
                    Ok(measured) => {
                        let text = page::progress(kind, &measured);
                        eprintln!("bench: {text}");
                        self.record.servers.push(measured);
                    }
                    Err(error) => self.give_up(tool, kind, &error),
                }
            }
        }
        for tool in all.iter().copied().filter(|tool| matches!(tool, Tool::Full | Tool::Sched)) {
            let rate = bare.per_second;
            match profile::measure(&server, kind, tool, &self.places, time, rate) {
                Ok(profile) => self.record.profiles.push(profile),
                Err(error) => eprintln!("bench: no profile of {}: {error:#}", tool.title()),
            }
        }
        self.tools = all;
        Ok(())
    }

    fn server_round(
        &self,
        server: &Server,
        kind: Kind,
        tool: Tool,
        round: usize,
        bare: &mut server::Seen,
        rate: &mut f64,
    ) -> Result<ServerRound> {
        let clients = server.connect(self.plan.time)?;
        let attached = Attached::new(tool, &self.places, &server.pids())?;
        let own = attached.cpu_ns();
        let with = server.drive(self.plan.time, *rate, clients)?;
        let own_cpu_ns = (attached.cpu_ns() - own) as f64 / with.requests as f64;
        let attach_ms = attached.took.as_secs_f64() * 1e3;
        let left = attached.detach()?;
        *rate = with.per_second;
        let before = *bare;
        *bare = server.drive_bare(self.plan.time, before.per_second)?;
        Ok(ServerRound {
            server: kind,
            tool,
            round,
            bare: [before, *bare],
            with,
            own_cpu_ns,
            attach_ms,
            detach_ms: left.took.as_secs_f64() * 1e3,
            losses: left.report.as_ref().map(page::losses).unwrap_or_default(),
        })
    }

    fn loops(&mut self) -> Result<()> {
        let all = self.tools.clone();
        let mut loops = Loops::start(&self.places.trace)?;
        let time = self.plan.loop_time;
        loops.measure(time)?;
        let mut bare = loops.measure(time)?;
        for round in 0..self.plan.loop_rounds {
            for tool in self.order(round) {
                match self.loop_round(&mut loops, tool, round, &mut bare) {
                    Ok(measured) => {
                        eprintln!("bench: {}", page::loop_progress(&measured));
                        self.record.loops.push(measured);
                    }
                    Err(error) => self.give_up(tool, Kind::Loops, &error),
                }
            }
        }
        self.tools = all;
        Ok(())
    }

    fn loop_round(
        &self,
        loops: &mut Loops,
        tool: Tool,
        round: usize,
        bare: &mut Vec<micro::Turn>,
    ) -> Result<LoopRound> {
        let attached = Attached::new(tool, &self.places, &loops.pids())?;
        let with = loops.measure(self.plan.loop_time)?;
        attached.detach()?;
        let after = loops.measure(self.plan.loop_time)?;
        let before = std::mem::replace(bare, after.clone());
        Ok(LoopRound { tool, round, bare: [before, after], with })
    }
}

/// What a program says of its version, in one line.
fn version(program: &str) -> String {
    let mut command = Command::new(program);
    command.arg(if program == "nginx" || program == "wrk" { "-v" } else { "--version" });
    let output = command.output().ok();
    let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or("not installed").trim().to_owned()
}
