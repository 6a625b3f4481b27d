//! What the program says of itself: `trace schema`, `completions`, `man`.

use clap::Args;
use clap_complete::Shell;

/// Options of `trace schema`.
#[derive(Clone, Copy, Debug, Args)]
#[command(after_help = SCHEMA_EXAMPLES)]
pub struct SchemaArgs {}

const SCHEMA_EXAMPLES: &str = "\
JSON Schema, draft 2020-12, of what --format json writes. Fields may be added within a major version
of schema_version, so it allows more of them than it names.

Examples:
  trace schema > report.schema.json
  trace schema | jq '.properties | keys'";

/// Options of `trace completions`.
#[derive(Clone, Copy, Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(trace completions bash)
  trace completions zsh > ~/.zfunc/_trace
  trace completions fish > ~/.config/fish/completions/trace.fish";

/// Options of `trace man`.
#[derive(Clone, Debug, Args)]
#[command(after_help = MAN_EXAMPLES)]
pub struct ManArgs {
    /// The command whose page is wanted; without it, that of trace
    pub command: Option<String>,
}

const MAN_EXAMPLES: &str = "\
Examples:
  trace man | man -l -
  trace man attach | man -l -
  trace man > /usr/local/share/man/man1/trace.1";
