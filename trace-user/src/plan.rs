//! What was asked for, validated: made once from the raw flags, before anything is touched.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::{AttachArgs, MeasureArgs, TierArg, WriteArgs};
use crate::collect::{Options, Tier};
use crate::failure::{Code, Failure};
use crate::report::Layout;
use crate::report::export::{EXTENSIONS, ReportFormat, csv};
use crate::run::output::{Content, FileSpec};
use crate::snapshot::file::EXTENSION;
use crate::target::Spec;

/// Shortest interval between two reports.
const SHORTEST: Duration = Duration::from_millis(100);

/// A measurement.
#[derive(Debug)]
pub struct Plan {
    /// How to measure; its pids are filled in when the target is there.
    pub options: Options,
    /// How to write the report.
    pub writing: Writing,
    /// How much to say on stderr.
    pub verbose: u8,
}

/// How to write a report.
#[derive(Debug)]
pub struct Writing {
    /// Format of what is printed.
    pub format: ReportFormat,
    /// Layout of tables.
    pub layout: Layout,
    /// Files to write.
    pub outputs: Vec<FileSpec>,
    /// Nothing on stderr but errors.
    pub quiet: bool,
    /// Losses are a failure.
    pub strict: bool,
}

impl Writing {
    /// Whether a timeline is to be written.
    pub fn wants_timeline(&self) -> bool {
        let timeline = Content::Report(ReportFormat::Timeline);
        self.format == ReportFormat::Timeline || self.outputs.iter().any(|o| o.content == timeline)
    }
}

/// Resolves the raw flags of `trace attach`.
///
/// # Errors
/// With [`Code::Usage`] for what no run can make sense of.
pub fn attach(args: AttachArgs, verbose: u8) -> Result<(Spec, Plan), Failure> {
    let AttachArgs { pid, port, name, measure, write } = args;
    Ok((target(pid, port, name)?, plan(measure, write, verbose)?))
}

/// Resolves how to measure and to write.
///
/// # Errors
/// With [`Code::Usage`] for an output without a format.
pub fn plan(measure: MeasureArgs, write: WriteArgs, verbose: u8) -> Result<Plan, Failure> {
    if measure.calls > 0 && matches!(measure.tier, TierArg::Sched | TierArg::Proc) {
        let why = "this tier does not see when a call begins";
        return Err(Failure::new(Code::Usage, "cannot log receives", why).fix("--tier full"));
    }
    let (force, limit, asked) = (write.force, measure.timeline_limit, measure.timeline.clone());
    let mut writing = writing(write)?;
    if let Some(Some(path)) = &asked {
        let content = Content::Report(ReportFormat::Timeline);
        add_output(&mut writing.outputs, FileSpec { path: path.clone(), content, force })?;
    }
    let timeline = timeline(asked.is_some(), limit, &writing)?;
    let plan = Plan { options: Options { timeline, ..options(measure) }, writing, verbose };
    if let Some(interval) = plan.options.interval {
        check_interval(interval, &plan.writing)?;
    }
    check_overhead(&plan.options)?;
    if plan.options.timeline.is_some() && plan.options.tier == Tier::Proc {
        let why = "tier proc samples, and does not see when anything begins";
        return Err(Failure::new(Code::Usage, "cannot record a timeline", why).fix("--tier full"));
    }
    Ok(plan)
}

/// Only a tier that was not asked for by name may be left, and a stream is of one window.
fn check_overhead(options: &Options) -> Result<(), Failure> {
    let refuse = |why: &str, fix: &str| {
        Err(Failure::new(Code::Usage, "cannot bound the cost (--max-overhead)", why).fix(fix))
    };
    match (options.max_overhead, options.auto, options.interval) {
        (Some(_), false, _) => refuse("a lower tier than the one asked for would follow", "--tier auto"),
        (Some(_), true, Some(_)) => {
            refuse("a lower tier opens a window of its own, and --interval reports on one", "leave one out")
        }
        _ => Ok(()),
    }
}

/// How many spans to record, if any: whatever is to be written needs them, and who asks for them needs a place.
fn timeline(asked: bool, limit: u32, writing: &Writing) -> Result<Option<u32>, Failure> {
    let kept = writing.outputs.iter().any(|o| o.content == Content::Snapshot);
    if asked && !kept && !writing.wants_timeline() {
        let why = "neither what is printed nor a file is a timeline or a .trace file";
        return Err(Failure::new(Code::Usage, "there is no place for the timeline", why)
            .fix("--timeline FILE, --format timeline, or --output FILE.trace"));
    }
    Ok((asked || writing.wants_timeline()).then_some(limit))
}

