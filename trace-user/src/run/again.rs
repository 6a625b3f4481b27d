//! `trace report`: a saved measurement, judged again.

use std::fs::File;

use super::output::Outputs;
use super::publish::{print, publish};
use super::stream::Stream;
use crate::cli::ReportArgs;
use crate::failure::{Code, Failure};
use crate::plan;
use crate::snapshot::file::{self, Error};

/// Reads the file, judges what was measured, and writes the report.
///
/// # Errors
/// With [`Code::Usage`] for a file that is no saved measurement; as `trace attach` for the rest.
pub fn run(args: ReportArgs) -> Result<(), Failure> {
    let writing = plan::writing(args.write)?;
    let snapshot = File::open(&args.file).map_err(Error::Io).and_then(file::decode).map_err(|e| {
        let fix = match e {
            Error::Io(_) => format!("check with: ls -l {}", args.file.display()),
            Error::Version(..) => "trace report of the version that wrote it, or of a newer one".to_owned(),
            _ => "a file that trace attach --output FILE.trace wrote".to_owned(),
        };
        Failure::new(Code::Usage, format!("cannot report on {}", args.file.display()), e.to_string()).fix(fix)
    })?;
    if writing.wants_timeline() && snapshot.timeline.is_none() {
        let what = format!("cannot write the timeline of {}", args.file.display());
        return Err(Failure::new(Code::Usage, what, "none was recorded")
            .fix("measure again with: trace attach --timeline --output FILE.trace"));
    }
    // Nothing takes long from here on, so the files need no watch over an interrupt before.
    let outputs = Outputs::create(&writing.outputs)?;
    publish(&snapshot, &writing, outputs, Stream::default(), print)
}
