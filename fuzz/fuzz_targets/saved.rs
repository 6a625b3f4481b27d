//! Files that somebody hands to `trace report`, `diff` and `check`: whatever is in them, they are refused or reported on,
//! and nothing in them reaches a terminal that a terminal would obey.
//!
//! gzip would hide the document from the fuzzer, so a document of a saved measurement is packed here; other bytes are
//! taken as they are. Half of the changes are made to the values of a document, since most changes of bytes end at the
//! parser.
#![no_main]

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use serde_json::{Value, json};
use trace_user::report::Layout;
use trace_user::report::export::ReportFormat;
use trace_user::report::sanitize::is_hostile;
use trace_user::saved;

/// How the document of a saved measurement begins.
const DOCUMENT: &[u8] = b"{\"format\"";
/// Values that something has stumbled over somewhere.
const TEXTS: [&str; 5] =
    ["", "\u{1b}[2J\u{202e}\u{9b}\r\n\0", "漢漢漢漢漢漢漢漢漢漢", "multiplexing", "2^63"];

fuzz_target!(|bytes: &[u8]| {
    let packed = bytes.starts_with(DOCUMENT).then(|| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
        gzip.write_all(bytes).and_then(|()| gzip.finish()).expect("memory")
    });
    let Ok(saved) = saved::decode(packed.as_deref().unwrap_or(bytes)) else { return };
    let report = saved.into_report();
    for (format, threads) in
        [(ReportFormat::Table, true), (ReportFormat::Json, false), (ReportFormat::Html, false)]
    {
        let text = format.export(&report, Layout { threads, advise: true }).expect("a report");
        assert!(!text.chars().any(|c| c != '\n' && is_hostile(c)), "{text:?}");
    }
});

/// Changes one value, found by the digits of `seed`.
fn change(value: &mut Value, seed: &mut u64) {
    let mut draw = |n: usize| {
        // Knuth's MMIX constants: any sequence will do that depends on the seed alone.
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as usize % n
    };
    let others = draw(40);
    match value {
        Value::Array(items) if !items.is_empty() && others > 1 => {
            let at = draw(items.len());
            match others {
                2 => drop(items.remove(at)),
                3 => items.push(items[at].clone()),
                _ => change(&mut items[at], seed),
            }
        }
        Value::Object(fields) if !fields.is_empty() && others > 1 => {
            let at = draw(fields.len());
            let Some(key) = fields.keys().nth(at).cloned() else { return };
            match others {
                2 => drop(fields.remove(&key)),
                3 => drop(fields.insert(format!("{key}\u{1b}"), json!(1))),
                _ => change(&mut fields[&key], seed),
            }
        }
        Value::Number(_) if others > 0 => *value = json!(1_u64 << draw(64) | draw(2) as u64),
        Value::String(_) if others > 0 => *value = json!(TEXTS[draw(TEXTS.len())]),
        Value::Bool(is) if others > 0 => *is = !*is,
        _ => *value = [json!(null), json!([]), json!({}), json!(-1), json!(0.5), json!("x")][draw(6)].clone(),
    }
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed.is_multiple_of(2)
        && let Ok(mut document) = serde_json::from_slice::<Value>(&data[..size])
    {
        let mut seed = u64::from(seed);
        for _ in 0..=seed >> 8 & 3 {
            change(&mut document, &mut seed);
        }
        let text = document.to_string();
        if text.len() <= max_size {
            data[..text.len()].copy_from_slice(text.as_bytes());
            return text.len();
        }
    }
    fuzzer_mutate(data, size, max_size)
});
