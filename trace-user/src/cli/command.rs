//! `trace run`: a command, from its first instruction on.

use std::ffi::OsString;

use clap::Args;

use super::{MeasureArgs, WriteArgs};

/// Options of `trace run`.
#[derive(Clone, Debug, Args)]
#[command(
    override_usage = "trace run [OPTIONS] -- COMMAND [ARGUMENT]...",
    after_help = "Examples: see --help",
    after_long_help = RUN_EXAMPLES
)]
pub struct RunArgs {
    /// How to measure.
    #[command(flatten)]
    pub measure: MeasureArgs,
    /// How to write the report.
    #[command(flatten)]
    pub write: WriteArgs,
    /// Under sudo, run the command as root, not as the user who called sudo
    #[arg(long)]
    pub as_root: bool,
    /// The command, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

const RUN_EXAMPLES: &str = "\
The command's stdin, stdout and stderr are its own. How it ended is said on stderr, and the report
follows there, or goes, with --output, to those files alone.

The window lasts until the command and all its descendants have ended. Ctrl-C is the command's: it
ends, and the report is written. A signal sent to trace is passed on to the command; a second one
ends trace. With --duration the window ends earlier: the report is written, the command goes on, and
trace waits for it.

Under sudo the command runs as the user who called it, with that user's groups, HOME, USER, LOGNAME
and SHELL, unless --as-root.

Exit codes are those of trace attach: 0 if it was measured, however the command ended; 2 also if the
command cannot be executed.

Examples:
  sudo trace run -- ./server --port 8080
  sudo trace run --output server.trace server.txt -- ./server --port 8080
  sudo trace run --format json --output r.json -- sh -c 'curl -s localhost | wc -c'
  sudo trace run --as-root --duration 10s -- nginx -g 'daemon off;'";
