//! A report that somebody changed: whatever it says, the commands on saved files refuse it or answer, and nothing of it
//! reaches the terminal that a terminal would obey.

use proptest::prelude::*;
use serde_json::{Value, json};
use trace_user::check::expression::parse;
use trace_user::check::vocabulary::Vocabulary;
use trace_user::check::{self, junit};
use trace_user::redact::{self, pseudonym::Pseudonyms};
use trace_user::report::sanitize::is_hostile;
use trace_user::report::schema::Report;
use trace_user::saved::Saved;
use trace_user::topics::{self, numbers};
use trace_user::{diff, json_schema, saved};

use super::REDIS;

/// Changes the value that so many steps lead to, each a choice among the children.
fn change(value: &mut Value, steps: &[usize], to: &Value) {
    let Some((&step, rest)) = steps.split_first() else {
        *value = to.clone();
        return;
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            let at = step % items.len();
            change(&mut items[at], rest, to);
        }
        Value::Object(fields) if !fields.is_empty() => {
            let at = step % fields.len();
            let Some(inner) = fields.values_mut().nth(at) else { return };
            change(inner, rest, to);
        }
        value => *value = to.clone(),
    }
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(|n| json!(n)),
        (0_u32..64).prop_map(|bit| json!(1_u64 << bit)),
        any::<f64>().prop_map(|n| json!(n)),
        any::<String>().prop_map(|text| json!(text)),
        Just(json!("\u{1b}[2J\u{202e}</testsuite>")),
        Just(json!(null)),
        Just(json!([])),
        Just(json!({})),
    ]
}

/// All that the commands make of a report, as one text.
fn everything(report: &Report, other: &Report) -> String {
    let mut said = String::new();
    for (a, b) in [(report, other), (other, report)] {
        said += &diff::compare(a, b).map_or_else(|_| String::new(), |diff| diff::page::render(&diff));
    }
    let vocabulary = Vocabulary::of(Some(report));
    let names = vocabulary.entries().iter().map(|entry| &entry.name);
    let texts = names.flat_map(|name| [format!("{name}=1"), format!("{name}<=1ms"), format!("{name}<0.5")]);
    let expectations: Vec<_> = texts.filter_map(|text| parse(&text, &vocabulary).ok()).collect();
    let answers = check::check(&expectations, report);
    said += &check::render(&answers);
    said += &junit::document("a", &answers).unwrap();
    for topic in topics::all() {
        let _ = numbers::on(&topic, report);
    }
    said += &topics::page::render(
        &topics::Found { topics: topics::all().collect(), ..Default::default() },
        Some(report),
    );
    for field in json_schema::fields() {
        let found = topics::Found { fields: vec![field.clone()], ..Default::default() };
        said += &topics::page::render(&found, Some(report));
    }
    redact::report(&mut report.clone(), &mut Pseudonyms::new(b"key").unwrap());
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_changed_report_is_refused_or_answered_on(
        changes in proptest::collection::vec((proptest::collection::vec(any::<usize>(), 1..7), values()), 1..6),
    ) {
        let whole = saved::report(REDIS.as_ref()).unwrap();
        let mut document = serde_json::to_value(&whole).unwrap();
        for (steps, to) in &changes {
            change(&mut document, steps, to);
        }
        if let Ok(Saved::Report(changed)) = saved::decode(document.to_string().as_bytes()) {
            let said = everything(&changed, &whole);
            prop_assert!(!said.chars().any(|c| c != '\n' && is_hostile(c)), "{said}");
        }
    }
}
