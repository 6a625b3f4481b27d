//! The report within the page, as much of it as there is room for.

use serde::Serialize;

use super::super::super::json;
use super::super::super::sanitize::ScriptJson;
use super::super::super::schema::Report;

/// Largest page, bytes; a little below 2 MiB, for what stands around the body.
const PAGE: usize = 2 * 1024 * 1024 - 32 * 1024;

/// Leaves a part out; returns whether it held something.
type Cut = fn(&mut Report) -> bool;

/// What is left out if there is no room for it, in this order, and what that is called.
const LEAVE_OUT: [(Cut, &str); 4] = [
    (|report| report.calls.take().is_some(), "the logged calls"),
    (
        |report| {
            let threads = report.processes.iter_mut().map(|process| cut(&mut process.threads));
            threads.fold(false, |any, had| any | had)
        },
        "the rows of the threads",
    ),
    (|report| cut(&mut report.peers), "the peers"),
    (|report| cut(&mut report.processes), "the processes"),
];

/// A report that is not whole, and says so.
#[derive(Serialize)]
struct Part<'a> {
    #[serde(flatten)]
    report: &'a Report,
    left_out: &'a [&'static str],
}

/// The report as JSON for a script element, and what of it is missing because the page already has `used` bytes.
///
/// # Errors
/// None of the report's values can fail.
pub fn report(report: &Report, used: usize) -> serde_json::Result<(String, Vec<&'static str>)> {
    let room = PAGE.saturating_sub(used);
    let mut left_out = Vec::new();
    if let Some(whole) = fitting(json::line(report)?, room) {
        return Ok((whole, left_out));
    }
    let mut report = report.clone();
    for (cut, name) in LEAVE_OUT {
        if !cut(&mut report) {
            continue;
        }
        left_out.push(name);
        if let Some(part) = fitting(json::line(&Part { report: &report, left_out: &left_out })?, room) {
            return Ok((part, left_out));
        }
    }
    // A report without lists is small, unless its names are long beyond all measure.
    Ok(("null\n".into(), vec!["anything"]))
}

/// The text for a script, if there is room for it.
fn fitting(json: String, room: usize) -> Option<String> {
    // It only becomes longer.
    let text = (json.len() <= room).then(|| ScriptJson(&json).to_string())?;
    (text.len() <= room).then_some(text)
}

/// Empties a list; returns whether it held something.
fn cut<T>(list: &mut Vec<T>) -> bool {
    !std::mem::take(list).is_empty()
}
