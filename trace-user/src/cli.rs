//! The command line as it is typed. [`crate::plan`] makes a validated plan of it; nothing beyond that knows
//! clap.

mod about;
mod again;
mod command;
mod faults;
mod look;
mod measure;
mod saved;

use std::ffi::OsString;

use clap::{
    ArgAction, ArgGroup, Args, ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    ValueEnum,
};

use crate::report::Format;
pub use about::{CompletionsArgs, ManArgs, SchemaArgs};
pub use again::ReportArgs;
pub use command::RunArgs;
pub use faults::FaultArgs;
pub use look::{DoctorArgs, FormatArgs, ListArgs};
pub use measure::{MeasureArgs, ReportFormatArg, TierArg, TypesArgs, WriteArgs};
pub use saved::{CheckArgs, DiffArgs, ExplainArgs, RedactArgs};

/// Which of Stevens' five I/O models a running process uses, which server model, and where its threads' time
/// goes.
#[derive(Debug, Parser)]
#[command(name = "trace", version, max_term_width = 100, after_help = TOP_EXAMPLES)]
pub struct Cli {
    /// Say more on stderr; twice: raw detail of errors too (a verifier's log)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Colour help and usage errors; auto: on a terminal, unless NO_COLOR is set. Reports have no colour
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the command line; help and usage errors end the program.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Cli {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        // Help and errors are written while the line is still being read.
        let command = Cli::command().color(color(&arguments));
        Cli::from_arg_matches(&command.get_matches_from(arguments)).unwrap_or_else(|e| e.exit())
    }
}

/// What `--color` says, before the command of `trace run`; anything but a known word is an error later.
fn color(arguments: &[OsString]) -> ColorChoice {
    let words = arguments.iter().map(|argument| argument.to_str().unwrap_or_default());
    let mut words = words.take_while(|word| *word != "--").peekable();
    let mut choice = ColorChoice::Auto;
    while let Some(word) = words.next() {
        let value = match word {
            "--color" => words.peek().copied(),
            word => word.strip_prefix("--color="),
        };
        choice = value.and_then(|value| ColorChoice::from_str(value, true).ok()).unwrap_or(choice);
    }
    choice
}

const TOP_EXAMPLES: &str = "\
Examples:
  sudo trace attach --port 8080 --duration 10s
  sudo trace attach --pid 4711 --format json > report.json
  sudo trace attach --name nginx --duration 1m --output nginx.trace
  trace report nginx.trace --output nginx.html
  trace diff before.trace after.trace
  trace check nginx.trace --expect io_model=multiplexing
  trace explain multiplexing
  sudo trace run -- ./server --port 8080
  sudo trace demo
  trace list                                         what can be attached to
  sudo trace doctor                                  whether this machine lets it";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Trace a running process, its threads and its descendants, and report
    Attach(AttachArgs),
    /// Trace a command, its threads and its descendants, from its first instruction on
    Run(RunArgs),
    /// Judge a saved measurement and write its report again
    Report(ReportArgs),
    /// Compare two saved measurements, in words and numbers
    Diff(DiffArgs),
    /// Check a saved measurement against expectations, for scripts and CI
    Check(CheckArgs),
    /// Explain a model, role, account, field, finding, loss or exit code
    Explain(ExplainArgs),
    /// Replace addresses, names and paths of a saved measurement by pseudonyms
    Redact(RedactArgs),
    /// Start a small server of every model, drive it, trace it, and compare
    Demo(DemoArgs),
    /// List the processes that listen on a port: what can be attached to
    List(ListArgs),
    /// Say whether and what can be measured here, and what would change that
    Doctor(DoctorArgs),
    /// Print the JSON Schema of the report
    Schema(SchemaArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print a manual page
    Man(ManArgs),
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
    /// How to measure.
    #[command(flatten)]
    pub measure: MeasureArgs,
    /// How to write the report.
    #[command(flatten)]
    pub write: WriteArgs,
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
  sudo trace attach --name nginx --duration 1m --output nginx.trace nginx.html
  sudo trace attach --pid 4711 --pid 4712 --no-follow --threads
  sudo trace attach --port 80 --duration 5s --format json --quiet | jq .verdict.io_model.name
  sudo trace attach --port 80 --duration 2s --timeline web.json     for ui.perfetto.dev
  sudo trace attach --port 80 --interval 1s --format jsonl | jq --unbuffered .verdict.io_model.shares
  trace attach --pid 4711 --tier proc --duration 10s           without privileges: samples of /proc
  sudo trace attach --port 80 --duration 1m --tier auto --max-overhead 2%";

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
    /// Where the kernel's types are.
    #[command(flatten)]
    pub types: TypesArgs,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_color_before_the_command_of_run_counts() {
        let color = |line: &str| color(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(color("trace list --color always"), ColorChoice::Always);
        assert_eq!(color("trace --color=always --color=never list"), ColorChoice::Never);
        assert_eq!(color("trace --color purple list --color"), ColorChoice::Auto);
        assert_eq!(color("trace run -- ls --color=always"), ColorChoice::Auto);
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn exactly_one_kind_of_target_is_wanted() {
        assert!(Cli::try_parse_from(["trace", "attach"]).is_err());
        assert!(Cli::try_parse_from(["trace", "attach", "--pid", "1", "--port", "80"]).is_err());
        assert!(Cli::try_parse_from(["trace", "attach", "--pid", "1", "--pid", "2"]).is_ok());
        assert!(Cli::try_parse_from(["trace", "attach", "--port", "0"]).is_err());
    }
}
