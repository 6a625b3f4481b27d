//! Options that commands share: how to measure, and how to write the report.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use super::FaultArgs;
use crate::kernel::btf::VMLINUX;
use crate::report::export::{ReportFormat, csv};

/// Spans of a timeline: 24 bytes of memory each while measuring, some 100 in its file.
pub const MAX_SPANS: u32 = 1_000_000;

/// How to measure.
#[derive(Clone, Debug, Args)]
pub struct MeasureArgs {
    /// Leave descendants alone
    #[arg(long)]
    pub no_follow: bool,
    /// Length of the window: 10s, 500ms, 2m, 1h; a plain number is seconds
    ///
    /// Without it the window lasts until Ctrl-C (or SIGTERM, or SIGHUP) or until the target ends.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// A report on what was seen so far, this often, as a line of jsonl: 1s, 500ms; at least 100ms
    ///
    /// For --format jsonl and --output FILE.jsonl; other outputs are written once, at the end.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub interval: Option<Duration>,
    /// How to measure; auto takes the best that this kernel and these rights allow
    #[arg(long, value_enum, default_value_t = TierArg::Full)]
    pub tier: TierArg,
    /// Go down to a lower tier, and then end, when the probes take more of one CPU: 2%, 0.5%
    ///
    /// For --tier auto. Each step is reported; see trace explain steps.
    #[arg(long, value_name = "PERCENT", value_parser = percentage)]
    pub max_overhead: Option<f64>,
    /// Log the two phases of the first N receives into the JSON report
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub calls: u32,
    /// Record what each thread and each connection did when, and write it to FILE for Perfetto
    ///
    /// ui.perfetto.dev and chrome://tracing open it. Without FILE it is what --format timeline prints, and goes to
    /// an --output FILE.timeline.json and into FILE.trace; the former two record it without this option. It costs
    /// a fraction of a microsecond for each change of account.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub timeline: Option<Option<PathBuf>>,
    /// Most spans of a timeline; what comes after them is counted as lost
    #[arg(long, value_name = "N", default_value_t = MAX_SPANS, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SPANS)))]
    pub timeline_limit: u32,
    /// Where the kernel's types are.
    #[command(flatten)]
    pub types: TypesArgs,
    /// Resolve receives by their descriptor, as on kernels before 6.3
    #[arg(long, hide = true)]
    pub by_descriptor: bool,
    /// Faults on purpose.
    #[command(flatten)]
    pub faults: FaultArgs,
}

/// Where the kernel's types are.
#[derive(Clone, Debug, Args)]
pub struct TypesArgs {
    /// Types (BTF) of this kernel, for one that shows none: a file of them, or a vmlinux that has them
    ///
    /// A vmlinux, as in the distribution's debug package, is refused if it is of another kernel; a bare file
    /// (pahole --btf_encode_detached=FILE vmlinux) cannot be told from another one's. Where the kernel has no types of
    /// its own the probes are raw tracepoints: nothing is lost, but each event takes longer.
    #[arg(long, value_name = "FILE", default_value = VMLINUX)]
    pub btf: PathBuf,
}

/// How to write the report.
#[derive(Clone, Debug, Args)]
pub struct WriteArgs {
    /// Format of the report that is printed
    #[arg(long, value_enum, default_value_t = ReportFormatArg::Table)]
    pub format: ReportFormatArg,
    /// Table of the report that csv is
    ///
    /// Of a file with two extensions, as web.peers.csv, the first one says it.
    #[arg(long, value_enum, value_name = "TABLE", default_value_t = csv::Table::Threads)]
    pub csv_table: csv::Table,
    /// Files to write, each in the format of its extension: .txt, .table, .json, .jsonl, .csv, .md, .html,
    /// .folded, .prom, .timeline.json (or .perfetto.json), .trace
    ///
    /// .trace keeps what was measured: trace report makes every other format of it. All are created before
    /// measuring, readable by their owner only, and taken away if the run fails.
    #[arg(long, value_name = "FILE", num_args = 1.., action = ArgAction::Append)]
    pub output: Vec<PathBuf>,
    /// Overwrite files that exist
    #[arg(long)]
    pub force: bool,
    /// One row per thread instead of one for alike threads
    #[arg(long)]
    pub threads: bool,
    /// Say whether tracing that follows requests by thread id will work on this server
    #[arg(long)]
    pub advise: bool,
    /// Nothing on stderr but errors
    #[arg(short, long)]
    pub quiet: bool,
    /// Exit with 8 if anything was lost (the report is written all the same)
    #[arg(long)]
    pub strict: bool,
}

