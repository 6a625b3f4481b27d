//! Where the cost lies: what each program of `trace` takes for a request, by the kernel's own statistics.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use aya::programs::loaded_programs;
use aya::sys::{Stats, enable_stats};
use serde::{Deserialize, Serialize};

use super::server::{Kind, Server};
use super::tool::{Attached, Places, Tool};

/// A program that runs less often than once in so many requests is left out.
const RARE: f64 = 0.01;

/// One program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub program: String,
    /// Runs for each request.
    pub runs: f64,
    /// Mean time of a run, ns: with one of the two looks at the clock that the statistics take.
    pub ns: f64,
}

impl Part {
    /// Time for each request, ns.
    pub fn per_request(&self) -> f64 {
        self.runs * self.ns
    }
}

/// All programs of a tier under a server, the dearest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Profile {
    /// Which server.
    pub server: Kind,
    /// Which tier.
    pub tool: Tool,
    /// Its programs.
    pub parts: Vec<Part>,
}

/// Run time, ns, and number of runs.
type Runs = BTreeMap<u32, (u64, u64)>;

/// Profiles a tier of `trace` under a server that is driven for so long; `rate`: requests per second to expect.
///
/// # Errors
/// When it cannot be attached, or the kernel does not give its statistics.
pub fn measure(
    server: &Server,
    kind: Kind,
    tool: Tool,
    places: &Places,
    time: Duration,
    rate: f64,
) -> Result<Profile> {
    let clients = server.connect(time)?;
    let attached = Attached::new(tool, places, &server.pids())?;
    let pid = attached.pid().context("no tool with programs")?;
    let stats = enable_stats(Stats::RunTime).context("no statistics of programs")?;
    let before = runs(pid)?;
    let seen = server.drive(time, rate, clients)?;
    let after = runs(pid)?;
    drop(stats);
    let name = |program: aya::programs::ProgramInfo| Some((program.id(), program.name_as_str()?.to_owned()));
    let names = loaded_programs().flatten().filter_map(name).collect();
    attached.detach()?;
    Ok(Profile { server: kind, tool, parts: parts(&before, &after, &names, seen.requests) })
}

fn parts(before: &Runs, after: &Runs, names: &BTreeMap<u32, String>, requests: u64) -> Vec<Part> {
    let part = |(id, (ns, count)): (&u32, &(u64, u64))| {
        let (ns_before, count_before) = before.get(id).copied().unwrap_or_default();
        let count = count.saturating_sub(count_before);
        let runs = count as f64 / requests.max(1) as f64;
        let ns = ns.saturating_sub(ns_before) as f64 / count.max(1) as f64;
        let program = names.get(id).cloned().unwrap_or_else(|| format!("program {id}"));
        (runs >= RARE).then_some(Part { program, runs, ns })
    };
    let mut parts: Vec<Part> = after.iter().filter_map(part).collect();
    parts.sort_by(|a, b| b.per_request().total_cmp(&a.per_request()));
    parts
}

/// What the kernel counts of the programs of a process (`bpf_prog_show_fdinfo`, `kernel/bpf/syscall.c`).
fn runs(pid: u32) -> Result<Runs> {
    let mut runs = Runs::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))?.flatten() {
        // A descriptor may be closed meanwhile.
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let value =
            |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok());
        if let (Some(id), Some(ns), Some(count)) =
            (value("prog_id:"), value("run_time_ns:"), value("run_cnt:"))
        {
            runs.insert(id as u32, (ns, count));
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_charged_with_what_it_ran_meanwhile() {
        let before = Runs::from([(1, (1_000, 10)), (2, (0, 0)), (3, (0, 0))]);
        let after = Runs::from([(1, (3_000, 30)), (2, (90_000, 300)), (3, (5, 1))]);
        let names = BTreeMap::from([(1, "one".to_owned())]);
        let part = |program: &str, runs: f64, ns: f64| Part { program: program.to_owned(), runs, ns };
        // The third ran once in 200 requests.
        assert_eq!(
            parts(&before, &after, &names, 200),
            [part("program 2", 1.5, 300.0), part("one", 0.1, 100.0)]
        );
    }
}
