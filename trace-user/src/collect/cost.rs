//! What tracing costs, by the kernel's own statistics of programs.
//!
//! The statistics cost two clock reads a run themselves, so they are on only for a short sample of the window, and the
//! figures are estimates for the whole of it.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::sys::{Stats, enable_stats};

use crate::snapshot::Cost;

/// Length of the sample.
const SAMPLE: Duration = Duration::from_millis(200);

/// Leaves the sample out. Switching the statistics on patches the kernel's code, which emulated CPUs of QEMU running in
/// parallel do not survive (6.12 panicked in `bpf_trace_run4` once); for the project's own tests, not a user's option.
const OFF: &str = "TRACE_NO_COST_SAMPLE";

/// Run time and number of runs of all programs so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    ns: u64,
    count: u64,
}

/// A sample under way, or its result.
pub enum Sampler {
    /// Statistics are on as long as the descriptor lives.
    Running {
        /// Keeps them on.
        _stats: OwnedFd,
        /// When it began.
        since: Instant,
        /// Runs at that time.
        before: Runs,
    },
    /// Share of one CPU, and runs per second.
    Done {
        /// Run time in the sample.
        ns: u64,
        /// Runs in the sample.
        count: u64,
        /// Length of the sample.
        over: Duration,
    },
    /// The kernel's statistics cannot be had.
    Unavailable,
}

impl Sampler {
    /// Begins a sample.
    pub fn begin(ebpf: &Ebpf) -> Sampler {
        if std::env::var_os(OFF).is_some() {
            return Sampler::Unavailable;
        }
        match enable_stats(Stats::RunTime) {
            Ok(stats) => Sampler::Running { _stats: stats, since: Instant::now(), before: runs(ebpf) },
            Err(_) => Sampler::Unavailable,
        }
    }

    /// Ends the sample once it has lasted, or if `now`.
    pub fn poll(&mut self, ebpf: &Ebpf, now: bool) {
        let Sampler::Running { since, before, .. } = self else { return };
        let over = since.elapsed();
        if over < SAMPLE && !now {
            return;
        }
        let after = runs(ebpf);
        *self = Sampler::Done {
            ns: after.ns.saturating_sub(before.ns),
            count: after.count.saturating_sub(before.count),
            over,
        };
    }

    /// The cost of a window of `window_ns`.
    pub fn cost(&self, window_ns: u64, map_bytes: u64) -> Cost {
        let Sampler::Done { ns, count, over } = self else { return Cost { map_bytes, ..Cost::default() } };
        let over = over.as_nanos().max(1) as f64;
        let scale = window_ns as f64 / over;
        Cost {
            bpf_run_ns: Some((*ns as f64 * scale) as u64),
            events: Some((*count as f64 * scale) as u64),
            cpu_share: Some(*ns as f64 / over),
            map_bytes,
        }
    }
}

fn runs(ebpf: &Ebpf) -> Runs {
    let mut sum = Runs::default();
    for (_, program) in ebpf.programs() {
        let Ok(fd) = program.fd() else { continue };
        let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let value = |key: &str| {
            text.lines().find_map(|l| l.strip_prefix(key)?.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        sum.ns += value("run_time_ns:");
        sum.count += value("run_cnt:");
    }
    sum
}