/// A format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormatArg {
    /// For people, at most 80 columns
    Table,
    /// For programs
    Json,
    /// The same in one line; with --interval a line for each interval
    Jsonl,
    /// One table of comma-separated values, see --csv-table
    Csv,
    /// For issues and wikis
    Markdown,
    /// One page for a browser
    Html,
    /// Folded stacks of accounts, for flame graphs
    Folded,
    /// Prometheus' text format
    Prometheus,
    /// What was done when, for Perfetto; implies --timeline
    Timeline,
}

impl ReportFormatArg {
    /// The format; `table` is what csv shows.
    pub fn resolve(self, table: csv::Table) -> ReportFormat {
        match self {
            ReportFormatArg::Table => ReportFormat::Table,
            ReportFormatArg::Json => ReportFormat::Json,
            ReportFormatArg::Jsonl => ReportFormat::Jsonl,
            ReportFormatArg::Csv => ReportFormat::Csv(table),
            ReportFormatArg::Markdown => ReportFormat::Markdown,
            ReportFormatArg::Html => ReportFormat::Html,
            ReportFormatArg::Folded => ReportFormat::Folded,
            ReportFormatArg::Prometheus => ReportFormat::Prometheus,
            ReportFormatArg::Timeline => ReportFormat::Timeline,
        }
    }
}

/// A way to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TierArg {
    /// All hooks
    Full,
    /// All but those on system calls: no call on this machine pays for it, and less is known
    Sched,
    /// No hooks: samples of /proc, for whoever may not load any
    Proc,
    /// The best there is
    Auto,
}

/// Reads `2%` as a share, 0.02.
fn percentage(text: &str) -> Result<f64, String> {
    let known = "a percentage of one CPU, like 2% or 0.5%";
    let number = text.strip_suffix('%').ok_or_else(|| format!("it has no %: {known}"))?;
    let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let percent =
        number.parse::<f64>().ok().filter(|_| plain).ok_or_else(|| format!("not a number: {known}"))?;
    if percent <= 0.0 {
        return Err(format!("nothing costs nothing; {known}"));
    }
    Ok(percent / 100.0)
}

/// Reads `10s`, `500ms`, `2m`, `1h`, or a plain number of seconds; the number may have a fraction.
fn duration(text: &str) -> Result<Duration, String> {
    let known = "a number with ms, s, m or h, like 10s";
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let seconds = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("not a time: {known}")),
    };
    let number: f64 = number.parse().map_err(|_| format!("not a time: {known}"))?;
    let duration = Duration::try_from_secs_f64(number * seconds).map_err(|_| "too long".to_owned())?;
    if duration.is_zero() {
        return Err(format!("a window of no length shows nothing; give {known}"));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        let cases =
            [("10s", 10_000), ("500ms", 500), ("2m", 120_000), ("1h", 3_600_000), ("3", 3_000), ("0.5", 500)];
        for (text, ms) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn a_percentage_has_its_sign() {
        assert_eq!(percentage("2%"), Ok(0.02));
        assert_eq!(percentage("0.5%"), Ok(0.005));
        for text in ["2", "0.02", "%", "0%", "-1%", "2 %", "two%", "1e2%", "inf%", "NaN%", "1.2.3%"] {
            assert!(percentage(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_time_is_no_duration() {
        for text in [
            "0",
            "0s",
            "0.0ms",
            "",
            "s",
            "-1s",
            "10 s",
            "1d",
            "1.2.3",
            "ten",
            "inf",
            "1e3",
            "99999999999999999999h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
