//! A comparison in words.

use super::{Diff, Model, sure};
use crate::report::unit;

/// Changes below this are noise of a measurement that is repeated.
const NOISE: f64 = 0.05;

/// The comparison in one sentence.
pub fn summary(diff: &Diff) -> String {
    let mut parts = models(diff);
    for mean in &diff.per_receive {
        if let Some(change) = mean.change_share.filter(|change| change.abs() >= NOISE) {
            parts.push(format!("{} per receive {}", mean.name, percent(change)));
        }
    }
    parts.join("; ")
}

fn models(diff: &Diff) -> Vec<String> {
    let mut parts = Vec::new();
    let [before, after] = [&diff.server_model.before, &diff.server_model.after];
    if (&before.name, before.count) != (&after.name, after.count) {
        parts.push(format!("from {} to {}", server(before), server(after)));
    }
    let [before, after] = [&diff.io_model.before, &diff.io_model.after];
    let kind = |model: &Model| (model.name.clone(), model.mechanism.clone(), model.qualifier.clone());
    if kind(before) != kind(after) {
        parts.push(format!("from {} to {}", io(before), io(after)));
    }
    if parts.is_empty() {
        parts.push(format!("no model changed: {}, {}", io(after), server(after)));
    }
    parts
}

/// An I/O model: `multiplexing (epoll)`.
pub fn io(model: &Model) -> String {
    let mut text = model.name.clone();
    if let Some(mechanism) = &model.mechanism {
        text += &format!(" ({mechanism})");
    }
    match &model.qualifier {
        Some(qualifier) => text + ", " + qualifier,
        None => text,
    }
}

/// A server model, as one would say it: `4 loops, one a process`.
pub fn server(model: &Model) -> String {
    let count = model.count;
    let many = |one: &str, more: &str| match count {
        Some(n) => unit::plural(n, one, more),
        None => more.to_owned(),
    };
    let with_count = |text: &str| match count {
        Some(n) => format!("{text} ({})", unit::count(n)),
        None => text.to_owned(),
    };
    let text = match model.name.as_str() {
        "iterative" => "one connection at a time".to_owned(),
        "thread-per-connection" => with_count("one thread per connection"),
        "process-per-connection" => with_count("one process per connection"),
        "thread-pool" => format!("a pool of {}", many("thread", "threads")),
        "process-pool" => format!("a pool of {}", many("process", "processes")),
        "single-reactor" => "one loop".to_owned(),
        "reactor-with-workers" => "a loop with workers".to_owned(),
        "multi-reactor" => {
            let loops = many("loop", "loops");
            model.units.as_ref().map_or(loops.clone(), |units| format!("{loops}, one a {units}"))
        }
        "proactor" => many("completion loop", "completion loops"),
        "none" => "no server".to_owned(),
        "inconclusive" => "no clear server model".to_owned(),
        other => with_count(other),
    };
    match &model.qualifier {
        Some(qualifier) => format!("{text}, {qualifier}"),
        None => text,
    }
}

/// A model with how sure it is.
pub fn with_confidence(text: String, model: &Model) -> String {
    match sure(model.confidence) {
        Some(sure) => format!("{text}, {sure}"),
        None => text,
    }
}

/// A change: `−31%`, `+4.2%`, or a factor where it is large. `−100%` is nothing left.
pub fn percent(change: f64) -> String {
    let sign = if change < 0.0 { "−" } else { "+" };
    match change.abs() * 100.0 {
        p if p < 0.05 => "±0%".to_owned(),
        // Only what is gone has lost all of it.
        p if change < 0.0 && (99.95..100.0).contains(&p) => "−>99.9%".to_owned(),
        p if p < 9.95 || (change < 0.0 && (99.5..100.0).contains(&p)) => format!("{sign}{p:.1}%"),
        p if p < 999.5 => format!("{sign}{p:.0}%"),
        _ => format!("×{:.0}", change + 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_have_a_sign_and_large_ones_are_factors() {
        assert_eq!([-0.31, 0.042, 0.0, 12.0].map(percent), ["−31%", "+4.2%", "±0%", "×13"]);
        assert_eq!([-1.0, -0.9984, -0.9999].map(percent), ["−100%", "−99.8%", "−>99.9%"]);
    }

    #[test]
    fn every_server_model_has_words() {
        let model = |name: &str, count| Model {
            name: name.to_owned(),
            mechanism: None,
            qualifier: None,
            units: Some("thread".to_owned()),
            count,
            confidence: None,
        };
        for name in crate::names::SERVER_MODELS {
            assert_ne!(server(&model(name, Some(4))), format!("{name} (4)"), "{name} has none");
        }
        assert_eq!(server(&model("multi-reactor", Some(4))), "4 loops, one a thread");
        assert_eq!(server(&model("thread-pool", Some(1))), "a pool of 1 thread");
        assert_eq!(server(&model("thread-pool", None)), "a pool of threads");
    }
}
