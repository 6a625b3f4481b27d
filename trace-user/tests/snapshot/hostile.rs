//! A saved measurement that somebody changed: whatever it says, it is refused or reported on, and nothing in it
//! reaches the terminal that a terminal would obey.

use proptest::prelude::*;
use serde_json::{Value, json};
use trace_user::model;
use trace_user::report::export::ReportFormat;
use trace_user::report::sanitize::is_hostile;
use trace_user::report::{Layout, build};
use trace_user::snapshot::file;

use super::packed::{SAVED, pack, saved, unpack};

/// redis for 400 ms, with a timeline.
const WITH_TIMELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/timeline.trace");

/// One change: the value that so many steps lead to (each a choice among the children), and what becomes of it.
type Change = (Vec<usize>, What);

#[derive(Clone, Debug)]
enum What {
    /// Another value of its kind.
    Differs(u64, String),
    /// Any value.
    Becomes(Value),
    Goes,
    Doubles,
    /// Every number in it becomes this one.
    Everywhere(u64),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let numbers = prop_oneof![
        any::<u64>(),
        (0_u32..64).prop_map(|bit| 1 << bit),
        Just(0),
        // Almost too much: what else the file holds is far less than 2^40.
        Just((1 << 63) - (1 << 40)),
        Just((1 << 62) - (1 << 40)),
        0..1000_u64,
    ];
    let texts = prop_oneof![
        Just(String::new()),
        Just(" ".repeat(300)),
        Just("\x1b[2J\u{202e}\u{9b}\r\n\0".to_owned()),
        Just("漢".repeat(200)),
        "\\PC{0,40}",
    ];
    let what = prop_oneof![
        30 => (numbers, texts).prop_map(|(n, text)| What::Differs(n, text)),
        1 => any::<f64>().prop_map(|x| What::Becomes(json!(x))),
        1 => any::<i64>().prop_map(|n| What::Becomes(json!(n))),
        1 => Just(What::Becomes(Value::Null)),
        1 => Just(What::Becomes(json!([]))),
        10 => (0_u32..64).prop_map(|bit| What::Everywhere(1 << bit)),
        2 => Just(What::Goes),
        2 => Just(What::Doubles),
    ];
    proptest::collection::vec((proptest::collection::vec(any::<usize>(), 1..6), what), 1..6)
}

/// Follows the steps as far as there are children, and makes the change there.
fn change(value: &mut Value, steps: &[usize], what: &What) {
    let (step, rest) = steps.split_first().unwrap_or((&0, &[]));
    if let (true, What::Everywhere(n)) = (rest.is_empty(), what) {
        return everywhere(value, *n);
    }
    let children = match value {
        Value::Array(children) => children.len(),
        Value::Object(children) => children.len(),
        leaf => return differ(leaf, what),
    };
    if children == 0 {
        return;
    }
    let at = step % children;
    let is_last = rest.is_empty();
    match value {
        Value::Array(children) if is_last && matches!(what, What::Goes) => drop(children.remove(at)),
        Value::Array(children) if is_last && matches!(what, What::Doubles) => {
            children.push(children[at].clone());
        }
        Value::Array(children) => change(&mut children[at], rest, what),
        Value::Object(children) => {
            let key = children.keys().nth(at).unwrap().clone();
            match what {
                What::Goes if is_last => drop(children.remove(&key)),
                What::Doubles if is_last => {
                    let value = children[&key].clone();
                    children.insert(format!("{key}\x1b\u{202e}"), value);
                }
                _ => change(children.get_mut(&key).unwrap(), rest, what),
            }
        }
        _ => {}
    }
}

fn differ(leaf: &mut Value, what: &What) {
    match (&*leaf, what) {
        (_, What::Becomes(new)) => *leaf = new.clone(),
        (Value::Number(_), What::Differs(n, _)) => *leaf = json!(n),
        (Value::String(_), What::Differs(_, text)) => *leaf = json!(text),
        (Value::Bool(is), _) => *leaf = json!(!is),
        _ => {}
    }
}

fn everywhere(value: &mut Value, n: u64) {
    match value {
        Value::Number(_) => *value = json!(n),
        Value::Array(children) => children.iter_mut().for_each(|c| everywhere(c, n)),
        Value::Object(children) => children.values_mut().for_each(|c| everywhere(c, n)),
        _ => {}
    }
}

/// Whether it was read; it may also have been refused.
fn is_reported_on(bytes: &[u8]) -> bool {
    let Ok(snapshot) = file::decode(bytes) else { return false };
    let report = build::build(&snapshot, &model::classify(&snapshot));
    for (format, threads) in
        ReportFormat::ALL.into_iter().flat_map(|format| [(format, false), (format, true)])
    {
        let text = format.export(&report, Layout { threads, advise: true }).unwrap();
        assert!(!text.chars().any(|c| c != '\n' && is_hostile(c)), "{text:?}");
    }
    assert_eq!(file::encode(&snapshot).ok().map(|again| file::decode(&*again).is_ok()), Some(true));
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn changed_values_are_refused_or_reported_on(changes in changes()) {
        let mut document = saved();
        for (steps, what) in &changes {
            change(&mut document["snapshot"], steps, what);
        }
        is_reported_on(&pack(&document));
    }

    #[test]
    fn changed_timelines_are_refused_or_reported_on(changes in changes()) {
        let bytes = unpack(&std::fs::read(WITH_TIMELINE).unwrap());
        let mut document: Value = serde_json::from_slice(&bytes).unwrap();
        for (steps, what) in &changes {
            change(&mut document["snapshot"]["timeline"], steps, what);
        }
        is_reported_on(&pack(&document));
    }

    #[test]
    fn changed_bytes_are_refused_or_reported_on(at in any::<usize>(), byte in any::<u8>(), length in any::<usize>()) {
        let mut bytes = std::fs::read(SAVED).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        is_reported_on(&bytes);
        bytes.truncate(length % bytes.len());
        prop_assert!(!is_reported_on(&bytes));
    }
}

/// The numbers of a file may almost reach the limit, all in one place; no sum of the model or the reports may overflow.
#[test]
fn each_number_can_be_as_large_as_is_allowed() {
    let document = saved();
    let mut pointers = Vec::new();
    numbers(&document["snapshot"], "/snapshot".to_owned(), &mut pointers);
    println!("{} numbers", pointers.len());
    let mut reported = 0;
    for pointer in &pointers {
        let mut document = document.clone();
        *document.pointer_mut(pointer).unwrap() = json!((1_u64 << 63) - (1 << 40));
        reported += usize::from(is_reported_on(&pack(&document)));
    }
    // Others are too small for it: process ids, results.
    assert!(reported * 2 > pointers.len(), "{reported} of {}", pointers.len());
}

fn numbers(value: &Value, pointer: String, found: &mut Vec<String>) {
    match value {
        Value::Number(_) => found.push(pointer),
        Value::Array(children) => {
            children.iter().enumerate().for_each(|(i, c)| numbers(c, format!("{pointer}/{i}"), found));
        }
        Value::Object(children) => {
            children.iter().for_each(|(key, c)| numbers(c, format!("{pointer}/{key}"), found));
        }
        _ => {}
    }
}
