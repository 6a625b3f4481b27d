//! Counting: what came of each comparison, confusion matrices, and shares. Pure.

use std::collections::BTreeMap;

use super::axis::{Axis, INCONCLUSIVE, Load};
use super::measure::Observation;

/// What came of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// One of the accepted answers.
    Accepted,
    /// No answer: neither right nor wrong, but not recognised either.
    Abstained,
    /// Another answer.
    Wrong,
    /// There is no report.
    Unmeasured,
}

impl Outcome {
    /// That of one axis.
    pub fn of(observation: &Observation, axis: Axis) -> Outcome {
        let Ok(reading) = &observation.reading else { return Outcome::Unmeasured };
        let said = &axis.verdict(reading).name;
        match said.as_str() {
            said if axis.accepted(&observation.label).iter().any(|accepted| accepted == said) => {
                Outcome::Accepted
            }
            INCONCLUSIVE => Outcome::Abstained,
            _ => Outcome::Wrong,
        }
    }
}

/// Whether a verdict is wrong and sure of itself.
pub fn is_confidently_wrong(observation: &Observation, axis: Axis) -> bool {
    let is_sure = |axis: Axis| {
        let reading = observation.reading.as_ref().ok();
        reading.is_some_and(|reading| axis.verdict(reading).confidence.as_deref() == Some("high"))
    };
    Outcome::of(observation, axis) == Outcome::Wrong && is_sure(axis)
}

/// Whether both axes are accepted, or at least one of them is wrong for sure: nothing that another look would better.
pub fn is_settled(observation: &Observation) -> bool {
    let accepted = |axis| Outcome::of(observation, axis) == Outcome::Accepted;
    Axis::ALL.into_iter().all(accepted)
        || Axis::ALL.into_iter().any(|axis| is_confidently_wrong(observation, axis))
}

/// How often what came of comparisons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// [`Outcome::Accepted`].
    pub accepted: usize,
    /// [`Outcome::Abstained`].
    pub abstained: usize,
    /// [`Outcome::Wrong`].
    pub wrong: usize,
    /// Of these, with confidence `high`.
    pub confidently_wrong: usize,
}

impl Tally {
    /// Of all measured.
    pub fn of<'a>(observations: impl Iterator<Item = &'a Observation>, axis: Axis) -> Tally {
        let mut tally = Tally::default();
        for observation in observations {
            tally.confidently_wrong += usize::from(is_confidently_wrong(observation, axis));
            match Outcome::of(observation, axis) {
                Outcome::Accepted => tally.accepted += 1,
                Outcome::Abstained => tally.abstained += 1,
                Outcome::Wrong => tally.wrong += 1,
                Outcome::Unmeasured => {}
            }
        }
        tally
    }

    /// All measured.
    pub fn measured(&self) -> usize {
        let Tally { accepted, abstained, wrong, confidently_wrong: _ } = self;
        accepted + abstained + wrong
    }

    /// Accepted of all measured: who abstains recognises nothing. Nothing of nothing is no share.
    pub fn recall(&self) -> Option<f64> {
        (self.measured() > 0).then(|| self.accepted as f64 / self.measured() as f64)
    }

    /// `37 of 40 (92.5 %)`.
    pub fn text(&self) -> String {
        match self.recall() {
            Some(recall) => format!("{} of {} ({:.1} %)", self.accepted, self.measured(), 100.0 * recall),
            None => "–".into(),
        }
    }
}

/// Observations at one load.
pub fn at(observations: &[Observation], load: Load) -> impl Iterator<Item = &Observation> {
    observations.iter().filter(move |observation| observation.load == load)
}

/// Observations at one load whose preferred answer is this model.
pub fn of_model<'a>(
    observations: &'a [Observation],
    axis: Axis,
    load: Load,
    model: &'a str,
) -> impl Iterator<Item = &'a Observation> {
    at(observations, load).filter(move |observation| preferred(observation, axis) == model)
}

