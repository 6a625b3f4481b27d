//! The formats of a report behind one interface: [`ReportFormat::export`] writes the one [`Report`] in any of
//! them, so no two can disagree.

pub mod csv;
mod folded;
mod html;
mod markdown;
mod prometheus;
pub mod stream;
#[cfg(test)]
mod tests;
mod timeline;
pub(super) mod words;

use std::path::Path;

use super::schema::Report;
use super::{Format, Layout, json, table};

/// A format that a report can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// For people, at most 80 columns.
    Table,
    /// For programs (contract).
    Json,
    /// The same in one line: lines of several reports make a stream.
    Jsonl,
    /// One table of comma-separated values.
    Csv(csv::Table),
    /// For issues and wikis.
    Markdown,
    /// One page for a browser.
    Html,
    /// Folded stacks of accounts, for flame graphs.
    Folded,
    /// Prometheus' text format.
    Prometheus,
    /// What was done when, for Perfetto and Chrome's trace viewer; empty unless it was recorded.
    Timeline,
}

/// The extensions that stand for a format, for error messages.
pub const EXTENSIONS: &str = ".txt, .table, .json, .jsonl, .csv, .md, .html, .folded, .prom, .timeline.json";

impl ReportFormat {
    /// All formats; csv with the table that it has if none is named.
    pub const ALL: [ReportFormat; 9] = [
        ReportFormat::Table,
        ReportFormat::Json,
        ReportFormat::Jsonl,
        ReportFormat::Csv(csv::Table::Threads),
        ReportFormat::Markdown,
        ReportFormat::Html,
        ReportFormat::Folded,
        ReportFormat::Prometheus,
        ReportFormat::Timeline,
    ];

    /// The format that the extension of `path` stands for. A `.timeline.json` or `.perfetto.json` is a timeline, a `.csv` holds the table that stands before it, as
    /// in `web.peers.csv`, else the `usual` one.
    pub fn of(path: &Path, usual: csv::Table) -> Option<ReportFormat> {
        let extension = path.extension()?.to_string_lossy().to_ascii_lowercase();
        Some(match extension.as_str() {
            "txt" | "table" => ReportFormat::Table,
            "json" if is_timeline(path) => ReportFormat::Timeline,
            "json" => ReportFormat::Json,
            "jsonl" => ReportFormat::Jsonl,
            "csv" => ReportFormat::Csv(csv::Table::before(path).unwrap_or(usual)),
            "md" | "markdown" => ReportFormat::Markdown,
            "html" | "htm" => ReportFormat::Html,
            "folded" => ReportFormat::Folded,
            "prom" => ReportFormat::Prometheus,
            _ => return None,
        })
    }

    /// The text of `report`, with a newline at its end.
    ///
    /// # Errors
    /// If a value cannot be written in the format; none of the report's own can fail.
    pub fn export(self, report: &Report, layout: Layout) -> serde_json::Result<String> {
        match self {
            ReportFormat::Table => Ok(table::render(report, layout)),
            ReportFormat::Json => json::render(report),
            ReportFormat::Jsonl => json::line(report),
            ReportFormat::Csv(table) => csv::render(report, table),
            ReportFormat::Markdown => Ok(markdown::render(report, layout)),
            ReportFormat::Html => html::render(report),
            ReportFormat::Folded => Ok(folded::render(report)),
            ReportFormat::Prometheus => Ok(prometheus::render(report, layout)),
            ReportFormat::Timeline => timeline::render(report),
        }
    }
}

/// Whether what stands before the extension says so, as in `web.timeline.json`.
fn is_timeline(path: &Path) -> bool {
    let before = path.file_stem().map(Path::new).and_then(Path::extension);
    before.is_some_and(|e| e.eq_ignore_ascii_case("timeline") || e.eq_ignore_ascii_case("perfetto"))
}

impl From<Format> for ReportFormat {
    fn from(format: Format) -> ReportFormat {
        match format {
            Format::Table => ReportFormat::Table,
            Format::Json => ReportFormat::Json,
        }
    }
}
