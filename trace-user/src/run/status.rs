//! How a run goes, on stderr: on a terminal one line that is rewritten about once a second, elsewhere a line
//! each.

use super::line::Line;
use crate::collect::Progress;
use crate::model;
use crate::plan::Plan;
use crate::report::{io_line, total_lost, unit};
use crate::snapshot::Snapshot;

/// Tells the user. Dropping it clears its line.
pub struct Status<'a> {
    plan: &'a Plan,
    line: Line,
}

impl<'a> Status<'a> {
    /// Nothing has happened yet.
    pub fn new(plan: &'a Plan) -> Status<'a> {
        Status { plan, line: Line::new(plan.writing.quiet) }
    }

    /// Tells of `progress`.
    pub fn tell(&mut self, progress: Progress) {
        if self.plan.writing.quiet {
            return;
        }
        match progress {
            Progress::Step(step) if self.plan.verbose > 0 => self.line.print(step),
            Progress::Step(step) => self.line.rewrite(&format!("{step} …")),
            Progress::Note(note) => self.line.print(&note),
            Progress::Read { threads, took } if self.plan.verbose > 0 => {
                let threads = unit::plural(threads as u64, "thread", "threads");
                self.line.print(&format!("read {threads} in {}", unit::time(took.as_nanos() as u64)));
            }
            Progress::Open | Progress::Interval(_) | Progress::Read { .. } => {}
            Progress::Attached { processes, threads } => {
                self.line.print(&attached(self.plan, processes as u64, threads as u64));
            }
            Progress::Interim(snapshot) => {
                let verdict = io_line(&model::classify(&snapshot).io_model);
                if self.line.is_live() {
                    self.line.rewrite(&live(&snapshot, &verdict));
                } else {
                    self.line.print(&format!("so far: {verdict}"));
                }
            }
        }
    }
}

fn attached(plan: &Plan, processes: u64, threads: u64) -> String {
    let until = match plan.options.duration {
        Some(duration) => format!("for {}; Ctrl-C ends it earlier", unit::time(duration.as_nanos() as u64)),
        None => "until Ctrl-C, or until the target ends".to_owned(),
    };
    let processes = unit::plural(processes, "process", "processes");
    format!("attached to {processes}, {} {until}", unit::plural(threads, "thread", "threads"))
}

/// `0:07 multiplexing (epoll), high confidence | no losses | cost 1.2% CPU`: within 80 columns.
fn live(snapshot: &Snapshot, verdict: &str) -> String {
    let seconds = snapshot.window.duration_ns / 1_000_000_000;
    let lost = match total_lost(&snapshot.loss) {
        0 => "no losses".to_owned(),
        lost => unit::plural(lost, "loss", "losses"),
    };
    let cost = snapshot.cost.cpu_share.map(unit::percent_of_share);
    let cost = cost.map_or_else(String::new, |share| format!(" | cost {share} CPU"));
    format!("{} {verdict} | {lost}{cost}", clock(seconds))
}

/// `0:07`, `1:02:03`.
fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_line_says_time_verdict_losses_and_cost() {
        let mut snapshot = sample::snapshot(1);
        snapshot.window.duration_ns = 67_900_000_000;
        snapshot.loss.clear();
        snapshot.cost.cpu_share = Some(0.012);
        assert_eq!(live(&snapshot, "blocking"), "1:07 blocking | no losses | cost 1.2% CPU");
        snapshot.loss.insert("torn_reads".into(), 2);
        snapshot.loss.insert("early_wakeups".into(), 5);
        snapshot.cost.cpu_share = None;
        assert_eq!(live(&snapshot, "blocking"), "1:07 blocking | 2 losses");
    }

    #[test]
    fn times_are_read_like_a_clock() {
        assert_eq!(["0:00", "0:59", "1:00", "1:00:01"], [0, 59, 60, 3601].map(clock));
    }
}
