//! A report among those of the same window: lines of a stream.

use serde::Serialize;

use super::super::json;
use super::super::schema::Report;

/// Which part of the window is new in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// How many reports there were before.
    pub index: u64,
    /// From the window's start to the end of the report before.
    pub from_ns: u64,
    /// From the window's start to the end of this one.
    pub to_ns: u64,
}

impl Interval {
    /// The one after `last`, up to `to_ns`; without one before it, the first.
    pub fn after(last: Option<Interval>, to_ns: u64) -> Interval {
        match last {
            Some(last) => Interval { index: last.index + 1, from_ns: last.to_ns, to_ns },
            None => Interval { index: 0, from_ns: 0, to_ns },
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    interval: Interval,
    #[serde(flatten)]
    report: &'a Report,
}

/// `report`, on everything since the window's start, in one line that says what is new in it.
///
/// # Errors
/// None of the report's values can fail.
pub fn line(report: &Report, interval: Interval) -> serde_json::Result<String> {
    json::line(&Line { interval, report })
}
