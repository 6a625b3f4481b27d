//! The command line as it is typed. [`crate::plan`] makes a validated plan of it; nothing beyond that knows
//! clap.

mod look;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::kernel::btf::VMLINUX;
use crate::report::Format;
pub use look::{DoctorArgs, FormatArgs, ListArgs};

/// Which of Stevens' five I/O models a running process uses, which server model, and where its threads' time
/// goes.
#[derive(Debug, Parser)]
#[command(name = "trace", version, max_term_width = 100, after_help = TOP_EXAMPLES)]
pub struct Cli {
    /// Say more on stderr; twice: raw detail of errors too (a verifier's log)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const TOP_EXAMPLES: &str = "\
Examples:
  sudo trace attach --port 8080 --duration 10s
  sudo trace attach --pid 4711 --format json > report.json
  sudo trace demo
  trace list                                         what can be attached to
  sudo trace doctor                                  whether this machine lets it";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Trace a running process, its threads and its descendants, and report
    Attach(AttachArgs),
    /// Start a small server of every model, drive it, trace it, and compare
    Demo(DemoArgs),
    /// List the processes that listen on a port: what can be attached to
    List(ListArgs),
    /// Say whether and what can be measured here, and what would change that
    Doctor(DoctorArgs),
    /// A workload with a known model, for tests and for the demo
    #[command(hide = true)]
    Fixture(fixtures::cli::Args),
}

/// Options of `trace attach`.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("target").required(true).args(["pid", "port", "name"])),
    after_help = "Examples: see --help",
    after_long_help = ATTACH_EXAMPLES
)]
pub struct AttachArgs {
    /// Process to trace; may be given several times
    #[arg(long, value_name = "PID")]
    pub pid: Vec<u32>,
    /// Trace the process that listens on this TCP or UDP port
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Trace the process with this name (as `ps -o comm` shows it, or the file name of its executable)
    ///
    /// Of several in one process tree the topmost is taken; unrelated ones are listed, and none is traced.
    #[arg(long)]
    pub name: Option<String>,
    /// Leave descendants alone
    #[arg(long)]
    pub no_follow: bool,
    /// Length of the window: 10s, 500ms, 2m, 1h; a plain number is seconds
    ///
    /// Without it the window lasts until Ctrl-C (or SIGTERM, or SIGHUP) or until the target ends.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Format of the report on stdout
    #[arg(long, value_enum, default_value_t = FormatArg::Table)]
    pub format: FormatArg,
    /// Write the report to files too, each in the format of its extension: .json, or .txt and .table
    ///
    /// They are created before measuring, readable by their owner only, and taken away if the run fails.
    #[arg(long, value_name = "FILE", num_args = 1.., action = ArgAction::Append)]
    pub output: Vec<PathBuf>,
    /// Overwrite files that exist
    #[arg(long)]
    pub force: bool,
    /// One row per thread instead of one for alike threads
    #[arg(long)]
    pub threads: bool,
    /// Nothing on stderr but errors
    #[arg(short, long)]
    pub quiet: bool,
    /// Exit with 8 if anything was lost (the report is written all the same)
    #[arg(long)]
    pub strict: bool,
    /// How to measure; auto takes the best that this kernel and these rights allow
    #[arg(long, value_enum, default_value_t = TierArg::Full)]
    pub tier: TierArg,
    /// Log the two phases of the first N receives into the JSON report
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub calls: u32,
    /// The kernel's own types
    #[arg(long, hide = true, value_name = "PATH", default_value = VMLINUX)]
    pub btf: PathBuf,
    /// Resolve receives by their descriptor, as on kernels before 6.3
    #[arg(long, hide = true)]
    pub by_descriptor: bool,
}

const ATTACH_EXAMPLES: &str = "\
Exit codes:
    0  measured and reported (also: inconclusive; stdout was closed)
    1  internal error, or the report could not be written at the end
    2  usage; also pid 0, trace itself, a kernel thread, an ambiguous name or port,
       an output that cannot be created (checked before measuring)
    5  no such target, or it ended before any thread was seen
    6  not permitted (trace doctor says what is missing)
    7  the kernel cannot (trace doctor, too)
    8  incomplete, with --strict
  130  second interrupt; no report, and no partial file

The first SIGINT, SIGTERM or SIGHUP ends the window: the report is written, and trace exits with 0.

Examples:
  sudo trace attach --pid 4711 --duration 10s
  sudo trace attach --port 5432                      until Ctrl-C
  sudo trace attach --name nginx --duration 1m --output nginx.json nginx.txt
  sudo trace attach --pid 4711 --pid 4712 --no-follow --threads
  sudo trace attach --port 80 --duration 5s --format json --quiet | jq .verdict.io_model.name";

/// Options of `trace demo`.
#[derive(Clone, Debug, Args)]
#[command(after_help = DEMO_EXAMPLES)]
pub struct DemoArgs {
    /// Only this fixture, or all fixtures of this model; may be given several times
    #[arg(long, value_name = "NAME")]
    pub model: Vec<String>,
    /// Format of the comparison on stdout
    #[arg(long, value_enum, default_value_t = FormatArg::Table)]
    pub format: FormatArg,
    /// Nothing on stderr but errors
    #[arg(short, long)]
    pub quiet: bool,
    /// The kernel's own types
    #[arg(long, hide = true, value_name = "PATH", default_value = VMLINUX)]
    pub btf: PathBuf,
}

const DEMO_EXAMPLES: &str = "\
Exit code 3 if a model was not recognised.

Examples:
  sudo trace demo
  sudo trace demo --model multiplexing
  sudo trace demo --format json --quiet | jq '.[] | {fixture, io_model}'";

/// A format of stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// For people, at most 80 columns
    Table,
    /// For programs
    Json,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Format {
        match format {
            FormatArg::Table => Format::Table,
            FormatArg::Json => Format::Json,
        }
    }
}

/// A way to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TierArg {
    /// All hooks
    Full,
    /// The best there is
    Auto,
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
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        let cases =
            [("10s", 10_000), ("500ms", 500), ("2m", 120_000), ("1h", 3_600_000), ("3", 3_000), ("0.5", 500)];
        for (text, ms) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
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

    #[test]
    fn exactly_one_kind_of_target_is_wanted() {
        assert!(Cli::try_parse_from(["trace", "attach"]).is_err());
        assert!(Cli::try_parse_from(["trace", "attach", "--pid", "1", "--port", "80"]).is_err());
        assert!(Cli::try_parse_from(["trace", "attach", "--pid", "1", "--pid", "2"]).is_ok());
        assert!(Cli::try_parse_from(["trace", "attach", "--port", "0"]).is_err());
    }
}
