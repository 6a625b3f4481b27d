//! How often to look: often enough to lose nothing, and so seldom that looking costs little, however many threads
//! there are.

use std::time::Duration;

/// Between two folds of the records of ended threads, where that is cheap; how soon an interrupt is heeded.
pub const TICK: Duration = Duration::from_millis(20);
/// Longest time between two folds: what a first interrupt may have to wait for.
const LONGEST: Duration = Duration::from_millis(100);
/// Looking may take one part in so many of the time.
const PARTS: u32 = 20;

/// The pause after a fold that took so long, where so many threads were born since the one before and so many records are
/// spare.
pub fn after_fold(took: Duration, births: usize, spare: usize) -> Duration {
    if births > spare / 8 {
        return TICK;
    }
    (took * PARTS).clamp(TICK, LONGEST)
}

/// The time from the beginning of an interim snapshot that took so long to the next one's, where `every` is asked for.
pub fn after_interim(every: Duration, took: Duration) -> Duration {
    every.max(took * PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn few_threads_are_looked_at_every_tick() {
        assert_eq!(after_fold(MS / 100, 0, 4_000), TICK);
        assert_eq!(after_interim(1000 * MS, MS), 1000 * MS);
    }

    #[test]
    fn many_threads_are_looked_at_as_seldom_as_one_twentieth_of_a_cpu_allows() {
        assert_eq!(after_fold(3 * MS, 10, 4_000), 60 * MS);
        assert_eq!(after_fold(500 * MS, 10, 4_000), LONGEST);
        assert_eq!(after_interim(1000 * MS, 100 * MS), 2000 * MS);
    }

    #[test]
    fn births_in_a_storm_do_not_wait() {
        assert_eq!(after_fold(5 * MS, 501, 4_000), TICK);
    }
}
