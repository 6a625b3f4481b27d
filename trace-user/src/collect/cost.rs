//! What tracing costs, by the kernel's own statistics of programs.
//!
//! The statistics cost two clock reads a run themselves, so they are on only for short samples spread over the window,
//! and the figures are estimates for the whole of it.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::sys::{Stats, enable_stats};

use super::own;
use crate::kernel::drop;
use crate::snapshot::Cost;

/// Length of a sample; the session looks every 20 ms, so it is three of its ticks.
const SAMPLE: Duration = Duration::from_millis(50);
/// From the start of a sample to that of the next, at first: the load of the first seconds is what most windows are of.
const EVERY: Duration = Duration::from_millis(500);
/// After so many samples they become rare.
const OFTEN: u32 = 40;
/// … and this far apart. Where the cost is to be bounded they stay as often as they were.
const RARELY: Duration = Duration::from_secs(5);
/// Samples that a cost must be too high in, together, before a lower tier follows: one alone may be a burst.
const DECIDE: usize = 2;

/// Leaves the samples out. Switching the statistics on patches the kernel's code, which emulated CPUs of QEMU running in
/// parallel do not survive (6.12 panicked in `bpf_trace_run4` once); for the project's own tests, not a user's option.
const OFF: &str = "TRACE_NO_COST_SAMPLE";

/// Run time and number of runs of all programs so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    ns: u64,
    count: u64,
}

/// Samples added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    runs: Runs,
    over: Duration,
    samples: u32,
}

impl Sum {
    fn add(&mut self, before: Runs, after: Runs, over: Duration) {
        self.runs.ns += after.ns.saturating_sub(before.ns);
        self.runs.count += after.count.saturating_sub(before.count);
        self.over += over;
        self.samples += 1;
    }

    /// Run time as a share of one CPU.
    fn share(&self) -> f64 {
        self.runs.ns as f64 / self.over.as_nanos().max(1) as f64
    }
}

/// Statistics are on as long as it lives.
struct Running {
    _stats: OwnedFd,
    since: Instant,
    before: Runs,
}

/// Samples of one window.
pub struct Sampler {
    running: Option<Running>,
    next: Instant,
    sum: Sum,
    /// The last samples, each by itself.
    last: Vec<Sum>,
    unavailable: bool,
    bounded: bool,
    own_before: u64,
}

/// Whether the kernel's statistics can be had: they take `CAP_SYS_ADMIN` (`kernel/bpf/syscall.c`, `bpf_enable_stats`).
pub fn is_available() -> bool {
    std::env::var_os(OFF).is_none() && enable_stats(Stats::RunTime).is_ok()
}

impl Sampler {
    /// Nothing is sampled before [`Sampler::begin`].
    pub fn idle() -> Sampler {
        Sampler {
            running: None,
            next: Instant::now(),
            sum: Sum::default(),
            last: Vec::new(),
            unavailable: true,
            bounded: false,
            own_before: own::cpu_ns(),
        }
    }

    /// Begins the first sample of a window; `bounded`: the cost is watched to the end.
    pub fn begin(ebpf: &Ebpf, bounded: bool) -> Sampler {
        let unavailable = std::env::var_os(OFF).is_some();
        let mut sampler = Sampler { unavailable, bounded, ..Sampler::idle() };
        sampler.poll(ebpf, false);
        sampler
    }

    /// Begins or ends a sample that is due; ends one in any case if it is the `last` time.
    pub fn poll(&mut self, ebpf: &Ebpf, last: bool) {
        if let Some(Running { since, before, .. }) = &self.running {
            let over = since.elapsed();
            if over >= SAMPLE || last {
                let after = runs(ebpf);
                self.sum.add(*before, after, over);
                let mut one = Sum::default();
                one.add(*before, after, over);
                self.last.push(one);
                if self.last.len() > DECIDE {
                    self.last.remove(0);
                }
                self.running = None;
            }
            return;
        }
        let now = Instant::now();
        if self.unavailable || last || now < self.next {
            return;
        }
        let rarely = self.sum.samples >= OFTEN && !self.bounded;
        self.next = now + if rarely { RARELY } else { EVERY };
        match drop::raised(drop::FOR_STATISTICS, || enable_stats(Stats::RunTime)) {
            Ok(stats) => self.running = Some(Running { _stats: stats, since: now, before: runs(ebpf) }),
            Err(_) => self.unavailable = true,
        }
    }

    /// What the last samples cost together, as a share of one CPU, if that is above `limit` in both together.
    pub fn above(&self, limit: f64) -> Option<f64> {
        if self.last.len() < DECIDE {
            return None;
        }
        let mut sum = Sum::default();
        for one in &self.last {
            sum.add(Runs::default(), one.runs, one.over);
        }
        Some(sum.share()).filter(|share| *share > limit)
    }

    /// The cost of a window of `window_ns`.
    pub fn cost(&self, window_ns: u64, map_bytes: u64) -> Cost {
        let own_cpu_ns = Some(own::cpu_ns().saturating_sub(self.own_before));
        let Sum { runs, over, samples: 1.. } = self.sum else {
            return Cost { map_bytes, own_cpu_ns, ..Cost::default() };
        };
        let scale = window_ns as f64 / over.as_nanos().max(1) as f64;
        Cost {
            sampled_ns: Some(over.as_nanos() as u64),
            own_cpu_ns,
            bpf_run_ns: Some((runs.ns as f64 * scale) as u64),
            events: Some((runs.count as f64 * scale) as u64),
            cpu_share: Some(self.sum.share()),
            map_bytes,
        }
    }
}

/// Memory that the kernel charges for the maps of this process (`memlock` of their descriptors, `kernel/bpf/syscall.c`,
/// `bpf_map_show_fdinfo`); `None` if it cannot be read.
pub fn map_memory() -> Option<u64> {
    let mut maps = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo").ok()?.flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let value =
            |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok());
        if let (Some(id), Some(bytes)) = (value("map_id:"), value("memlock:")) {
            maps.insert(id, bytes);
        }
    }
    (!maps.is_empty()).then(|| maps.values().sum())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(ns: u64, count: u64) -> Sum {
        let mut sum = Sum::default();
        sum.add(Runs { ns: 5, count: 1 }, Runs { ns: ns + 5, count: count + 1 }, SAMPLE);
        sum
    }

    #[test]
    fn samples_stand_for_the_whole_window() {
        let mut sum = sampled(1_000_000, 100);
        sum.add(Runs::default(), Runs { ns: 500_000, count: 50 }, SAMPLE);
        let sampler = Sampler { sum, ..Sampler::idle() };
        let cost = sampler.cost(1_000_000_000, 7);
        assert_eq!((cost.bpf_run_ns, cost.events), (Some(15_000_000), Some(1_500)));
        assert_eq!((cost.sampled_ns, cost.map_bytes), (Some(100_000_000), 7));
        assert!((cost.cpu_share.expect("a share") - 0.015).abs() < 1e-9);
        assert_eq!(Sampler::idle().cost(1, 7).bpf_run_ns, None);
    }

    #[test]
    fn one_burst_is_not_too_much() {
        let mut sampler = Sampler::idle();
        sampler.last = vec![sampled(2_000_000, 1)];
        assert_eq!(sampler.above(0.01), None);
        sampler.last.push(sampled(0, 0));
        // 2 ms of 100: two percent.
        assert_eq!(sampler.above(0.03), None);
        assert!(sampler.above(0.01).is_some_and(|share| (share - 0.02).abs() < 1e-9));
    }
}
