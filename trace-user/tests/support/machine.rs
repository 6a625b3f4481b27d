//! The machine under the tests: whose turn it is, what is allowed, how exact its clocks are.

use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, setpriority_pgrp};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Most time to wait for anything.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks at what has no event to wait for.
pub const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The tests measure microseconds: one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
/// The same between test executables; its end unlocks it.
const LOCK: &str = "/tmp/trace-tests.lock";

/// `CAP_SYS_ADMIN`, `CAP_PERFMON` and `CAP_BPF`, as bits of `CapEff` (`include/uapi/linux/capability.h`).
const SYS_ADMIN: u64 = 1 << 21;
const PERFMON_AND_BPF: u64 = 0b11 << 38;

/// The machine, for one test.
pub struct Alone {
    _here: MutexGuard<'static, ()>,
    _everywhere: File,
}

/// Waits for the test's turn. None: it may not trace, and the reason was printed.
pub fn take() -> Option<Alone> {
    if !may_trace() {
        assert!(std::env::var_os("TRACE_REQUIRE_PRIVILEGED").is_none(), "no test may skip here");
        eprintln!("skipped: needs CAP_BPF and CAP_PERFMON (kernel/bpf/syscall.c, bpf_prog_load)");
        return None;
    }
    // A test that failed leaves nothing behind that would disturb the next.
    let here = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let everywhere = File::options().create(true).append(true).open(LOCK).unwrap();
    everywhere.lock().unwrap();
    Some(Alone { _here: here, _everywhere: everywhere })
}

fn may_trace() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|l| l.strip_prefix("CapEff:")).unwrap();
    let effective = u64::from_str_radix(effective.trim(), 16).unwrap();
    effective & SYS_ADMIN != 0 || effective & PERFMON_AND_BPF == PERFMON_AND_BPF
}

/// Whether this is a guest of `cargo xtask vm`: an emulated processor, on which only counts are exact.
pub fn is_guest() -> bool {
    std::env::var_os("TRACE_IN_VM").is_some()
}

/// `host` on a processor, `guest` on an emulated one.
pub fn by_machine<T>(host: T, guest: T) -> T {
    if is_guest() { guest } else { host }
}

/// The highest-numbered CPU, on which less happens than on the first.
pub fn last_cpu() -> usize {
    std::thread::available_parallelism().unwrap().get() - 1
}

/// Does `start` with this thread on one CPU: children that it starts stay there.
pub fn pinned<T>(cpu: usize, start: impl FnOnce() -> T) -> T {
    let before = sched_getaffinity(None).unwrap();
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).unwrap();
    let started = start();
    sched_setaffinity(None, &before).unwrap();
    started
}

/// Gives a process group (each fixture is one of its own) all the CPU time that it asks for, whoever else wants some. Where that
/// is not permitted, others have to leave it.
pub fn favour(group: u32) {
    let _ = setpriority_pgrp(Pid::from_raw(group as i32), -20);
}

/// `CLOCK_MONOTONIC`, by which fixtures and probes stamp.
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Waits until the condition holds.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {DEADLINE:?} in vain for {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// The middle value.
pub fn median<T: Copy + PartialOrd>(values: impl IntoIterator<Item = T>) -> T {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values[values.len() / 2]
}

/// Least-squares slope of y over x.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mean_x = points.iter().map(|p| p.0).sum::<f64>() / n;
    let mean_y = points.iter().map(|p| p.1).sum::<f64>() / n;
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    covariance / variance
}

/// For tolerances of microseconds on a machine that others use as well: what holds once of three times was no error of
/// the tool's. Each failure is printed.
pub fn once_of_three(mut attempt: impl FnMut() -> Result<(), String>) {
    let failures: Vec<String> =
        (0..3).map_while(|_| attempt().inspect_err(|why| println!("measuring again: {why}")).err()).collect();
    assert!(failures.len() < 3, "{failures:#?}");
}

/// Whether a workload had the rate that its test is about, or half of what the machine manages without a tracer: where others
/// use it as well, that is all that can be asked.
pub fn kept_up(rate: u64, wanted: u64, alone: impl FnOnce() -> u64) -> Result<(), String> {
    if rate >= wanted {
        return Ok(());
    }
    let alone = alone();
    println!("{rate} a second, not {wanted}; {alone} without a tracer");
    if rate >= alone / 2 { Ok(()) } else { Err(format!("{rate} a second, {alone} without a tracer")) }
}
