//! The report within the page, as much of it as there is room for.

use serde_json::{Value, json};

use super::super::super::json;
use super::super::super::sanitize::ScriptJson;
use super::super::super::schema::Report;

/// Largest page, bytes; a little below 2 MiB, for what stands around the body.
const PAGE: usize = 2 * 1024 * 1024 - 32 * 1024;

/// What is left out if there is no room for it, in this order, and what that is called.
const LEAVE_OUT: [(&str, &str); 4] = [
    ("calls", "the logged calls"),
    ("threads", "the rows of the threads"),
    ("peers", "the peers"),
    ("processes", "the processes"),
];

/// The report as JSON for a script element, and what of it is missing because the page already has `used` bytes.
///
/// # Errors
/// None of the report's values can fail.
pub fn report(report: &Report, used: usize) -> serde_json::Result<(String, Vec<&'static str>)> {
    let room = PAGE.saturating_sub(used);
    let mut left_out = Vec::new();
    let whole = ScriptJson(&json::line(report)?).to_string();
    if whole.len() <= room {
        return Ok((whole, left_out));
    }
    drop(whole);
    let mut document = serde_json::to_value(report)?;
    for (part, name) in LEAVE_OUT {
        if !empty(&mut document, part) {
            continue;
        }
        left_out.push(name);
        document["left_out"] = json!(left_out);
        let text = ScriptJson(&json::line(&document)?).to_string();
        if text.len() <= room {
            return Ok((text, left_out));
        }
    }
    // A report without lists is small, unless its names are long beyond all measure.
    Ok(("null\n".into(), vec!["anything"]))
}

/// Empties a list of the document, `threads` in each process; returns whether it held something.
fn empty(document: &mut Value, part: &str) -> bool {
    let clear = |list: &mut Value| {
        let had = list.as_array().is_some_and(|list| !list.is_empty());
        *list = json!([]);
        had
    };
    match (part, &mut document["processes"]) {
        ("threads", Value::Array(processes)) => {
            processes.iter_mut().fold(false, |had, process| had | clear(&mut process["threads"]))
        }
        _ => clear(&mut document[part]),
    }
}
