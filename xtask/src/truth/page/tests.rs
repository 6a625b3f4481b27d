//! The page, literally where that matters.

use super::*;
use crate::truth::score::tests::observation;

fn page<'a>(observations: &'a [Observation], reasons: &'a [Reason]) -> Page<'a> {
    let commit = "abc".to_owned();
    Page { observations, loads: &[Load::Many], reasons, missing: vec![], commit }
}

fn reasons() -> Vec<Reason> {
    let text = r#"[{"axis": "io_model", "configurations": ["b"], "loads": ["many"], "reason": "It spins."}]"#;
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_page_says_how_many_were_measured_and_what_each_disagreement_is_about() {
    let observations = [
        observation("a", &["blocking"], "blocking", "high"),
        observation("b", &["multiplexing"], "nonblocking", "medium"),
        observation("c", &["multiplexing"], "inconclusive", ""),
    ];
    let reasons = reasons();
    let text = page(&observations, &reasons).to_string();
    for expected in [
        "| Configurations     | 3 ",
        "| Date               | 2001-01-01 ",
        "| many | 1 of 3 (33.3 %) | 1         | 1     | 0 ",
        "| multiplexing | 2              | 0 of 2 (0.0 %)   |",
        "| multiplexing | ·        | 1           | 1            |",
        "| b             | many | multiplexing | nonblocking (medium) | It spins. |",
        "| c             | many | multiplexing | inconclusive         |           |",
        "None: it abstained everywhere.",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
}

#[test]
fn an_accepted_answer_beside_the_preferred_one_is_no_disagreement() {
    let observations = [observation("a", &["blocking", "multiplexing"], "multiplexing", "high")];
    let text = page(&observations, &[]).to_string();
    assert!(text.contains("| blocking  | 1 (1 accepted) |"), "{text}");
    assert!(text.contains("### Disagreements\n\nNone.\n"), "{text}");
}

#[test]
fn an_abstention_while_nobody_asks_is_no_disagreement() {
    let mut idle = observation("a", &["blocking"], "inconclusive", "");
    idle.load = Load::None;
    let asked = observation("b", &["blocking"], "blocking", "high");
    let observations = [idle, asked];
    assert!(page(&observations, &[]).to_string().contains("### Disagreements\n\nNone.\n"));
    assert!(page(&observations, &[]).evidence().contains("## a, load none"));
}
