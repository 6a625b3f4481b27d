//! The report: what a snapshot and its verdicts say, as JSON for programs and as a table for people.
//!
//! [`build::build`] makes the one [`schema::Report`] that every format is written from; no format computes a
//! verdict, and none reads anything but the report.

pub mod build;
mod cohort;
pub mod doctor;
mod exchanges;
pub mod export;
mod identity;
pub mod json;
pub mod ledger;
mod ledger_table;
pub mod list;
pub mod measured;
mod peers;
mod phases;
pub mod residual;
#[cfg(test)]
pub(crate) mod sample;
pub mod sanitize;
pub mod schema;
pub mod table;
pub mod text;
pub mod timeline;
mod trust;
pub mod turns;
pub mod unit;
mod verdict_text;

pub use trust::{real_losses, total_lost};
pub use verdict_text::io_line;

use schema::Report;

/// A format of a page that is no report, and the two of a report that such pages have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people, at most 80 columns.
    Table,
    /// For programs (contract).
    Json,
}

/// How a report is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Every thread in a row of its own instead of one row for alike threads.
    pub threads: bool,
    /// Whether requests can be followed by thread id.
    pub advise: bool,
}

/// The text of `report`, with a newline at its end; see [`export::ReportFormat`] for all formats.
///
/// # Errors
/// If a value cannot be written in the format; none of the report's own can fail.
pub fn render(
    report: &Report,
    format: impl Into<export::ReportFormat>,
    layout: Layout,
) -> serde_json::Result<String> {
    format.into().export(report, layout)
}
