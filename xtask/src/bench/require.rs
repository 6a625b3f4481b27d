//! What is required, and whether it holds. Only ratios taken in one run count.

use anyhow::{Result, bail};

use super::micro::LOOPS;
use super::record::Record;
use super::server::Kind;
use super::tool::Tool;

/// Added CPU time per request against that of other tools, at most.
const AGAINST: [(Tool, f64); 3] = [(Tool::Bpftrace, 0.5), (Tool::Perf, 0.1), (Tool::Strace, 0.1)];
/// Throughput under tier sched as a share of bare, at least.
const SCHED_THROUGHPUT: f64 = 0.98;
/// Cost of a system call as a multiple of the floor, at most: whose, required, and where CI fails.
const CALLS: [(&str, f64, f64); 2] = [("target", 2.0, 3.0), ("bystander", 1.3, 1.6)];

/// One requirement.
pub struct Check {
    /// What is compared.
    pub what: String,
    /// The bound, in words.
    pub bound: String,
    /// What was measured.
    pub found: Option<f64>,
    /// Whether it holds; not known if it was not measured.
    pub holds: Option<bool>,
}

impl Check {
    /// One that holds up to a limit.
    pub fn at_most(what: String, limit: f64, found: Option<f64>) -> Self {
        let holds = found.map(|found| found <= limit);
        Self { what, bound: format!("≤ {limit}"), found, holds }
    }

    fn at_least(what: String, limit: f64, found: Option<f64>) -> Self {
        let holds = found.map(|found| found >= limit);
        Self { what, bound: format!("≥ {limit}"), found, holds }
    }
}

/// What is required of a server.
pub fn of_server(record: &Record, server: Kind) -> Vec<Check> {
    let added = |tool| record.added(server, tool).map(|spread| spread.median);
    let against = |(other, limit): (Tool, f64)| {
        let ratio = added(Tool::Full).zip(added(other)).map(|(ours, theirs)| ours / theirs);
        Check::at_most(format!("CPU added per request, full against {}", other.title()), limit, ratio)
    };
    let mut checks: Vec<Check> = AGAINST.into_iter().map(against).collect();
    let throughput = record.throughput(server, Tool::Sched).map(|spread| spread.median);
    checks.push(Check::at_least(
        "throughput under tier sched against bare".into(),
        SCHED_THROUGHPUT,
        throughput,
    ));
    checks
}

/// What is required of the microloops; `gate`: of CI.
pub fn of_loops(record: &Record, gate: bool) -> Vec<Check> {
    let check = |(whose, limit, gate_limit): (&str, f64, f64)| {
        let nth = LOOPS.iter().position(|which| *which == (whose, "calls"));
        let ratio = nth.and_then(|nth| multiple(record, Tool::Full, nth));
        let limit = if gate { gate_limit } else { limit };
        Check::at_most(format!("cost of a system call in the {whose}, full against the floor"), limit, ratio)
    };
    CALLS.into_iter().map(check).collect()
}

/// What a tool adds to an operation as a multiple of what its floor adds, both by the best slices: what else happens on
/// the machine, another tracer above all, only makes a slice longer, and may last for several rounds of one of the two.
pub fn multiple(record: &Record, tool: Tool, nth: usize) -> Option<f64> {
    let added = |tool| record.loop_best(tool, nth);
    Some(added(tool)? / added(floor_of(tool))?)
}

/// The floor that a tool is compared with.
pub fn floor_of(tool: Tool) -> Tool {
    if matches!(tool, Tool::Sched | Tool::FloorSched) { Tool::FloorSched } else { Tool::Floor }
}

/// Fails when CI has to.
pub fn gate(record: &Record) -> Result<()> {
    for Check { what, bound, found, holds } in of_loops(record, true) {
        let found = found.map_or("not measured".to_owned(), |found| format!("{found:.2}"));
        println!("bench: gate: {what}: {found}, must be {bound}");
        if holds != Some(true) {
            bail!("{what} is {found}, and must be {bound}");
        }
    }
    Ok(())
}
