//! `trace explain`: every name that a report, a table or an error shows, in words.
//!
//! What must be written by hand stands in the tables of this module; fields of the JSON report are explained by the
//! documentation of their types ([`crate::json_schema`]). Tests hold the tables against the types.

mod codes;
mod findings;
mod models;
pub mod numbers;
pub mod page;
mod threads;
mod trust;

use crate::json_schema::{self, Field};

/// What a topic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An I/O model.
    IoModel,
    /// A server model.
    ServerModel,
    /// What stands behind a model.
    Qualifier,
    /// How sure a verdict is.
    Confidence,
    /// What a thread does.
    Role,
    /// Where its time goes.
    Account,
    /// Which end of a connection the target holds.
    Side,
    /// How an episode ends.
    Ending,
    /// How a connection came to its thread.
    Handover,
    /// What decides which worker gets a connection.
    Spread,
    /// Something worth a second look.
    Finding,
    /// What a verdict stands on.
    Evidence,
    /// What was lost.
    Loss,
    /// How it was measured.
    Tier,
    /// A column or mark of a table.
    Column,
    /// An exit code, and the error behind it.
    ExitCode,
    /// A field of the JSON report.
    Field,
}

/// A part of an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// How it looks.
    Looks,
    /// When it is a good choice.
    Good,
    /// What it costs.
    Costs,
    /// What much of it says.
    Says,
    /// How it is measured.
    Measured,
    /// What to do.
    Act,
}

/// An explanation.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    /// What it is.
    pub kind: Kind,
    /// Its name, as reports have it.
    pub name: &'static str,
    /// In a sentence or two.
    pub what: &'static str,
    /// More of it.
    pub parts: &'static [(Part, &'static str)],
}

impl Kind {
    /// All kinds, in the order in which they are listed.
    pub const ALL: [Kind; 17] = [
        Kind::IoModel,
        Kind::ServerModel,
        Kind::Qualifier,
        Kind::Confidence,
        Kind::Role,
        Kind::Account,
        Kind::Side,
        Kind::Ending,
        Kind::Handover,
        Kind::Spread,
        Kind::Finding,
        Kind::Evidence,
        Kind::Loss,
        Kind::Tier,
        Kind::Column,
        Kind::ExitCode,
        Kind::Field,
    ];

    /// The word for it, in text and before a name.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::IoModel => "I/O model",
            Kind::ServerModel => "server model",
            Kind::Qualifier => "qualifier",
            Kind::Confidence => "confidence",
            Kind::Role => "role",
            Kind::Account => "account",
            Kind::Side => "side",
            Kind::Ending => "ending of a wait",
            Kind::Handover => "hand-over",
            Kind::Spread => "spread",
            Kind::Finding => "finding",
            Kind::Evidence => "evidence",
            Kind::Loss => "loss counter",
            Kind::Tier => "tier",
            Kind::Column => "column or mark",
            Kind::ExitCode => "exit code",
            Kind::Field => "field",
        }
    }

    /// Words that may stand before a name to pick this kind.
    const fn typed(self) -> &'static [&'static str] {
        match self {
            Kind::IoModel => &["io-model", "i/o-model", "model", "io"],
            Kind::ServerModel => &["server-model", "model", "server"],
            Kind::Qualifier => &["qualifier"],
            Kind::Confidence => &["confidence"],
            Kind::Role => &["role"],
            Kind::Account => &["account"],
            Kind::Side => &["side"],
            Kind::Ending => &["ending", "episode"],
            Kind::Handover => &["handover", "hand-over"],
            Kind::Spread => &["spread", "balance"],
            Kind::Finding => &["finding"],
            Kind::Evidence => &["evidence"],
            Kind::Loss => &["loss", "counter"],
            Kind::Tier => &["tier"],
            Kind::Column => &["column", "mark"],
            Kind::ExitCode => &["exit", "exit-code", "error", "code"],
            Kind::Field => &["field", "json"],
        }
    }
}

/// Everything that is explained by hand.
pub fn all() -> impl Iterator<Item = Topic> {
    let tables: [&[Topic]; 16] = [
        &models::IO,
        &models::SERVER,
        &models::QUALIFIERS,
        &trust::CONFIDENCES,
        &threads::ROLES,
        &threads::ACCOUNTS,
        &trust::SIDES,
        &trust::ENDINGS,
        &trust::HANDOVERS,
        &trust::SPREADS,
        &findings::FINDINGS,
        &trust::EVIDENCE,
        &trust::LOSSES,
        &trust::TIERS,
        &codes::COLUMNS,
        &codes::EXIT,
    ];
    tables.into_iter().flatten().copied()
}

/// Codes of all findings.
pub fn findings() -> impl Iterator<Item = &'static str> {
    findings::FINDINGS.iter().map(|topic| topic.name)
}

/// What stands for a name.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What is explained by hand.
    pub topics: Vec<Topic>,
    /// Fields of the report, by their whole path or its end.
    pub fields: Vec<Field>,
}

impl Found {
    /// Whether nothing stands for it.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.fields.is_empty()
    }
}

