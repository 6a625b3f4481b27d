//! Loss counters by the names of the report.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd};

use aya::Ebpf;
use trace_common::loss::{Loss, Losses};

/// What user space noticed itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noticed {
    /// Records that stayed torn.
    pub torn_reads: u64,
    /// Threads of the target without a record at the end.
    pub threads_missed: u64,
    /// Connections that nothing is left of.
    pub connections_evicted: u64,
    /// Spans of the timeline beyond its limit.
    pub timeline_dropped: u64,
}

/// All counters, by name.
pub fn report(kernel: &Losses, noticed: Noticed, recursion: u64) -> BTreeMap<String, u64> {
    let mut loss: BTreeMap<String, u64> =
        Loss::ALL.iter().map(|l| (name(*l).to_owned(), kernel.counts[*l as usize])).collect();
    *loss.entry(name(Loss::TimelineDropped).to_owned()).or_default() += noticed.timeline_dropped;
    loss.insert("recursion_missed".to_owned(), recursion);
    loss.insert("torn_reads".to_owned(), noticed.torn_reads);
    loss.insert("threads_missed".to_owned(), noticed.threads_missed);
    loss.insert("connections_evicted".to_owned(), noticed.connections_evicted);
    loss
}

/// All counters of a tier that has no probes to lose anything.
pub fn none() -> BTreeMap<String, u64> {
    report(&Losses::ZERO, Noticed::default(), 0)
}

const fn name(loss: Loss) -> &'static str {
    match loss {
        Loss::ExitWithoutEnter => "exit_without_enter",
        Loss::EnterWithoutExit => "enter_without_exit",
        Loss::ClockBackwards => "clock_backwards",
        Loss::SlotsExhausted => "slots_exhausted",
        Loss::MapFull => "map_full",
        Loss::RingFull => "ring_full",
        Loss::Nested => "nested",
        Loss::CompatCalls => "compat_calls",
        Loss::UserFaults => "user_faults",
        Loss::LostWakeups => "lost_wakeups",
        Loss::MissedSwitches => "missed_switches",
        Loss::RecoveredWakeups => "recovered_wakeups",
        Loss::RecoveredSwitches => "recovered_switches",
        Loss::EarlyWakeups => "early_wakeups",
        Loss::ConnectionsSeen => "connections_seen",
        Loss::ConnectionsFolded => "connections_folded",
        Loss::WideScansCut => "wide_scans_cut",
        Loss::CompletedUnmatched => "completed_unmatched",
        Loss::GenerationDropped => "generation_dropped",
        Loss::TimelineDropped => "timeline_dropped",
    }
}

/// Runs that the kernel skipped because the program was already active on that CPU (`recursion_misses`, 5.12).
pub fn recursion_misses(ebpf: &Ebpf) -> u64 {
    ebpf.programs()
        .filter_map(|(_, program)| {
            let fd = program.fd().ok()?.as_fd().as_raw_fd();
            let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
            text.lines().find_map(|l| l.strip_prefix("recursion_misses:")?.trim().parse::<u64>().ok())
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_missing_once_is_counted_once() {
        let mut kernel = Losses::ZERO;
        kernel.counts[Loss::Nested as usize] = 2;
        kernel.counts[Loss::TimelineDropped as usize] = 32;
        let noticed =
            Noticed { torn_reads: 4, threads_missed: 8, connections_evicted: 16, timeline_dropped: 64 };
        let loss = report(&kernel, noticed, 1);
        assert_eq!((loss["recursion_missed"], loss["nested"], loss["timeline_dropped"]), (1, 2, 96));
        assert_eq!(loss.values().sum::<u64>(), 1 + 2 + 4 + 8 + 16 + 96);
    }
}