/// A line takes as long as reading all records does, and somebody has to take it.
fn check_interval(interval: Duration, writing: &Writing) -> Result<(), Failure> {
    let jsonl = Content::Report(ReportFormat::Jsonl);
    if interval < SHORTEST {
        let why = format!("{interval:?} is shorter than {SHORTEST:?}");
        return Err(Failure::new(Code::Usage, "cannot report that often", why).fix("--interval 1s"));
    }
    if writing.format != ReportFormat::Jsonl && writing.outputs.iter().all(|o| o.content != jsonl) {
        let why = "neither what is printed nor a file is jsonl";
        return Err(Failure::new(Code::Usage, "cannot write interval reports", why)
            .fix("--format jsonl, or --output FILE.jsonl"));
    }
    Ok(())
}

fn options(measure: MeasureArgs) -> Options {
    let MeasureArgs {
        no_follow,
        duration,
        interval,
        tier,
        max_overhead,
        calls,
        types,
        by_descriptor,
        faults,
        timeline: _,
        timeline_limit: _,
    } = measure;
    Options {
        pids: Vec::new(),
        chosen: Vec::new(),
        held: false,
        follow: !no_follow,
        duration,
        interval,
        log_calls: calls,
        timeline: None,
        by_descriptor,
        tier: match tier {
            TierArg::Full | TierArg::Auto => Tier::Full,
            TierArg::Sched => Tier::Sched,
            TierArg::Proc => Tier::Proc,
        },
        auto: matches!(tier, TierArg::Auto),
        max_overhead,
        lowered: None,
        btf: types.btf,
        ahead: None,
        faults: faults.into(),
    }
}

/// Resolves how to write a report.
///
/// # Errors
/// With [`Code::Usage`] for an output without a format.
pub fn writing(write: WriteArgs) -> Result<Writing, Failure> {
    let WriteArgs { format, csv_table, output, force, threads, advise, quiet, strict } = write;
    Ok(Writing {
        format: format.resolve(csv_table),
        layout: Layout { threads, advise },
        outputs: outputs(output, csv_table, force)?,
        quiet,
        strict,
    })
}

fn target(mut pids: Vec<u32>, port: Option<u16>, name: Option<String>) -> Result<Spec, Failure> {
    match (port, name) {
        (Some(port), _) => return Ok(Spec::Port(port)),
        (None, Some(name)) if name.is_empty() => {
            return Err(Failure::new(Code::Usage, "cannot look for a process", "its name is empty")
                .fix("--name NAME, as shown by: ps -e -o comm"));
        }
        (None, Some(name)) => return Ok(Spec::Name(name)),
        (None, None) => {}
    }
    let mut seen = std::collections::BTreeSet::new();
    pids.retain(|&pid| seen.insert(pid));
    if pids.contains(&0) {
        let why = "pid 0 is the idle task of each CPU, not a process";
        return Err(Failure::new(Code::Usage, "cannot attach to pid 0", why).fix("find the pid with: ps -e"));
    }
    Ok(Spec::Pids(pids))
}

fn outputs(paths: Vec<PathBuf>, table: csv::Table, force: bool) -> Result<Vec<FileSpec>, Failure> {
    let mut specs: Vec<FileSpec> = Vec::new();
    for path in paths {
        let content = content_of(&path, table)?;
        add_output(&mut specs, FileSpec { path, content, force })?;
    }
    Ok(specs)
}

fn add_output(specs: &mut Vec<FileSpec>, spec: FileSpec) -> Result<(), Failure> {
    if specs.iter().any(|s| s.path == spec.path) {
        let what = format!("cannot write {} twice", spec.path.display());
        return Err(Failure::new(Code::Usage, what, "it was given as an output more than once"));
    }
    specs.push(spec);
    Ok(())
}