/// What stands for the words that were typed: a name, or a kind and a name.
pub fn find(words: &[String]) -> Found {
    let whole = normal(&words.join(" "));
    let mut found = of_kinds(&whole, &Kind::ALL);
    if let (true, [first, rest @ ..]) = (found.is_empty(), words)
        && !rest.is_empty()
    {
        let kinds: Vec<Kind> =
            Kind::ALL.into_iter().filter(|kind| kind.typed().contains(&normal(first).as_str())).collect();
        found = of_kinds(&normal(&rest.join(" ")), &kinds);
    }
    if found.is_empty() {
        // The word for a kind stands for all of it.
        found.topics = all().filter(|topic| topic.kind.typed().contains(&whole.as_str())).collect();
    }
    found
}

/// The name that was most likely meant.
pub fn nearest(words: &[String]) -> Option<String> {
    let fields = json_schema::fields();
    let ends = fields.iter().map(|field| end(&field.path).to_owned());
    let names: Vec<String> = all().flat_map(|topic| names(&topic)).chain(ends).collect();
    let typed = normal(words.last()?);
    let near = crate::names::nearest(&typed, names.iter().map(String::as_str))?;
    Some(near.to_owned())
}

fn of_kinds(name: &str, kinds: &[Kind]) -> Found {
    let topics = all().filter(|topic| kinds.contains(&topic.kind));
    let topics: Vec<Topic> = topics.filter(|topic| names(topic).iter().any(|known| known == name)).collect();
    let fields = if kinds.contains(&Kind::Field) { json_schema::fields() } else { &[] };
    let is = |field: &&Field| normal(&field.path) == name || normal(end(&field.path)) == name;
    Found { topics, fields: fields.iter().filter(is).cloned().collect() }
}

/// What may be typed for a topic. An account is also known by the name of its field, an exit code by its number and by
/// the name of its error.
fn names(topic: &Topic) -> Vec<String> {
    match topic.kind {
        Kind::ExitCode => topic.name.split(' ').chain([topic.name]).map(normal).collect(),
        Kind::Account => vec![normal(topic.name), normal(&format!("{}_ns", topic.name))],
        _ => vec![normal(topic.name)],
    }
}

/// The last name of a path.
fn end(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path).trim_end_matches("[]")
}

