//! The names that users type and reports show, each kind as a list; and the nearest of them to a misspelt one.

use std::collections::BTreeSet;

use trace_common::loss::Loss;

use crate::model::verdict::{Confidence, IoModel, Role};
use crate::report::build;

/// All I/O models.
pub const IO_MODELS: [IoModel; 7] = [
    IoModel::Blocking,
    IoModel::Nonblocking,
    IoModel::Multiplexing,
    IoModel::SignalDriven,
    IoModel::Asynchronous,
    IoModel::Mixed,
    IoModel::Inconclusive,
];

/// All server models (contract, DESIGN §3).
pub const SERVER_MODELS: [&str; 11] = [
    "iterative",
    "thread-per-connection",
    "process-per-connection",
    "thread-pool",
    "process-pool",
    "single-reactor",
    "reactor-with-workers",
    "multi-reactor",
    "proactor",
    "none",
    "inconclusive",
];

/// All roles.
pub const ROLES: [Role; 8] = [
    Role::Acceptor,
    Role::Reactor,
    Role::ConnectionWorker,
    Role::PoolWorker,
    Role::Supervisor,
    Role::Background,
    Role::Idle,
    Role::KernelIo,
];

/// All confidences, from the least to the most.
pub const CONFIDENCES: [Confidence; 3] = [Confidence::Low, Confidence::Medium, Confidence::High];

/// The name of a role, as reports have it.
pub const fn role(role: Role) -> &'static str {
    match role {
        Role::Acceptor => "acceptor",
        Role::Reactor => "reactor",
        Role::ConnectionWorker => "connection-worker",
        Role::PoolWorker => "pool-worker",
        Role::Supervisor => "supervisor",
        Role::Background => "background",
        Role::Idle => "idle",
        Role::KernelIo => "kernel-io",
    }
}

/// The name of a confidence, as reports have it.
pub const fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Low => "low",
        Confidence::Medium => "medium",
        Confidence::High => "high",
    }
}

/// What user space counts itself beyond [`build::LOSSES`].
const NOTICED: [&str; 1] = ["connections_evicted"];

/// All counters that a report of this version has under `loss`.
pub fn losses() -> BTreeSet<String> {
    let counted = Loss::ALL.iter().map(|loss| snake_case(&format!("{loss:?}")));
    counted.chain(build::LOSSES.iter().chain(&NOTICED).map(|name| (*name).to_owned())).collect()
}

/// `MapFull` as `map_full`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// The candidate that `name` was most likely meant to be; `None` if it is like none of them.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near =
        candidates.into_iter().map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate));
    let (distance, candidate) = near.min()?;
    // Half of the letters may be wrong, or what was typed is another word.
    (distance * 2 <= name.chars().count().max(candidate.chars().count())).then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: impl serde::Serialize) -> String {
        serde_json::to_value(value).expect("JSON").as_str().expect("a string").to_owned()
    }

    #[test]
    fn names_are_those_of_the_report_and_none_is_missing() {
        assert_eq!(IO_MODELS.map(json), IO_MODELS.map(|m| m.name().to_owned()));
        assert_eq!(ROLES.map(json), ROLES.map(|r| role(r).to_owned()));
        assert_eq!(CONFIDENCES.map(json), CONFIDENCES.map(|c| confidence(c).to_owned()));
        let schema = crate::json_schema::document();
        let variants = |name: &str| match &schema["$defs"][name] {
            definition if definition["oneOf"].is_array() => {
                definition["oneOf"].as_array().map_or(0, Vec::len)
            }
            definition => definition["enum"].as_array().map_or(0, Vec::len),
        };
        assert_eq!(
            [variants("IoModel"), variants("Role"), variants("Confidence")],
            [IO_MODELS.len(), ROLES.len(), CONFIDENCES.len()]
        );
    }

    #[test]
    fn losses_are_those_of_the_model_and_of_the_report() {
        let losses = losses();
        let known = crate::model::LOSSES.iter().chain(&build::NO_LOSSES).chain(&build::LOSSES);
        for name in known.chain(&["ring_full", "wide_scans_cut", "threads_missed"]) {
            assert!(losses.contains(*name), "{name}");
        }
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour_and_another_word_finds_none() {
        let models = || SERVER_MODELS.into_iter();
        assert_eq!(nearest("muti-reactor", models()), Some("multi-reactor"));
        assert_eq!(nearest("thread-pol", models()), Some("thread-pool"));
        assert_eq!(nearest("xyzzy", models()), None);
        assert_eq!(nearest("", models()), None);
    }
}
