//! How a run goes, on stderr.

use std::io::Write as _;

use crate::collect::Progress;
use crate::model;
use crate::plan::Plan;
use crate::report::sanitize::Terminal;
use crate::report::{io_line, unit};

/// Tells the user. A stderr that nobody reads must not end the run.
pub fn say(plan: &Plan, progress: Progress) {
    if plan.quiet {
        return;
    }
    let text = match progress {
        Progress::Step(step) if plan.verbose > 0 => step.to_owned(),
        Progress::Step(_) => return,
        Progress::Attached { processes, threads } => attached(plan, processes as u64, threads as u64),
        Progress::Interim(snapshot) => format!("so far: {}", io_line(&model::classify(&snapshot).io_model)),
    };
    let _ = writeln!(std::io::stderr(), "trace: {}", Terminal(&text));
}

fn attached(plan: &Plan, processes: u64, threads: u64) -> String {
    let until = match plan.options.duration {
        Some(duration) => format!("for {}; Ctrl-C ends it earlier", unit::time(duration.as_nanos() as u64)),
        None => "until Ctrl-C, or until the target ends".to_owned(),
    };
    let processes = unit::plural(processes, "process", "processes");
    format!("attached to {processes}, {} {until}", unit::plural(threads, "thread", "threads"))
}