/// Names differ neither by case nor by what stands between their words.
fn normal(name: &str) -> String {
    name.trim().to_lowercase().replace(['_', ' '], "-").replace("[]", "")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use trace_common::account::Account;
    use trace_common::conn::Side;
    use trace_common::handover::Handover;

    use super::*;
    use crate::collect::Tier;
    use crate::failure::Code;
    use crate::model::balance::Spread;
    use crate::names;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[track_caller]
    fn explained(kind: Kind, name: &str) {
        let count = all().filter(|topic| topic.kind == kind && topic.name == name).count();
        assert_eq!(count, 1, "{} {name}", kind.word());
    }

    fn json(value: impl serde::Serialize) -> String {
        serde_json::to_value(value).expect("JSON").as_str().expect("a string").to_owned()
    }

    /// A way of spreading that is added breaks this match.
    #[test]
    fn every_spread_has_a_topic() {
        let known = |spread: Spread| match spread {
            Spread::SharedListener
            | Spread::Reuseport
            | Spread::Acceptor
            | Spread::PerConnection
            | Spread::Unseen => explained(Kind::Spread, &json(spread)),
        };
        let all = [
            Spread::SharedListener,
            Spread::Reuseport,
            Spread::Acceptor,
            Spread::PerConnection,
            Spread::Unseen,
        ];
        all.into_iter().for_each(known);
        assert_eq!(count(Kind::Spread), all.len());
    }

    /// How many topics of a kind there are.
    fn count(kind: Kind) -> usize {
        all().filter(|topic| topic.kind == kind).count()
    }

    #[test]
    fn every_variant_has_a_topic_and_no_topic_is_of_none() {
        names::IO_MODELS.iter().for_each(|model| explained(Kind::IoModel, model.name()));
        names::SERVER_MODELS.iter().for_each(|model| explained(Kind::ServerModel, model));
        names::ROLES.iter().for_each(|&role| explained(Kind::Role, names::role(role)));
        names::CONFIDENCES.iter().for_each(|&c| explained(Kind::Confidence, names::confidence(c)));
        Account::ALL.iter().for_each(|account| explained(Kind::Account, account.name()));
        Side::ALL.iter().for_each(|side| explained(Kind::Side, &format!("{side:?}").to_lowercase()));
        Handover::ALL.iter().for_each(|way| explained(Kind::Handover, &json(way)));
        assert_eq!(count(Kind::Handover), Handover::ALL.len());
        [Tier::Full, Tier::Sched, Tier::Proc].iter().for_each(|tier| explained(Kind::Tier, tier.name()));
        names::losses().iter().for_each(|loss| explained(Kind::Loss, loss));
        let counts =
            [Kind::IoModel, Kind::ServerModel, Kind::Role, Kind::Account, Kind::Side, Kind::Loss].map(count);
        assert_eq!(counts, [7, 11, 8, Account::ALL.len(), Side::ALL.len(), names::losses().len()]);
    }

    /// An exit code that is added breaks this match.
    #[test]
    fn every_exit_code_has_a_topic() {
        let name = |code: Code| match code {
            Code::Internal => "internal",
            Code::Usage => "usage",
            Code::ExpectationFailed => "expectation-failed",
            Code::ExpectationUndecidable => "expectation-undecidable",
            Code::NoTarget => "no-target",
            Code::NotPermitted => "not-permitted",
            Code::Kernel => "kernel",
            Code::Incomplete => "incomplete",
            Code::Interrupted => "interrupted",
        };
        let codes = [
            Code::Internal,
            Code::Usage,
            Code::ExpectationFailed,
            Code::ExpectationUndecidable,
            Code::NoTarget,
            Code::NotPermitted,
            Code::Kernel,
            Code::Incomplete,
            Code::Interrupted,
        ];
        for code in codes {
            explained(Kind::ExitCode, &format!("{} {}", code as u8, name(code)));
        }
        assert_eq!(count(Kind::ExitCode), codes.len() + 1);
    }

    /// Strings after `call(` in the model's sources: codes are given so.
    fn codes_of_the_model(call: &str) -> Vec<String> {
        fn sources(directory: &Path, text: &mut String) {
            for entry in std::fs::read_dir(directory).expect("sources") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    sources(&path, text);
                } else {
                    *text += &std::fs::read_to_string(&path).expect("UTF-8");
                }
            }
        }
        let mut text = String::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/model"), &mut text);
        let quoted = |rest: &str| Some(rest.trim_start().strip_prefix('"')?.split('"').next()?.to_owned());
        let mut codes: Vec<String> = text.split(call).skip(1).filter_map(quoted).collect();
        codes.sort();
        codes.dedup();
        codes
    }

    #[test]
    fn every_finding_and_evidence_of_the_model_has_a_topic() {
        let findings = codes_of_the_model("finding(");
        assert!(findings.len() >= 3, "{findings:?}");
        findings.iter().for_each(|code| explained(Kind::Finding, code));
        let evidence = [codes_of_the_model("evidence("), codes_of_the_model("structure(")].concat();
        assert!(evidence.len() >= 10, "{evidence:?}");
        evidence.iter().for_each(|code| explained(Kind::Evidence, code));
    }

    #[test]
    fn models_roles_and_findings_say_how_they_look_when_they_are_good_and_what_they_cost() {
        let kinds = [Kind::IoModel, Kind::ServerModel, Kind::Role, Kind::Finding];
        for topic in all().filter(|topic| kinds.contains(&topic.kind)) {
            for part in [Part::Looks, Part::Good, Part::Costs, Part::Measured] {
                assert!(topic.parts.iter().any(|(p, _)| *p == part), "{} has no {part:?}", topic.name);
            }
        }
        assert!(
            all().all(|topic| topic.what.ends_with('.') && topic.parts.iter().all(|(_, t)| t.ends_with('.')))
        );
    }

    #[test]
    fn a_name_is_found_by_itself_or_after_its_kind() {
        let kinds = |text: &str| find(&words(text)).topics.iter().map(|t| t.kind).collect::<Vec<_>>();
        assert_eq!(kinds("multiplexing"), [Kind::IoModel]);
        assert_eq!(kinds("Thread_Pool"), [Kind::ServerModel]);
        assert_eq!(kinds("idle"), [Kind::Role, Kind::Finding]);
        assert_eq!(kinds("finding idle"), [Kind::Finding]);
        assert_eq!(kinds("exit 7"), [Kind::ExitCode]);
        assert_eq!(kinds("error not-permitted"), [Kind::ExitCode]);
        assert_eq!(kinds("not permitted"), [Kind::ExitCode]);
        assert_eq!(kinds("exit 7 times"), []);
        assert_eq!(kinds("exit").len(), count(Kind::ExitCode));
        assert_eq!(kinds("handovers"), [Kind::Evidence]);
        assert!(find(&words("handovers")).fields.iter().any(|field| field.path == "handovers"));
        assert_eq!(kinds("loss map_full"), [Kind::Loss]);
        assert_eq!(kinds("wait_data_ns"), [Kind::Account]);
        assert_eq!(kinds("side server"), [Kind::Side]);
    }

    #[test]
    fn every_field_of_the_report_is_found_by_its_path() {
        for field in json_schema::fields() {
            let found = find(&["field".to_owned(), field.path.clone()]);
            assert!(found.fields.contains(field), "{}", field.path);
        }
        assert!(find(&words("service_p99_ns")).fields.iter().any(|f| f.path == "turns.service_p99_ns"));
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        let near = |text: &str| nearest(&words(text));
        assert_eq!(near("multiplexin").as_deref(), Some("multiplexing"));
        assert_eq!(near("loss map_fll").as_deref(), Some("map-full"));
        assert!(find(&words("multiplexin")).is_empty() && find(&[]).is_empty());
    }
}
