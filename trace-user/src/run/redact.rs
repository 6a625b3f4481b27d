//! `trace redact`: a saved file with pseudonyms.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::write::NewFile;
use crate::cli::RedactArgs;
use crate::failure::{Code, Failure};
use crate::redact;
use crate::redact::pseudonym::Pseudonyms;
use crate::report::export::{ReportFormat, csv};
use crate::report::json;
use crate::report::schema::Report;
use crate::saved::{self, Saved};
use crate::snapshot::file;

/// Bytes of a random key.
const KEY: usize = 32;

/// Writes the file; stdout stays empty.
///
/// # Errors
/// For a file that is none, an output that cannot be created or has no format, and an empty key.
pub fn run(args: &RedactArgs) -> Result<(), Failure> {
    let mut pseudonyms = pseudonyms(args.key.as_deref())?;
    let extension = args.output.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    if ReportFormat::of(&args.output, csv::Table::Threads) == Some(ReportFormat::Timeline) {
        let why = "redact writes no timeline; trace report makes one of a redacted .trace file".to_owned();
        return Err(refused(&args.output, why));
    }
    let saved = saved::read(&args.file)?;
    let bytes = match (extension.as_deref(), saved) {
        (Some(file::EXTENSION), Saved::Snapshot(mut snapshot)) => {
            redact::snapshot(&mut snapshot, &mut pseudonyms);
            file::encode(&snapshot).map_err(|e| Failure::internal("the measurement cannot be saved", e))?
        }
        (Some("json"), Saved::Snapshot(mut snapshot)) => {
            redact::snapshot(&mut snapshot, &mut pseudonyms);
            text(&Saved::Snapshot(snapshot).into_report())?
        }
        (Some("json"), Saved::Report(mut report)) => {
            redact::report(&mut report, &mut pseudonyms);
            text(&report)?
        }
        (Some(file::EXTENSION), Saved::Report(_)) => {
            let why = format!("{} is a report, which does not hold what was measured", args.file.display());
            return Err(refused(&args.output, why));
        }
        _ => {
            return Err(refused(
                &args.output,
                "its extension stands for no format that redact writes".to_owned(),
            ));
        }
    };
    NewFile::create(&args.output, args.force)?.write(&bytes)
}

fn text(report: &Report) -> Result<Vec<u8>, Failure> {
    json::render(report)
        .map(String::into_bytes)
        .map_err(|e| Failure::internal("the report cannot be laid out", e))
}

fn refused(output: &Path, why: String) -> Failure {
    Failure::new(Code::Usage, format!("cannot write {}", output.display()), why)
        .fix("a .trace file as .trace or .json, a JSON report as .json")
}

fn pseudonyms(key: Option<&str>) -> Result<Pseudonyms, Failure> {
    let key = match key {
        Some(key) => key.as_bytes().to_vec(),
        None => random().map_err(|e| Failure::internal("there is no random key", e))?,
    };
    Pseudonyms::new(&key).ok_or_else(|| {
        Failure::new(
            Code::Usage,
            "cannot make pseudonyms",
            "the key is empty, so that anybody could guess it",
        )
        .fix("--key TEXT, or no --key for a random one")
    })
}

fn random() -> io::Result<Vec<u8>> {
    let mut key = vec![0; KEY];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(key)
}