/// The preferred answer.
pub fn preferred(observation: &Observation, axis: Axis) -> &str {
    axis.accepted(&observation.label).first().map_or("", String::as_str)
}

/// How often a preferred answer met a verdict, and how many of these verdicts are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// All.
    pub count: usize,
    /// Accepted.
    pub accepted: usize,
}

/// Counts by preferred answer and verdict.
pub fn confusion<'a>(
    observations: impl Iterator<Item = &'a Observation>,
    axis: Axis,
) -> BTreeMap<(&'a str, &'a str), Cell> {
    let mut cells: BTreeMap<_, Cell> = BTreeMap::new();
    for observation in observations {
        if let Ok(reading) = &observation.reading {
            let said = axis.verdict(reading).name.as_str();
            let cell = cells.entry((preferred(observation, axis), said)).or_default();
            cell.count += 1;
            cell.accepted += usize::from(Outcome::of(observation, axis) == Outcome::Accepted);
        }
    }
    cells
}

#[cfg(test)]
pub mod tests {
    use super::super::label::Label;
    use super::super::report::{Host, Reading, Tool, Verdict, Verdicts, Window};
    use super::*;

    fn verdict(name: &str, confidence: &str) -> Verdict {
        let confidence = (!confidence.is_empty()).then(|| confidence.to_owned());
        Verdict { name: name.into(), confidence, evidence: vec![], alternatives: vec![] }
    }

    /// What `name` is, and what was said of its I/O model at many connections; the server model always abstains.
    pub fn observation(name: &str, is: &[&str], said: &str, confidence: &str) -> Observation {
        let label = Label {
            io_model: is.iter().map(|&model| model.to_owned()).collect(),
            server_model: vec!["iterative".into()],
            why: String::new(),
        };
        let verdict =
            Verdicts { io_model: verdict(said, confidence), server_model: verdict(INCONCLUSIVE, "") };
        let reading = Reading {
            tool: Tool { version: "0".into() },
            host: Host { kernel: "6".into() },
            window: Window { started_at: "2001-01-01T00:00:00Z".into(), duration_ns: 0 },
            verdict,
        };
        Observation { name: name.into(), label, load: Load::Many, reading: Ok(reading) }
    }

    fn unmeasured() -> Observation {
        Observation { reading: Err("it did not start".into()), ..observation("u", &["blocking"], "x", "") }
    }

    #[test]
    fn who_abstains_is_not_wrong_and_has_not_recognised() {
        let observations = [
            observation("a", &["blocking"], "blocking", "high"),
            observation("b", &["blocking", "multiplexing"], "multiplexing", "medium"),
            observation("c", &["blocking"], "inconclusive", ""),
            observation("d", &["blocking"], "asynchronous", "medium"),
            observation("e", &["blocking"], "mixed", "high"),
            unmeasured(),
        ];
        let tally = Tally::of(observations.iter(), Axis::Io);
        assert_eq!(tally, Tally { accepted: 2, abstained: 1, wrong: 2, confidently_wrong: 1 });
        assert_eq!(tally.text(), "2 of 5 (40.0 %)");
        assert_eq!(Tally::default().recall(), None);
    }

    #[test]
    fn a_verdict_that_is_accepted_beside_the_preferred_one_keeps_its_own_column() {
        let observations = [
            observation("a", &["blocking", "multiplexing"], "multiplexing", "high"),
            observation("b", &["blocking"], "multiplexing", "low"),
            observation("c", &["blocking"], "blocking", "high"),
            unmeasured(),
        ];
        let cells = confusion(observations.iter(), Axis::Io);
        assert_eq!(cells[&("blocking", "multiplexing")], Cell { count: 2, accepted: 1 });
        assert_eq!(cells[&("blocking", "blocking")], Cell { count: 1, accepted: 1 });
        assert_eq!(cells.len(), 2);
    }
}