fn content_of(path: &Path, table: csv::Table) -> Result<Content, Failure> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    if extension.as_deref() == Some(EXTENSION) {
        return Ok(Content::Snapshot);
    }
    if let Some(format) = ReportFormat::of(path, table) {
        return Ok(Content::Report(format));
    }
    let why = match extension {
        Some(other) => format!("its extension .{other} stands for no format"),
        None => "it has no extension, which says the format".to_owned(),
    };
    Err(Failure::new(Code::Usage, format!("cannot write {}", path.display()), why)
        .fix(format!("a file that ends in {EXTENSIONS} or .{EXTENSION}")))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn plan(args: &[&str]) -> Result<(Spec, Plan), Failure> {
        let args = ["trace", "attach"].iter().chain(args);
        match Cli::try_parse_from(args).expect("clap takes it").command {
            Command::Attach(args) => attach(args, 0),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_extension_says_the_format() {
        let files =
            ["--output", "a.json", "b.TXT", "d.trace", "--output", "c.table", "e.peers.csv", "f.x.csv"];
        let more = ["--csv-table", "losses", "--format", "csv"];
        let (_, plan) = plan(&[&["--pid", "1"], &files[..], &more].concat()).expect("a plan");
        let contents: Vec<Content> = plan.writing.outputs.iter().map(|o| o.content).collect();
        let [json, table] = [ReportFormat::Json, ReportFormat::Table].map(Content::Report);
        let [peers, losses] = [csv::Table::Peers, csv::Table::Losses].map(ReportFormat::Csv);
        let [peers_file, losses_file] = [peers, losses].map(Content::Report);
        assert_eq!(contents, [json, table, Content::Snapshot, table, peers_file, losses_file]);
        assert_eq!(plan.writing.format, losses);
    }

    #[test]
    fn an_interval_needs_a_stream_and_some_length() {
        let failure = |args: &[&str]| plan(&[&["--pid", "1", "--interval"], args].concat());
        assert!(failure(&["1s", "--format", "jsonl"]).is_ok());
        assert!(failure(&["100ms", "--output", "a.jsonl"]).is_ok());
        for args in [&["1s"][..], &["1s", "--format", "json"], &["99ms", "--format", "jsonl"]] {
            assert_eq!(failure(args).expect_err("refused").code, Code::Usage, "{args:?}");
        }
    }

    #[test]
    fn a_bound_on_the_cost_needs_tiers_to_go_down() {
        let of = |args: &[&str]| plan(&[&["--pid", "1", "--max-overhead", "2%"], args].concat());
        let (_, plan) = of(&["--tier", "auto"]).expect("a plan");
        assert_eq!((plan.options.auto, plan.options.max_overhead), (true, Some(0.02)));
        let stream = ["--tier=auto", "--interval=1s", "--format=jsonl"];
        for args in [&[][..], &["--tier", "full"], &["--tier", "sched"], &["--tier", "proc"], &stream] {
            assert_eq!(of(args).expect_err("refused").code, Code::Usage, "{args:?}");
        }
    }

    #[test]
    fn a_timeline_is_recorded_where_it_is_asked_for_and_has_a_place() {
        let timeline =
            |args: &[&str]| plan(&[&["--pid", "1"], args].concat()).map(|(_, p)| p.options.timeline);
        for args in [
            &["--timeline", "a.json"][..],
            &["--timeline", "--output", "a.trace"],
            &["--output", "a.timeline.json"],
            &["--output", "a.Perfetto.JSON"],
            &["--format", "timeline"],
        ] {
            assert_eq!(timeline(args).expect("a plan"), Some(1_000_000), "{args:?}");
        }
        assert_eq!(timeline(&["--format", "timeline", "--timeline-limit", "7"]).expect("a plan"), Some(7));
        assert_eq!(timeline(&["--output", "a.trace", "timeline.json"]).expect("a plan"), None);
        for args in [&["--timeline"][..], &["--output", "a.json", "--timeline", "a.json"]] {
            assert_eq!(timeline(args).expect_err("refused").code, Code::Usage, "{args:?}");
        }
    }

    #[test]
    fn an_unknown_extension_is_a_usage_error_that_names_the_known_ones() {
        for file in ["report.xml", "report", "json"] {
            let failure = plan(&["--pid", "1", "--output", file]).expect_err("unknown");
            assert_eq!(failure.code, Code::Usage);
            assert!(failure.fix.is_some_and(|fix| fix.contains(".json") && fix.contains(".txt")));
        }
    }

    #[test]
    fn pids_are_taken_once_and_never_0() {
        let (target, _) = plan(&["--pid", "7", "--pid", "7"]).expect("a plan");
        assert_eq!(target, Spec::Pids(vec![7]));
        assert_eq!(plan(&["--pid", "0"]).expect_err("the idle task").code, Code::Usage);
    }
}
