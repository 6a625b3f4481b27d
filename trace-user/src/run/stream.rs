//! Interval reports: while the window is open, a line for each interval.

use super::output::{Content, Outputs};
use crate::failure::Failure;
use crate::model;
use crate::plan::Plan;
use crate::report::build;
use crate::report::export::ReportFormat;
use crate::report::export::stream::{Interval, line};
use crate::snapshot::Snapshot;

/// The lines so far.
#[derive(Debug, Default)]
pub struct Stream {
    /// Whether lines were asked for.
    pub on: bool,
    prints: bool,
    last: Option<Interval>,
    failed: Option<Failure>,
}

impl Stream {
    /// The stream of a run: on if it has an interval.
    pub fn of(plan: &Plan) -> Stream {
        let prints = matches!(plan.writing.format, ReportFormat::Jsonl);
        Stream { on: plan.options.interval.is_some(), prints, ..Stream::default() }
    }

    /// Writes a line on what was seen so far: to the files that are streams, and to `print` if that is one. After
    /// something could not be written nothing more is; the window stays open, for the other files.
    pub fn tell(
        &mut self,
        snapshot: &Snapshot,
        outputs: &mut Outputs,
        print: impl FnOnce(&str) -> Result<(), Failure>,
    ) {
        if self.failed.is_none() {
            self.failed = self.try_to_tell(snapshot, outputs, print).err();
        }
    }

    fn try_to_tell(
        &mut self,
        snapshot: &Snapshot,
        outputs: &mut Outputs,
        print: impl FnOnce(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let interval = Interval::after(self.last, snapshot.window.duration_ns);
        self.last = Some(interval);
        let report = build::build(snapshot, &model::classify(snapshot));
        let text =
            line(&report, interval).map_err(|e| Failure::internal("the report cannot be laid out", e))?;
        outputs.append(Content::Report(ReportFormat::Jsonl), text.as_bytes())?;
        if self.prints { print(&text) } else { Ok(()) }
    }

    /// The interval of the last line, which ends with the window; none if the stream is off.
    ///
    /// # Errors
    /// With what could not be written before.
    pub fn end(self, snapshot: &Snapshot) -> Result<Option<Interval>, Failure> {
        match self.failed {
            Some(failure) => Err(failure),
            None => Ok(self.on.then(|| Interval::after(self.last, snapshot.window.duration_ns))),
        }
    }
}
