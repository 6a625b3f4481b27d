//! A measurement whose cost is bounded: it goes on in a lower tier when it costs too much, and ends when that one does.
//!
//! What a probe books depends on the tier, and is decided when it is loaded. So a step down closes the window, and the
//! next tier opens one of its own: each is a measurement by itself.

use std::time::{Duration, Instant};

use super::session::Session;
use super::{Options, Progress, Tier};
use crate::failure::Failure;
use crate::snapshot::Snapshot;

/// A window that would be shorter is not opened.
const SHORTEST: Duration = Duration::from_millis(200);

/// The tier below; the last one is followed by none.
const fn below(tier: Tier) -> Option<Tier> {
    match tier {
        Tier::Full => Some(Tier::Sched),
        Tier::Sched | Tier::Proc => None,
    }
}

/// Goes on after `first`, which was opened by now; returns all windows, each with all steps.
///
/// # Errors
/// If the first window breaks. A later one that cannot be opened, or breaks, is told as the end of the measurement.
pub fn bounded(
    first: Session,
    options: &Options,
    stop: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Snapshot>, Failure> {
    let begun = Instant::now();
    let mut windows = vec![first.run(stop, progress)?];
    let mut tier = options.tier;
    while let Some(step) = windows.last_mut().and_then(|w| w.tool.steps.last_mut()) {
        step.at_ns = begun.elapsed().as_nanos() as u64;
        let (cost, limit) = (step.cost_share * 100.0, step.limit_share * 100.0);
        let told = format!("tier {} costs {cost:.3}% of one CPU, more than {limit:.3}%", tier.name());
        let left = options.duration.map(|whole| whole.saturating_sub(begun.elapsed()));
        let next = below(tier).filter(|_| left.is_none_or(|left| left >= SHORTEST));
        let Some(next) = next else {
            progress(Progress::Note(format!("{told}: the probes are detached, and the measurement ends")));
            break;
        };
        progress(Progress::Note(format!("{told}: going on in tier {}", next.name())));
        let options = Options { tier: next, duration: left, held: false, ..options.clone() };
        // What was told of the first window holds for the whole.
        let mut quieter = |p: Progress| match p {
            Progress::Open | Progress::Attached { .. } => {}
            p => progress(p),
        };
        match Session::open(&options, &mut quieter).and_then(|s| s.run(stop, &mut quieter)) {
            Ok(window) => {
                step.to = Some(next.name().to_owned());
                windows.push(window);
                tier = next;
            }
            Err(failure) => {
                let told = format!(
                    "tier {} cannot be had ({}: {}): the measurement ends",
                    next.name(),
                    failure.what,
                    failure.why
                );
                progress(Progress::Note(told));
                break;
            }
        }
    }
    let steps: Vec<_> = windows.iter().flat_map(|w| w.tool.steps.clone()).collect();
    for window in &mut windows {
        window.tool.steps.clone_from(&steps);
    }
    Ok(windows)
}
