//! Commands on saved files, none of which needs privileges: `trace diff`, `check`, `explain`, `redact`.

use std::path::PathBuf;

use clap::Args;

use super::FormatArgs;

/// Options of `trace diff`.
#[derive(Clone, Debug, Args)]
#[command(after_help = DIFF_EXAMPLES)]
pub struct DiffArgs {
    /// The earlier measurement: a .trace file or a JSON report
    #[arg(value_name = "A")]
    pub before: PathBuf,
    /// The later one
    #[arg(value_name = "B")]
    pub after: PathBuf,
    /// How to write the comparison.
    #[command(flatten)]
    pub format: FormatArgs,
}

const DIFF_EXAMPLES: &str = "\
Needs no privileges. Says what makes the comparison unfair: other kernels, versions, loads, windows
of very different length, losses. Refuses other tiers. A .trace file is judged by this version, a
JSON report stands as it was judged.

Exit codes:
  0  compared, whatever differs
  2  usage; also a file that cannot be read, or measurements of different tiers

Examples:
  sudo trace attach --port 80 --duration 30s --output before.trace
  trace diff before.trace after.trace
  trace diff before.trace after.json --json | jq .server_model";

/// Options of `trace check`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples: see --help", after_long_help = CHECK_EXAMPLES)]
pub struct CheckArgs {
    /// A .trace file or a JSON report
    #[arg(required_unless_present = "names")]
    pub file: Option<PathBuf>,
    /// What it is expected to say: NAME=VALUE, or with !=, >=, <=, > or <; may be given several times
    #[arg(long, value_name = "EXPR", required_unless_present = "names")]
    pub expect: Vec<String>,
    /// Also write the answers as JUnit XML to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Overwrite that file if it exists
    #[arg(long, requires = "junit")]
    pub force: bool,
    /// List all names that an expectation may begin with
    #[arg(long)]
    pub names: bool,
    /// How to write the answers.
    #[command(flatten)]
    pub format: FormatArgs,
}

const CHECK_EXAMPLES: &str = "\
Needs no privileges. One line for each expectation, with what was measured. Times need a unit (ns,
us, ms, s, m, h), shares are 0 to 1 or in percent. A percentile is the upper edge of its bucket, at
most 6.25 % more than it was. What was not measured cannot be decided: neither can a model where the
verdict is inconclusive, nor a share that time of which nothing is known could change.

Exit codes:
  0  all hold
  1  internal error, or the answers could not be written
  2  usage; also a misspelt name or value (the nearest is named), or a file that cannot be read
  3  at least one failed
  4  none failed, and at least one cannot be decided

Examples:
  trace check web.trace --expect io_model=multiplexing --expect 'io_model.confidence>=medium'
  trace check web.trace --expect server_model=multi-reactor --expect server_model.count=4
  trace check web.trace --expect 'shares.multiplexing>=0.9' --expect 'account.wait_data.share<0.5'
  trace check web.json --expect 'wait_data.p99<=10ms' --expect loss.total=0
  trace check web.json --expect finding.spins-before-sleep=absent --junit trace.xml
  trace check --names";

/// Options of `trace explain`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub struct ExplainArgs {
    /// A model, role, account, field, column, finding, loss counter, exit code…; without it, all are listed
    pub topic: Vec<String>,
    /// Add the figures of this .trace file or JSON report
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

const EXPLAIN_EXAMPLES: &str = "\
Needs no privileges and no network. A name that stands for several things gets all of them; the kind
before it picks one.

Exit codes:
  0  explained
  2  usage; also an unknown topic (the nearest is named)

Examples:
  trace explain
  trace explain multiplexing
  trace explain wait_ready --report web.trace
  trace explain finding idle
  trace explain loss map_full
  trace explain exit 7";

/// Options of `trace redact`.
#[derive(Clone, Debug, Args)]
#[command(after_help = REDACT_EXAMPLES)]
pub struct RedactArgs {
    /// A .trace file or a JSON report
    pub file: PathBuf,
    /// Where to write it; .trace for a .trace file, .json for a report (or the report on a .trace file)
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// Overwrite that file if it exists
    #[arg(long)]
    pub force: bool,
    /// Make the pseudonyms with this key instead of a random one, so that those of several files agree
    ///
    /// Whoever knows the key can find out which address a pseudonym stands for, by trying all of them.
    #[arg(long, value_name = "TEXT")]
    pub key: Option<String>,
}

const REDACT_EXAMPLES: &str = "\
Needs no privileges. Replaced: addresses, names of processes and threads, paths, the command that
was run; the same one by the same pseudonym. Kept: whether an address is loopback or private, ports, the number
at the end of a thread's name, process and thread ids, the kernel's release, times. The verdict
stays.

Exit codes:
  0  written
  1  internal error, or it could not be written
  2  usage; also a file that cannot be read, or an output that cannot be created

Examples:
  trace redact web.trace --output public.trace
  trace redact web.trace --output public.json
  trace redact web.json --output public.json --force --key \"$(cat key)\"";
