//! What was measured, as it is kept in docs/benchmarks.json.

use serde::{Deserialize, Serialize};

use super::micro::Turn;
use super::profile::Profile;
use super::scale::Scale;
use super::server::{Kind, Seen};
use super::stats::{Spread, median, spread};
use super::tool::Tool;

/// One server under one tool once, with the same without it just before and just after.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerRound {
    /// Which server.
    pub server: Kind,
    /// Which tool.
    pub tool: Tool,
    /// The round, from 0.
    pub round: usize,
    /// Without any tool, before and after.
    pub bare: [Seen; 2],
    /// With it.
    pub with: Seen,
    /// CPU time of the tool's own process per request, ns.
    pub own_cpu_ns: f64,
    /// Until attached, ms.
    pub attach_ms: f64,
    /// Until detached, ms.
    pub detach_ms: f64,
    /// What a report of `trace` said that should not be: losses by name.
    pub losses: Vec<(String, u64)>,
}

impl ServerRound {
    /// CPU time that the tool added per request, ns.
    pub fn added_ns(&self) -> f64 {
        self.with.cpu_ns - (self.bare[0].cpu_ns + self.bare[1].cpu_ns) / 2.0
    }

    /// Throughput as a share of that without it.
    pub fn throughput(&self) -> f64 {
        self.with.per_second * 2.0 / (self.bare[0].per_second + self.bare[1].per_second)
    }
}

/// All microloops under one tool once, with the same without it just before and just after.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoopRound {
    /// Which tool.
    pub tool: Tool,
    /// The round, from 0.
    pub round: usize,
    /// Without any tool, before and after, in the order of [`super::micro::LOOPS`].
    pub bare: [Vec<Turn>; 2],
    /// With it.
    pub with: Vec<Turn>,
}

impl LoopRound {
    /// Time that the tool added to an operation of the loop with this number, ns.
    pub fn added_ns(&self, nth: usize) -> f64 {
        self.with[nth].median_ns - (self.bare[0][nth].median_ns + self.bare[1][nth].median_ns) / 2.0
    }
}

/// A tool that did not take part, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Absent {
    /// Which.
    pub tool: Tool,
    /// With what.
    pub server: Kind,
    /// Why.
    pub why: String,
}

/// All of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Record {
    /// Machine, kernel, versions: a name and what it is.
    pub machine: Vec<(String, String)>,
    /// Of the servers.
    pub servers: Vec<ServerRound>,
    /// Where the cost lies, by server and tier.
    #[serde(default)]
    pub profiles: Vec<Profile>,
    /// Of the microloops.
    pub loops: Vec<LoopRound>,
    /// Who did not take part.
    pub absent: Vec<Absent>,
    /// Of scale.
    pub scale: Option<Scale>,
}

impl Record {
    /// Rounds of a server under a tool.
    pub fn rounds(&self, server: Kind, tool: Tool) -> impl Iterator<Item = &ServerRound> {
        self.servers.iter().filter(move |round| round.server == server && round.tool == tool)
    }

    /// CPU time that a tool added to a request, ns.
    pub fn added(&self, server: Kind, tool: Tool) -> Option<Spread> {
        spread(self.rounds(server, tool).map(ServerRound::added_ns))
    }

    /// Throughput under a tool as a share of bare.
    pub fn throughput(&self, server: Kind, tool: Tool) -> Option<Spread> {
        spread(self.rounds(server, tool).map(ServerRound::throughput))
    }

    /// Time that a tool added to an operation of a microloop, ns.
    pub fn loop_added(&self, tool: Tool, nth: usize) -> Option<Spread> {
        spread(self.loops.iter().filter(|round| round.tool == tool).map(|round| round.added_ns(nth)))
    }

    /// The least that a tool added to an operation, ns: its best slice against the best one without any tool.
    pub fn loop_best(&self, tool: Tool, nth: usize) -> Option<f64> {
        let best = |turns: &mut dyn Iterator<Item = f64>| turns.min_by(f64::total_cmp);
        let with = self.loops.iter().filter(|round| round.tool == tool).map(|round| round.with[nth].best_ns);
        let bare = self.loops.iter().flat_map(|round| round.bare.iter().map(|turns| turns[nth].best_ns));
        Some(best(&mut { with })? - best(&mut { bare })?)
    }

    /// Time of an operation without any tool, ns.
    pub fn loop_bare(&self, nth: usize) -> Option<f64> {
        median(self.loops.iter().flat_map(|round| round.bare.iter().map(|turns| turns[nth].median_ns)))
    }
}
