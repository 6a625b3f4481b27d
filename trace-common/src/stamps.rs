//! The scheduler's own stamps, where an event was not traced.

use crate::thread::{Sched, Thread};

/// The scheduler's own stamps of a thread (`struct sched_info`, `include/linux/sched.h`), in the scheduler's clock; 0
/// where unknown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamps {
    /// When it last got onto a CPU.
    pub last_arrival: u64,
    /// When it was last put on a run queue; 0 once it runs.
    pub last_queued: u64,
    /// Time it has waited on run queues.
    pub run_delay: u64,
}

impl Stamps {
    /// When a thread that gets onto a CPU was woken, by its time on run queues since it left one: the last stamp alone would
    /// be that of its last move between queues (`sched_info_dequeue`, `kernel/sched/stats.h`). 0 if it is unknown.
    #[inline(always)]
    pub fn woken_at(self, t: &Thread, default_offset: u64) -> u64 {
        let queued_at = Stamps::in_our_clock(self.last_queued, t, default_offset);
        let moved = self.run_delay.wrapping_sub(t.run_delay);
        // Of a thread of which nothing was seen yet it is not known how long it had waited before.
        if queued_at == 0 || t.sched == Sched::Unseen as u8 || moved > queued_at {
            queued_at
        } else {
            queued_at - moved
        }
    }

    /// A stamp in the clock of the probes; 0 if it is unknown.
    #[inline(always)]
    pub fn in_our_clock(stamp: u64, t: &Thread, default_offset: u64) -> u64 {
        let offset = if t.rq_offset != 0 { t.rq_offset } else { default_offset };
        if stamp == 0 || offset == 0 { 0 } else { stamp.wrapping_add(offset) }
    }
}
