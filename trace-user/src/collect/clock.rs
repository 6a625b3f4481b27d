//! Clocks.

use std::time::SystemTime;

use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC` in nanoseconds: the clock of `bpf_ktime_get_ns`.
pub fn now() -> u64 {
    let t = clock_gettime(ClockId::Monotonic);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// The wall clock as RFC 3339 in UTC, to the millisecond.
pub fn wall() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}
