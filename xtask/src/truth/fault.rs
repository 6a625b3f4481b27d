//! What makes the command fail. Pure.

use super::axis::{Axis, Load};
use super::measure::Observation;
use super::score::{Tally, at, is_confidently_wrong, of_model, preferred};

/// I/O models recognised under [`BINDING`] load, at the least.
pub const IO_ACCEPTED: f64 = 0.97;
/// Of each model with [`ENOUGH`] configurations or more.
pub const MODEL_RECALL: f64 = 0.85;
/// Configurations from which a share means something.
pub const ENOUGH: usize = 3;
/// Server models recognised under [`BINDING`] load, at the least.
pub const SERVER_ACCEPTED: f64 = 0.92;
/// The load that the thresholds are about. With a single connection several models look alike, and to abstain is right.
pub const BINDING: Load = Load::Many;

/// Of a subset, on either axis: too few for the shares above, and on a machine with other work one may be missed.
pub const SUBSET_ACCEPTED: f64 = 0.80;

/// All faults, in words.
pub fn all(observations: &[Observation], loads: &[Load], enforce_server: bool, subset: bool) -> Vec<String> {
    let mut faults = unmeasured(observations);
    faults.extend(confident_errors(observations));
    if loads.contains(&BINDING) && subset {
        let enforced = if enforce_server { &Axis::ALL[..] } else { &[Axis::Io] };
        faults.extend(enforced.iter().filter_map(|axis| below(observations, *axis, SUBSET_ACCEPTED)));
    } else if loads.contains(&BINDING) {
        faults.extend(below(observations, Axis::Io, IO_ACCEPTED));
        faults.extend(models_below(observations, Axis::Io));
        if enforce_server {
            faults.extend(below(observations, Axis::Server, SERVER_ACCEPTED));
            faults.extend(models_below(observations, Axis::Server));
        }
    }
    faults
}

/// A configuration that is not measured must not look like one that is well.
fn unmeasured(observations: &[Observation]) -> Vec<String> {
    let fault = |observation: &Observation| {
        let why = observation.reading.as_ref().err()?;
        Some(format!("{} at load {}: not measured: {why}", observation.name, observation.load))
    };
    observations.iter().filter_map(fault).collect()
}

fn confident_errors(observations: &[Observation]) -> Vec<String> {
    let pairs = observations.iter().flat_map(|observation| Axis::ALL.map(|axis| (observation, axis)));
    let wrong = pairs.filter(|(observation, axis)| is_confidently_wrong(observation, *axis));
    let fault = |(observation, axis): (&Observation, Axis)| {
        let said = observation.reading.as_ref().map_or("", |reading| &axis.verdict(reading).name);
        let Observation { name, label, load, .. } = observation;
        let is = axis.accepted(label).join(" or ");
        format!(
            "{name} at load {load}: {} is {is}, and was said to be {said} with confidence high",
            axis.name()
        )
    };
    wrong.map(fault).collect()
}

fn below(observations: &[Observation], axis: Axis, least: f64) -> Option<String> {
    let tally = Tally::of(at(observations, BINDING), axis);
    is_below(&tally, least).then(|| {
        format!(
            "{} recognised at load {BINDING}: {}, below {:.0} %",
            axis.name(),
            tally.text(),
            100.0 * least
        )
    })
}

fn models_below(observations: &[Observation], axis: Axis) -> Vec<String> {
    let models = axis.models().iter();
    let fault = |model: &&str| {
        let count = at(observations, BINDING).filter(|seen| preferred(seen, axis) == *model).count();
        let tally = Tally::of(of_model(observations, axis, BINDING, model), axis);
        (count >= ENOUGH && is_below(&tally, MODEL_RECALL)).then(|| {
            let least = 100.0 * MODEL_RECALL;
            format!("{model} recognised at load {BINDING}: {}, below {least:.0} %", tally.text())
        })
    };
    models.filter_map(fault).collect()
}

fn is_below(tally: &Tally, least: f64) -> bool {
    tally.recall().is_some_and(|recall| recall < least)
}

#[cfg(test)]
mod tests {
    use super::super::score::tests::observation;
    use super::*;

    fn right(count: usize) -> Vec<Observation> {
        (0..count).map(|_| observation("r", &["multiplexing"], "multiplexing", "high")).collect()
    }

    fn faults(observations: &[Observation]) -> Vec<String> {
        all(observations, &Load::ALL, false, false)
    }

    #[test]
    fn what_is_right_has_no_faults_and_the_server_model_counts_only_when_asked_for() {
        assert!(faults(&right(5)).is_empty());
        assert_eq!(all(&right(5), &Load::ALL, true, false).len(), 2, "of all, and of the model");
    }

    #[test]
    fn of_a_subset_one_may_be_missed_but_none_be_wrong_for_sure() {
        let mut observations = right(9);
        observations.push(observation("b", &["blocking"], "inconclusive", ""));
        assert!(all(&observations, &Load::ALL, false, true).is_empty());
        observations.push(observation("c", &["blocking"], "inconclusive", ""));
        observations.push(observation("d", &["blocking"], "inconclusive", ""));
        assert_eq!(all(&observations, &Load::ALL, false, true).len(), 1);
        let mut wrong = right(9);
        wrong.push(observation("w", &["blocking"], "multiplexing", "high"));
        assert_eq!(all(&wrong, &Load::ALL, false, true).len(), 1);
    }

    #[test]
    fn one_confident_error_is_a_fault_among_any_number_at_any_load() {
        let mut observations = right(100);
        let mut wrong = observation("w", &["blocking"], "multiplexing", "high");
        wrong.load = Load::None;
        observations.push(wrong);
        let faults = faults(&observations);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("w at load none: io_model is blocking"), "{faults:?}");
    }

    #[test]
    fn a_model_that_is_seldom_recognised_is_a_fault_although_the_rest_hides_it() {
        let mut observations = right(100);
        observations.extend((0..2).map(|_| observation("b", &["blocking"], "blocking", "high")));
        observations.push(observation("b", &["blocking"], "multiplexing", "medium"));
        let faults = faults(&observations);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("blocking recognised"), "{faults:?}");
    }

    #[test]
    fn what_is_not_measured_is_a_fault() {
        let mut lost = observation("l", &["blocking"], "blocking", "high");
        lost.reading = Err("it did not start".into());
        assert_eq!(faults(&[lost]), ["l at load many: not measured: it did not start"]);
    }
}
