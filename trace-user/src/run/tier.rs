//! Which tier a run gets, and which of its windows is reported.

use crate::collect::{self, Options, Progress, Tier};
use crate::failure::Failure;
use crate::kernel::rights::{self, System};
use crate::model;
use crate::model::verdict::Confidence;
use crate::names;
use crate::snapshot::Snapshot;

/// Checks what the tier asked for needs; with `--tier auto` goes down to samples where probes are not to be had, and
/// says why.
///
/// # Errors
/// The first need that is not met.
pub fn settle(options: &mut Options) -> Result<Option<Progress>, Failure> {
    let system = System::here(&options.btf);
    if options.tier == Tier::Proc {
        return rights::check_samples(&system).map(|()| None);
    }
    match rights::check(&system) {
        Err(failure) if options.may_be_lower(&failure) => {
            rights::check_samples(&system)?;
            let why = collect::lowered(&failure);
            options.tier = Tier::Proc;
            options.lowered = Some(why.clone());
            Ok(Some(Progress::Note(format!("tier proc: {why}"))))
        }
        checked => checked.map(|()| None),
    }
}

/// The window that is reported, of one or more. Where their verdicts differ, or only one is conclusive, it is that with
/// the surer one; where they agree, the surest of those that are at least half as long as the longest, whose figures say
/// most. The steps say what the others came to.
///
/// # Panics
/// If there is none.
pub fn choose(mut windows: Vec<Snapshot>) -> Snapshot {
    if windows.len() == 1
        && let Some(only) = windows.pop()
    {
        return finish(only, &[None], 0);
    }
    let verdicts: Vec<_> = windows.iter().map(|w| model::classify(w).io_model).collect();
    let agree = verdicts.iter().all(|v| v.name == verdicts[0].name && v.confidence.is_some());
    let length = |i: usize| windows[i].window.duration_ns;
    let longest = (0..windows.len()).map(length).max().unwrap_or(0);
    let best = (0..windows.len())
        .filter(|&i| !agree || length(i) >= longest / 2)
        .max_by_key(|&i| (verdicts[i].confidence, length(i)))
        .unwrap_or(0);
    let told: Vec<Option<(String, Option<Confidence>)>> =
        verdicts.iter().map(|v| Some((v.name.name().to_owned(), v.confidence))).collect();
    finish(windows.swap_remove(best), &told, best)
}

/// Writes into the steps what the windows that ended so came to.
fn finish(
    mut snapshot: Snapshot,
    verdicts: &[Option<(String, Option<Confidence>)>],
    reported: usize,
) -> Snapshot {
    if snapshot.tool.steps.is_empty() {
        return snapshot;
    }
    let only = model::classify(&snapshot).io_model;
    for (i, step) in snapshot.tool.steps.iter_mut().enumerate() {
        let (name, confidence) = match verdicts.get(i).cloned().flatten() {
            Some(verdict) => verdict,
            None => (only.name.name().to_owned(), only.confidence),
        };
        step.io_model = Some(name);
        step.confidence = confidence.map(|c| names::confidence(c).to_owned());
        step.reported = i == reported;
    }
    snapshot
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::snapshot::EndedBy;

    fn window(tier: &str, seconds: u64) -> Snapshot {
        let mut snapshot = sample::snapshot(1);
        snapshot.tool.tier = tier.to_owned();
        snapshot.window.duration_ns = seconds * 1_000_000_000;
        snapshot.window.ended_by = EndedBy::Overhead;
        snapshot.tool.steps = vec![sample::step()];
        snapshot
    }

    /// Forty episodes that slept in a receive, on three connections.
    fn conclusive(mut snapshot: Snapshot) -> Snapshot {
        let thread = &mut snapshot.threads[0];
        let episodes = thread.episodes.entry(trace_common::conn::Side::Server).or_default();
        (episodes.slept, episodes.connections) = (40, 3);
        snapshot
    }

    #[test]
    fn the_surer_window_is_reported_and_of_equals_the_longest() {
        let chosen = choose(vec![conclusive(window("full", 1)), window("sched", 60)]);
        assert_eq!(chosen.tool.tier, "full");
        assert!(chosen.tool.steps[0].reported);
        assert_eq!(chosen.tool.steps[0].io_model.as_deref(), Some("blocking"));
        let chosen = choose(vec![conclusive(window("full", 1)), conclusive(window("sched", 60))]);
        assert_eq!(chosen.tool.tier, "sched");
        assert!(!chosen.tool.steps[0].reported);
        assert_eq!(chosen.tool.steps[0].io_model.as_deref(), Some("blocking"));
        let mut less_sure = conclusive(window("sched", 11));
        // Too few for the Wilson bound.
        less_sure.threads[0].episodes.values_mut().for_each(|episodes| episodes.slept = 8);
        assert_eq!(choose(vec![conclusive(window("full", 10)), less_sure]).tool.tier, "full");
    }

    #[test]
    fn a_run_without_steps_is_as_it_was() {
        let mut only = window("full", 1);
        only.tool.steps.clear();
        assert!(choose(vec![only]).tool.steps.is_empty());
    }
}
