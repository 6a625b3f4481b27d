//! What vouches for a measurement, and what it cost.

use serde::{Deserialize, Serialize};

/// The canary: a helper thread of the tool that does known receives through the same probes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Calibration {
    /// Receives done.
    pub done: u64,
    /// Bytes received.
    pub done_bytes: u64,
    /// Receives measured.
    pub measured: u64,
    /// Bytes measured.
    pub measured_bytes: u64,
    /// … of which slept as they had to.
    pub measured_slept: u64,
    /// Median of the smallest receives' `copy + kernel`, ns: nothing below it is a fact.
    pub floor_ns: Option<u64>,
}

impl Calibration {
    /// Whether the probes saw exactly what was done.
    pub fn is_exact(&self) -> bool {
        self.done > 0 && self.done == self.measured && self.done_bytes == self.measured_bytes
    }
}

/// What tracing cost.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Cost {
    /// Time of the window in which the kernel's statistics of programs were on, ns: the figures of the programs are
    /// estimates from it for the whole.
    #[serde(default)]
    pub sampled_ns: Option<u64>,
    /// CPU time that the tool itself took in the window, ns; `None` in files that are older than the figure.
    #[serde(default)]
    pub own_cpu_ns: Option<u64>,
    /// Run time of the programs; `None` where the kernel's statistics could not be had.
    pub bpf_run_ns: Option<u64>,
    /// Events handled.
    pub events: Option<u64>,
    /// `bpf_run_ns` as a share of one CPU.
    pub cpu_share: Option<f64>,
    /// Memory of all maps.
    pub map_bytes: u64,
}
