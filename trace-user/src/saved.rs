//! Saved files as reports: a `.trace` file is judged again, a JSON report is taken as it is. Neither is to be trusted.

use std::fs::File;
use std::io::{self, Cursor, Read as _};
use std::path::Path;

use serde::Deserialize;

use crate::failure::{Code, Failure};
use crate::model;
use crate::report::build;
use crate::report::schema::{Report, VERSION};
use crate::snapshot::Snapshot;
use crate::snapshot::file::{self, Error, MAX_BYTES};

/// What a file holds.
#[derive(Clone, Debug)]
pub enum Saved {
    /// A measurement.
    Snapshot(Box<Snapshot>),
    /// A report.
    Report(Box<Report>),
}

impl Saved {
    /// The report on it.
    pub fn into_report(self) -> Report {
        match self {
            Saved::Snapshot(snapshot) => build::build(&snapshot, &model::classify(&snapshot)),
            Saved::Report(report) => *report,
        }
    }
}

/// Reads what `--output FILE.trace`, `--output FILE.json` or `--format json` wrote.
///
/// # Errors
/// With [`Code::Usage`] for anything else.
pub fn read(path: &Path) -> Result<Saved, Failure> {
    let saved = bytes(path).and_then(|bytes| decode(&bytes));
    saved.map_err(|why| refused(path, &why))
}

/// The report on what a file holds.
///
/// # Errors
/// As for [`read`].
pub fn report(path: &Path) -> Result<Report, Failure> {
    read(path).map(Saved::into_report)
}

/// A refusal of `path`.
fn refused(path: &Path, why: &str) -> Failure {
    Failure::new(Code::Usage, format!("cannot read {}", path.display()), why)
        .fix("a file that trace attach --output FILE.trace or FILE.json wrote")
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let read = |path: &Path| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read(path).map_err(|e| Error::Io(e).to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::TooLarge("bytes", MAX_BYTES).to_string());
    }
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<Saved, String> {
    let start = bytes.iter().find(|b| !b.is_ascii_whitespace());
    if start == Some(&b'{') {
        return decode_report(bytes).map(|report| Saved::Report(Box::new(report)));
    }
    match file::decode(Cursor::new(bytes)) {
        Ok(snapshot) => Ok(Saved::Snapshot(Box::new(snapshot))),
        Err(Error::Foreign(_)) if start == Some(&b'[') => Err("it is JSON, but no report".to_owned()),
        Err(e) => Err(e.to_string()),
    }
}

/// What every version of the report begins with.
#[derive(Deserialize)]
struct Header {
    schema_version: String,
}

fn decode_report(json: &[u8]) -> Result<Report, String> {
    let header: Header = serde_json::from_slice(json).map_err(|e| match e.is_data() {
        true => "it is JSON, but no report: it has no schema_version".to_owned(),
        false => format!("it is damaged: {e}"),
    })?;
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    if major(&header.schema_version) != major(VERSION) {
        let version = &header.schema_version;
        let tool = env!("CARGO_PKG_VERSION");
        return Err(format!("it is a report of version {version}; trace {tool} reads {VERSION}"));
    }
    file::check_report(json).map_err(|e| e.to_string())?;
    serde_json::from_slice(json).map_err(|e| format!("it is damaged: {e}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::report::{json as printed, sample};

    fn sample_report() -> Report {
        Saved::Snapshot(Box::new(sample::snapshot(3))).into_report()
    }

    fn text(report: &impl serde::Serialize) -> String {
        printed::render(report).expect("JSON")
    }

    fn refusal(document: &Value) -> String {
        decode(document.to_string().as_bytes()).expect_err("a refusal")
    }

    #[test]
    fn a_snapshot_and_the_report_on_it_are_the_same_report() {
        let packed = file::encode(&sample::snapshot(3)).expect("a file");
        let judged = decode(&packed).expect("a snapshot").into_report();
        let taken = decode(text(&judged).as_bytes()).expect("a report").into_report();
        assert_eq!(text(&taken), text(&judged));
    }

    #[test]
    fn other_json_and_other_versions_are_refused() {
        let report = serde_json::to_value(sample_report()).expect("JSON");
        let with = |key: &str, value: Value| {
            let mut report = report.clone();
            report[key] = value;
            refusal(&report)
        };
        assert!(with("schema_version", json!("2.0")).contains("version 2.0"));
        assert!(with("schema_version", json!(1)).contains("no report"));
        assert!(with("turns", json!("many")).contains("damaged"));
        assert!(refusal(&json!({})).contains("no report"));
        assert!(refusal(&json!([])).contains("no report"));
        assert!(decode(b"{").expect_err("cut off").contains("damaged"));
        assert!(decode(b"").expect_err("empty").contains("empty"));
    }

    #[test]
    fn numbers_that_could_not_be_added_up_are_refused() {
        let mut report = serde_json::to_value(sample_report()).expect("JSON");
        report["processes"][0]["threads"][0]["receives"]["calls"] = json!(u64::MAX);
        assert!(refusal(&report).contains("2^63"));
    }
}
