//! A measurement, judged, and its report written to wherever it was asked for.

use std::io::{self, ErrorKind, Write};

use super::output::{Content, Outputs};
use super::stream::Stream;
use crate::failure::{Code, Failure};
use crate::model;
use crate::plan::Writing;
use crate::report::export::{self, ReportFormat};
use crate::report::schema::Report;
use crate::report::{self, build};
use crate::snapshot::{Snapshot, file};

/// Judges `snapshot`, writes the files and gives the text of the report to `print`. It is the last line of `stream`,
/// where that is on.
///
/// # Errors
/// If something cannot be written, and under `--strict` if the measurement is incomplete.
pub fn publish(
    snapshot: &Snapshot,
    writing: &Writing,
    outputs: Outputs,
    stream: Stream,
    print: impl FnOnce(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let report = build::build(snapshot, &model::classify(snapshot));
    let (interval, broken) = match stream.end(snapshot) {
        Ok(interval) => (interval, None),
        Err(failure) => (None, Some(failure)),
    };
    let render = |format| {
        let text = match (format, interval) {
            // Half a stream is worth nothing; why it broke is told at the end.
            (ReportFormat::Jsonl, _) if broken.is_some() => {
                return Err(Failure::internal("the reports cannot be written", "one of them was not"));
            }
            (ReportFormat::Jsonl, Some(interval)) => export::stream::line(&report, interval),
            _ => report::render(&report, format, writing.layout),
        };
        text.map_err(|e| Failure::internal("the report cannot be laid out", e))
    };
    // Files first: a stdout that nobody reads must not keep them from being written.
    let files = outputs.write(&|content| match content {
        Content::Report(format) => render(format).map(String::into_bytes),
        Content::Snapshot => {
            file::encode(snapshot).map_err(|e| Failure::internal("the measurement cannot be saved", e))
        }
    });
    let printed = render(writing.format).and_then(|text| print(&text));
    if let Some(failure) = broken {
        return Err(failure);
    }
    printed?;
    files?;
    if writing.strict { complete(&report) } else { Ok(()) }
}

/// Prints on stdout.
///
/// # Errors
/// If it cannot be written.
pub fn print(text: &str) -> Result<(), Failure> {
    print_to(&mut io::stdout().lock(), "stdout", text)
}

/// Prints on stderr, where stdout is somebody else's.
///
/// # Errors
/// If it cannot be written.
pub fn print_aside(text: &str) -> Result<(), Failure> {
    print_to(&mut io::stderr().lock(), "stderr", text)
}

/// A reader that has had enough (`| head`) is no error.
fn print_to(stream: &mut impl Write, name: &str, text: &str) -> Result<(), Failure> {
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::internal(format!("the answer cannot be written to {name}"), e))
        }
        _ => Ok(()),
    }
}

/// What something else stands in for that counts the same (docs/COMPATIBILITY.md).
const STAND_INS: [&str; 2] = ["sock_recv_length:", "raw_tracepoints:"];

fn complete(report: &Report) -> Result<(), Failure> {
    let mut gaps = report::real_losses(report);
    if report.sampling.is_some() {
        gaps.push("sampled, so what happened between samples was not seen (tier proc)".to_owned());
    } else if !report.calibration.exact {
        gaps.push(format!("canary {} of {}", report.calibration.measured, report.calibration.done));
    }
    let counts_the_same = |text: &&String| STAND_INS.iter().any(|name| text.starts_with(name));
    gaps.extend(report.degraded.iter().filter(|text| !counts_the_same(text)).cloned());
    if gaps.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Code::Incomplete, "the measurement is incomplete (--strict)", gaps.join(", "))
        .fix("a shorter window, or a target with fewer threads and connections"))
}
