//! docs/BENCHMARKS.md.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::micro::LOOPS;
use super::profile::Part;
use super::record::{LoopRound, Record, ServerRound};
use super::require::{self, Check};
use super::scale_page;
use super::server::{CONNECTIONS, Kind};
use super::stats::{Spread, median, spread};
use super::tool::Tool;
use super::version;
use crate::process as run;
use crate::table::Table;

/// What the machine is and which versions take part.
pub fn machine(root: &Path) -> Vec<(String, String)> {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = text("/proc/cpuinfo");
    let model =
        cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let hypervisor = if cpus.contains(" hypervisor") { ", in a virtual machine" } else { "" };
    let memory = text("/proc/meminfo").lines().next().unwrap_or_default().replace("MemTotal:", "");
    let mut git = Command::new("git");
    git.current_dir(root).args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
    let named = |name: &str, what: String| (name.to_owned(), what);
    let mut machine = vec![
        named("CPU", format!("{count} × {}{hypervisor}", model.unwrap_or("unknown"))),
        named("memory", memory.trim().to_owned()),
        named("kernel", text("/proc/sys/kernel/osrelease").trim().to_owned()),
        named("JIT of BPF", text("/proc/sys/net/core/bpf_jit_enable").trim().to_owned()),
        named("load average before", text("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(", ")),
        named("commit", run::capture(&mut git).unwrap_or_default().trim().to_owned()),
    ];
    let programs = ["redis-server", "nginx", "wrk", "memcached", "bpftrace", "perf", "strace"];
    machine.extend(programs.map(|program| named(program, version(program))));
    machine
}

/// Losses in a report, without those that are none: what was recovered.
pub fn losses(report: &serde_json::Value) -> Vec<(String, u64)> {
    let losses = report["loss"].as_object().into_iter().flatten();
    let counted =
        losses.filter_map(|(name, count)| Some((name.clone(), count.as_u64().filter(|count| *count > 0)?)));
    counted.collect()
}

/// One line about a round of a server.
pub fn progress(kind: Kind, round: &ServerRound) -> String {
    format!(
        "{kind:?} {}: {} {:+.2} µs/request, throughput {:.3}, attached in {:.0} ms",
        round.round + 1,
        round.tool.title(),
        round.added_ns() / 1e3,
        round.throughput(),
        round.attach_ms
    )
}

/// One line about a round of the microloops.
pub fn loop_progress(round: &LoopRound) -> String {
    let added = (0..LOOPS.len())
        .map(|nth| format!("{} {} {:+.0} ns", LOOPS[nth].0, LOOPS[nth].1, round.added_ns(nth)));
    format!("loops {}: {}: {}", round.round + 1, round.tool.title(), added.collect::<Vec<_>>().join(", "))
}

/// All of the page.
pub fn page(record: &Record) -> String {
    let mut text = String::from(HEAD);
    let mut table = Table::new(["", ""]);
    for (name, what) in &record.machine {
        table.row([name.clone(), what.clone()]);
    }
    let _ = write!(text, "\n## Machine\n\n{table}\n{}", method());
    if !record.loops.is_empty() {
        loops(&mut text, record);
    }
    for kind in Kind::SERVERS {
        if record.servers.iter().any(|round| round.server == kind) {
            server(&mut text, record, kind);
        }
    }
    if let Some(scale) = &record.scale {
        let _ = write!(
            text,
            "\n## Scale\n\n\
Threads: nine of ten asleep in recv, the tenth naps 20 ms again and again. Snapshot: the last one while the window is\n\
open; the last snapshot is the one at its end, with a file of /proc for each thread, and two more for silent ones that\n\
were not asked about before. Ended: from the interrupt until the measurement was written and `trace` was gone. Own CPU: of `trace`, while the\n\
window was open, in parts of one CPU. The masses last {} s here, 10 s in `trace-user/tests/scale.rs`.\n\n",
            scale.seconds
        );
        checks(&mut text, &scale_page::checks(scale));
        scale_page::tables(&mut text, scale);
    }
    for absent in &record.absent {
        let _ = writeln!(
            text,
            "\nNot measured: {} with {:?}: {}.",
            absent.tool.title(),
            absent.server,
            absent.why
        );
    }
    raw(&mut text, record);
    text
}

const HEAD: &str = "# Benchmarks\n\n<!-- Written by `cargo xtask bench`; do not edit. -->\n\n\
What `trace` costs, side by side with other tools, measured in one run. Machines differ and are noisy: compare the\n\
ratios, not the nanoseconds. The requirements are those that the project set itself before it measured.\n";

fn method() -> String {
    format!(
        "\n## Method\n\n\
- `cargo xtask bench` as root; `trace` built with optimisation. Server, or loop, on CPU 0, client on CPU 1 with\n  \
{CONNECTIONS} connections, each sending when it was answered; tools where the kernel puts them. All of\n  \
them run at nice −15.\n\
- Each round of a tool lies between two rounds without any, and is compared with the mean of these two; the tools take\n  \
turns, each round in another order. Tables show medians over rounds, and quartiles in brackets.\n\
- A tool attaches to the running server; what is measured begins 0.4 s after it is attached (`trace` and bpftrace say\n  \
so; of strace and perf it can be seen), and it has detached before the next round.\n\
- CPU per request: what the CPU clocks of the server's processes (the sum of the run times in schedstat, interrupts\n  \
and the programs of tracers included) grew by, over the requests the client counted.\n\
- The floor: the same hooks with programs that do nothing (`trace-ebpf/src/floor.rs`).\n\
- bpftrace runs `xtask/src/bench/equivalent.bt`, which knows less than `trace`: calls and states, no connections, no\n  \
episodes, no first copied byte, no accounts that add up.\n"
    )
}

fn loops(text: &mut String, record: &Record) {
    let rounds = record.loops.iter().map(|round| round.round + 1).max().unwrap_or(0);
    let _ = write!(
        text,
        "\n## Microloops\n\n\
A system call that fails at once (`read` of descriptor −1), and a turn of two threads that wake each other over pipes\n\
on one CPU (a write, a read and a switch each): in the traced process, and in a bystander that nobody traces while an\n\
idle one is traced. ns per operation, {rounds} rounds; the median of\n\
slices of 0.1 ms is a round's figure; `best`: the shortest slice against the shortest without any tool, which is\n\
what the multiples are of.\n\n"
    );
    checks(text, &require::of_loops(record, false));
    for (nth, (whose, what)) in LOOPS.iter().enumerate() {
        let bare = record.loop_bare(nth).unwrap_or_default();
        let _ = write!(text, "\n### {whose}, {what}: {bare:.0} ns without any tool\n\n");
        let mut table = Table::new(["tool", "added ns", "best", "best × its floor"]);
        for tool in Tool::ALL {
            let Some(added) = record.loop_added(tool, nth) else { continue };
            table.row([
                tool.title().to_owned(),
                numbers(added, 1.0, 0),
                record.loop_best(tool, nth).map_or("–".into(), |best| format!("{best:.0}")),
                number(require::multiple(record, tool, nth), 2),
            ]);
        }
        let _ = write!(text, "{table}");
    }
}

fn server(text: &mut String, record: &Record, kind: Kind) {
    let all = || record.servers.iter().filter(|round| round.server == kind);
    let bare = || all().flat_map(|round| round.bare);
    let rounds = all().map(|round| round.round + 1).max().unwrap_or(0);
    let _ = write!(text, "\n## {}\n\n{rounds} rounds.", kind.title());
    if !kind.is_required() {
        text.push_str(" The requirements do not speak of it; the ratios are given all the same.");
    }
    text.push_str("\n\n");
    checks(text, &require::of_server(record, kind));
    let heading =
        ["tool", "CPU added, µs/request", "× its floor", "throughput", "p99, µs", "own CPU, µs/request"];
    let mut table = Table::new(heading);
    let p99 = |values: &mut dyn Iterator<Item = Option<f64>>| {
        number(median(values.flatten().map(|ns| ns / 1e3)), 0)
    };
    let cpu = median(bare().map(|seen| seen.cpu_ns / 1e3));
    let rate = median(bare().map(|seen| seen.per_second));
    table.row([
        "none".to_owned(),
        format!("{} in all", number(cpu, 2)),
        String::new(),
        format!("{}/s", number(rate, 0)),
        p99(&mut bare().map(|seen| seen.p99_ns)),
        String::new(),
    ]);
    for tool in Tool::ALL {
        let Some(added) = record.added(kind, tool) else { continue };
        let floor = record.added(kind, require::floor_of(tool)).map(|floor| added.median / floor.median);
        table.row([
            tool.title().to_owned(),
            numbers(added, 1e-3, 2),
            number(floor, 2),
            record.throughput(kind, tool).map_or("–".into(), |share| numbers(share, 1.0, 3)),
            p99(&mut record.rounds(kind, tool).map(|round| round.with.p99_ns)),
            number(median(record.rounds(kind, tool).map(|round| round.own_cpu_ns / 1e3)), 2),
        ]);
    }
    let _ = write!(text, "\n{table}");
    for tool in [Tool::Full, Tool::Sched] {
        attached(text, record, kind, tool);
    }
    profile(text, record, kind);
}

/// Where the cost lies.
fn profile(text: &mut String, record: &Record, kind: Kind) {
    let mut table = Table::new(["tier", "program", "runs/request", "ns/run", "ns/request"]);
    for profile in record.profiles.iter().filter(|profile| profile.server == kind) {
        let tier = if profile.tool == Tool::Full { "full" } else { "sched" };
        for part in &profile.parts {
            let program = format!("`{}`", part.program);
            let [runs, ns, all] = [(part.runs, 2), (part.ns, 0), (part.per_request(), 0)]
                .map(|(value, digits)| number(Some(value), digits));
            table.row([tier.to_owned(), program, runs, ns, all]);
        }
        let sum: f64 = profile.parts.iter().map(Part::per_request).sum();
        let runs: f64 = profile.parts.iter().map(|part| part.runs).sum();
        table.row([tier.into(), "all".into(), number(Some(runs), 2), String::new(), number(Some(sum), 0)]);
    }
    if !table.is_empty() {
        let _ = write!(
            text,
            "\nWhere it lies, in one more round with the kernel's statistics on: they add two looks at the clock to a run, of\n\
which one is in its time; what dispatching a program takes is not (the floor).\n\n{table}"
        );
    }
}

/// How long attaching took, and what was lost.
fn attached(text: &mut String, record: &Record, kind: Kind, tool: Tool) {
    let rounds = || record.rounds(kind, tool);
    let Some(attach) = spread(rounds().map(|round| round.attach_ms)) else { return };
    let Some(detach) = spread(rounds().map(|round| round.detach_ms)) else { return };
    let mut losses: Vec<(&str, u64)> = Vec::new();
    for (name, count) in rounds().flat_map(|round| &round.losses) {
        match losses.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += count,
            None => losses.push((name, *count)),
        }
    }
    let requests: u64 = rounds().map(|round| round.with.requests).sum();
    let losses: Vec<String> = losses.iter().map(|(name, count)| format!("`{name}` {count}")).collect();
    let losses = if losses.is_empty() { "nothing".to_owned() } else { losses.join(", ") };
    let _ = writeln!(
        text,
        "\n{}: attached in {} ms, ended with its report in {} ms; counted as lost or recovered in {requests} requests: {losses}.",
        tool.title(),
        numbers(attach, 1.0, 0),
        numbers(detach, 1.0, 0)
    );
}

fn checks(text: &mut String, checks: &[Check]) {
    let mut table = Table::new(["required", "bound", "measured", ""]);
    for Check { what, bound, found, holds } in checks {
        let mark = match holds {
            Some(true) => "✓",
            Some(false) => "✗",
            None => "not measured",
        };
        table.row([what.clone(), bound.clone(), number(*found, 3), mark.to_owned()]);
    }
    let _ = write!(text, "{table}");
}

fn raw(text: &mut String, record: &Record) {
    text.push_str("\n## Every round\n\nAlso, with all digits, in [benchmarks.json](benchmarks.json).\n");
    if !record.servers.is_empty() {
        let heading =
            ["server", "tool", "round", "µs/request bare", "with", "bare", "requests/s bare", "with", "bare"];
        let mut table = Table::new(heading);
        for round in &record.servers {
            let cpu = |ns: f64| format!("{:.2}", ns / 1e3);
            let rate = |rate: f64| format!("{rate:.0}");
            table.row([
                format!("{:?}", round.server).to_lowercase(),
                round.tool.title().to_owned(),
                (round.round + 1).to_string(),
                cpu(round.bare[0].cpu_ns),
                cpu(round.with.cpu_ns),
                cpu(round.bare[1].cpu_ns),
                rate(round.bare[0].per_second),
                rate(round.with.per_second),
                rate(round.bare[1].per_second),
            ]);
        }
        let _ = write!(text, "\n{table}");
    }
    if !record.loops.is_empty() {
        let names = LOOPS.map(|(whose, what)| format!("{whose} {what}: bare, with, bare"));
        let mut table = Table::new(["tool".to_owned(), "round".to_owned()].into_iter().chain(names));
        for round in &record.loops {
            let cells = (0..LOOPS.len()).map(|nth| {
                let [before, after] = &round.bare;
                let ns =
                    [before[nth], round.with[nth], after[nth]].map(|turn| format!("{:.0}", turn.median_ns));
                ns.join(", ")
            });
            let names = [round.tool.title().to_owned(), (round.round + 1).to_string()];
            table.row(names.into_iter().chain(cells));
        }
        let _ = write!(text, "\n{table}");
    }
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".into(), |value| format!("{value:.digits$}"))
}

/// `1.50 (1.42–1.61)`.
fn numbers(Spread { low, median, high }: Spread, factor: f64, digits: usize) -> String {
    let [low, median, high] = [low, median, high].map(|value| value * factor);
    format!("{median:.digits$} ({low:.digits$} … {high:.digits$})")
}
