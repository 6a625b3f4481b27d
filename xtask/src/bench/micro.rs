//! Microloops in the target and in a bystander.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdout, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::process::Owned;
use super::server::on_cpu;

/// A loop, and whose.
pub const LOOPS: [(&str, &str); 4] =
    [("target", "calls"), ("target", "switches"), ("bystander", "calls"), ("bystander", "switches")];

/// Time per operation.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Turn {
    /// The shortest of the slices, ns.
    pub best_ns: f64,
    /// The median of the slices, ns.
    pub median_ns: f64,
}

/// Both processes, on CPU 0.
pub struct Loops {
    target: Loop,
    bystander: Loop,
}

struct Loop {
    process: Owned,
    said: std::io::Lines<BufReader<ChildStdout>>,
}

impl Loops {
    /// Starts them.
    ///
    /// # Errors
    /// When they do not say that they are ready.
    pub fn start(trace: &Path) -> Result<Self> {
        Ok(Self { target: Loop::start(trace)?, bystander: Loop::start(trace)? })
    }

    /// The target's processes.
    pub fn pids(&self) -> Vec<u32> {
        vec![self.target.process.pid()]
    }

    /// All loops in turn, in the order of [`LOOPS`]. The target is idle while the bystander's run.
    ///
    /// # Errors
    /// When one ended.
    pub fn measure(&mut self, time: Duration) -> Result<Vec<Turn>> {
        let turn = |(whose, what): (&str, &str)| {
            let process = if whose == "target" { &mut self.target } else { &mut self.bystander };
            process.measure(what, time)
        };
        LOOPS.into_iter().map(turn).collect()
    }
}

impl Loop {
    fn start(trace: &Path) -> Result<Self> {
        let mut command = on_cpu(0);
        command.arg(trace).args(["fixture", "loops"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Owned::start(&mut command)?;
        let said = BufReader::new(process.child().stdout.take().context("no stdout")?).lines();
        let mut this = Self { process, said };
        this.line()?;
        Ok(this)
    }

    fn line(&mut self) -> Result<String> {
        Ok(self.said.next().context("a microloop ended")??)
    }

    fn measure(&mut self, what: &str, time: Duration) -> Result<Turn> {
        #[derive(Deserialize)]
        struct Took {
            best_ps: u64,
            median_ps: u64,
        }
        let stdin = self.process.child().stdin.as_mut().context("no stdin")?;
        writeln!(stdin, "{what} {}", time.as_millis())?;
        let Took { best_ps, median_ps } = serde_json::from_str(&self.line()?)?;
        Ok(Turn { best_ns: best_ps as f64 / 1e3, median_ns: median_ps as f64 / 1e3 })
    }
}
