//! What makes a comparison unfair, or impossible.

use serde::Serialize;

use super::Pair;
use crate::figures::Figures;
use crate::model::thresholds::LOSS_TOLERANCE;
use crate::report::schema::Report;
use crate::report::total_lost;

/// Windows whose lengths differ by more than this see other things: births, rare waits, the longest of them.
const WINDOW_RATIO: f64 = 2.0;
/// Loads that differ by more than this compare two loads, not two servers.
const LOAD_RATIO: f64 = 2.0;
/// Stolen time above this share of the window looks like running.
const STEAL_SHARE: f64 = 0.05;

/// Digits of a hash that are shown.
const DIGITS: usize = 12;

/// Something that makes the comparison unfair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Stable code.
    pub code: &'static str,
    /// A sentence with both values.
    pub text: String,
}

/// Refuses what cannot be compared.
///
/// # Errors
/// Why not.
pub fn refuse(before: &Report, after: &Report) -> Result<(), String> {
    let tiers = [&before.tool.tier, &after.tool.tier];
    if tiers[0] != tiers[1] {
        let [a, b] = tiers;
        return Err(format!(
            "one was measured with tier {a}, the other with tier {b}, which see other things"
        ));
    }
    Ok(())
}

/// What makes it unfair, the gravest first.
pub fn warnings(before: &Report, after: &Report, figures: &Pair<Figures>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code, text: Option<String>| warnings.extend(text.map(|text| Warning { code, text }));
    for (which, report) in [("first", before), ("second", after)] {
        warn("canary", canary(which, report));
        warn("losses", losses(which, report));
        warn("steal", steal(which, report));
    }
    let other = |what: &str, a: &str, b: &str| (a != b).then(|| format!("other {what}: {a}, then {b}"));
    let architecture = || other("architectures", &before.host.arch, &after.host.arch);
    warn("kernel", other("kernels", &before.host.kernel, &after.host.kernel).or_else(architecture));
    let hash = |report: &Report| {
        let hash = report.tool.object_sha256.as_deref().unwrap_or("none");
        hash.chars().take(DIGITS).collect::<String>()
    };
    let probes = || other("probes", &hash(before), &hash(after));
    warn("tool", other("versions of trace", &before.tool.version, &after.tool.version).or_else(probes));
    warn("tier", other("tiers", &before.tool.tier, &after.tool.tier));
    warn("degraded", other("gaps", &before.degraded.join("; "), &after.degraded.join("; ")));
    let name = |report: &Report| report.target.comm.clone().unwrap_or_else(|| "?".to_owned());
    warn("target", other("targets", &name(before), &name(after)));
    let seconds = [before, after].map(|r| r.window.duration_ns as f64 / 1e9);
    warn(
        "window",
        apart(seconds, WINDOW_RATIO, |[a, b]| {
            format!(
                "the windows are {a:.1} s and {b:.1} s long: the longer one sees more births and rarer waits"
            )
        }),
    );
    let received = [&figures.before, &figures.after].map(|f| f.receives.with_data as f64);
    let rates = [received[0] / seconds[0].max(1e-9), received[1] / seconds[1].max(1e-9)];
    warn(
        "load",
        apart(rates, LOAD_RATIO, |[a, b]| {
            format!("other loads: {a:.0} receives with data a second, then {b:.0}")
        }),
    );
    warnings
}

/// Says so where one value is more than `ratio` times the other.
fn apart(values: [f64; 2], ratio: f64, say: impl Fn([f64; 2]) -> String) -> Option<String> {
    let [a, b] = values;
    (a.max(b) > ratio * a.min(b)).then(|| say(values))
}

fn canary(which: &str, report: &Report) -> Option<String> {
    let c = &report.calibration;
    (!c.exact && c.done > 0)
        .then(|| format!("the {which} one missed known receives: it measured {} of {}", c.measured, c.done))
}

fn losses(which: &str, report: &Report) -> Option<String> {
    let lost = total_lost(&report.loss);
    let tolerable = report.cost.events.unwrap_or(0) as f64 * LOSS_TOLERANCE;
    (lost > 0 && lost as f64 > tolerable).then(|| format!("the {which} one lost {lost} events"))
}

fn steal(which: &str, report: &Report) -> Option<String> {
    let share = report.window.steal_ns? as f64 / report.window.duration_ns.max(1) as f64;
    (share > STEAL_SHARE).then(|| {
        format!(
            "in the {which} one the hypervisor took {:.0} % of a CPU, which looks like running",
            share * 100.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{build, sample};

    fn report() -> Report {
        let snapshot = sample::snapshot(2);
        build::build(&snapshot, &sample::verdicts(&snapshot))
    }

    fn codes(change: impl Fn(&mut Report)) -> Vec<&'static str> {
        let (before, mut after) = (report(), report());
        change(&mut after);
        let figures = Pair { before: Figures::of(&before), after: Figures::of(&after) };
        warnings(&before, &after, &figures).iter().map(|w| w.code).collect()
    }

    #[test]
    fn each_unfairness_has_its_code() {
        assert!(codes(|_| ()).is_empty());
        assert_eq!(codes(|r| r.host.kernel = "6.1.0".to_owned()), ["kernel"]);
        assert_eq!(codes(|r| r.tool.version = "9.9.9".to_owned()), ["tool"]);
        assert_eq!(codes(|r| r.tool.object_sha256 = Some("f".repeat(64))), ["tool"]);
        assert_eq!(codes(|r| r.window.duration_ns *= 3), ["window", "load"]);
        assert_eq!(codes(|r| r.window.steal_ns = Some(r.window.duration_ns)), ["steal"]);
        assert_eq!(codes(|r| _ = r.loss.insert("map_full".to_owned(), 1_000)), ["losses"]);
        assert_eq!(codes(|r| r.calibration.exact = false), ["canary"]);
        assert_eq!(codes(|r| r.degraded.push("no signals".to_owned())), ["degraded"]);
        assert_eq!(codes(|r| r.target.comm = None), ["target"]);
    }

    #[test]
    fn one_loss_in_a_million_events_is_none() {
        let one = |r: &mut Report| {
            r.cost.events = Some(1_000_000);
            r.loss.insert("lost_wakeups".to_owned(), 1);
        };
        assert!(codes(one).is_empty());
    }

    #[test]
    fn other_tiers_are_refused() {
        let mut after = report();
        assert!(refuse(&report(), &after).is_ok());
        after.tool.tier = "sched".to_owned();
        assert!(refuse(&report(), &after).is_err_and(|why| why.contains("full") && why.contains("sched")));
    }
}
