//! The grounds of disagreements, for whoever looks into them.

use std::fmt::Write as _;

use super::Page;
use crate::truth::axis::Axis;
use crate::truth::measure::Observation;
use crate::truth::report::Verdict;
use crate::truth::score::Outcome;

impl Page<'_> {
    /// Every wrong verdict and every abstention, with the evidence that the report gives; an axis that abstained
    /// everywhere is left out.
    pub fn evidence(&self) -> String {
        let mut text = String::from("# Disagreements\n");
        for axis in Axis::ALL {
            let listed =
                |seen: &&Observation| matches!(Outcome::of(seen, axis), Outcome::Wrong | Outcome::Abstained);
            let measured = self.observations.iter().filter(|seen| seen.reading.is_ok());
            if measured.clone().all(|seen| Outcome::of(seen, axis) == Outcome::Abstained) {
                continue;
            }
            measured.filter(listed).for_each(|seen| text.push_str(&one(seen, axis)));
        }
        text
    }
}

fn one(seen: &Observation, axis: Axis) -> String {
    let Ok(reading) = &seen.reading else { return String::new() };
    let verdict = axis.verdict(reading);
    let is = axis.accepted(&seen.label).join(" or ");
    let heading =
        format!("{}, load {}: {} said {}, is {is}", seen.name, seen.load, axis.name(), verdict.text());
    format!("\n## {heading}\n\n{}\n\n{}", seen.label.why, lines(verdict))
}

fn lines(verdict: &Verdict) -> String {
    let mut text = String::new();
    for fact in &verdict.evidence {
        let sign = if fact.supports { "for" } else { "against" };
        // A string takes whatever is written to it.
        let _ = writeln!(text, "- {sign}: {}: {}", fact.code, fact.text);
    }
    text
}
