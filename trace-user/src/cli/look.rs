//! Commands that look and measure nothing: `trace list`, `trace doctor`.

use clap::Args;

use super::{FormatArg, TypesArgs};
use crate::report::Format;

/// Options of `trace list`.
#[derive(Clone, Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub struct ListArgs {
    /// How to write the list.
    #[command(flatten)]
    pub format: FormatArgs,
}

const LIST_EXAMPLES: &str = "\
TCP listeners and bound UDP sockets, in all network namespaces that may be seen. Workers that share a
listener with a process above them stand in its row. Needs no privileges, but sees only the user's own
processes without them, and says what it could not see.

Examples:
  sudo trace list
  trace list --json | jq '.servers[] | {pid, comm, listens}'";

/// Options of `trace doctor`.
#[derive(Clone, Debug, Args)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub struct DoctorArgs {
    /// How to write what was found.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Where the kernel's types are.
    #[command(flatten)]
    pub types: TypesArgs,
}

const DOCTOR_EXAMPLES: &str = "\
Loads and attaches every probe for a moment, and lets them count known receives.

Exit codes, those that trace attach would have here:
  0  it would measure
  6  not permitted
  7  the kernel cannot

Examples:
  sudo trace doctor
  trace doctor --json | jq .outlook
  sudo trace doctor -vv                              with the verifier's log of a refused hook";

/// The format of a command that has a short way to say JSON.
#[derive(Clone, Copy, Debug, Args)]
pub struct FormatArgs {
    /// Format on stdout
    #[arg(long, value_enum, default_value_t = FormatArg::Table)]
    pub format: FormatArg,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

impl FormatArgs {
    /// The format asked for.
    pub fn resolve(self) -> Format {
        if self.json { Format::Json } else { self.format.into() }
    }
}
