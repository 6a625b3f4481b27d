//! `trace report`: a saved measurement, once more.

use std::path::PathBuf;

use clap::Args;

use super::WriteArgs;

/// Options of `trace report`.
#[derive(Clone, Debug, Args)]
#[command(after_help = REPORT_EXAMPLES)]
pub struct ReportArgs {
    /// A file that --output FILE.trace wrote
    pub file: PathBuf,
    /// How to write the report.
    #[command(flatten)]
    pub write: WriteArgs,
}

const REPORT_EXAMPLES: &str = "\
Needs no privileges. The report is that of the attach, byte for byte, if the same version of trace
judges.

Exit codes:
    0  reported
    1  internal error, or the report could not be written
    2  usage; also a file that cannot be read, is no saved measurement, is damaged or too large, or has
       a newer major version
    8  incomplete, with --strict

Examples:
  sudo trace attach --port 80 --duration 10s --output web.trace
  trace report web.trace
  trace report web.trace --threads
  trace report web.trace --format json | jq .verdict
  trace report web.trace --output web.html web.md web.peers.csv
  trace report web.trace --format csv --csv-table distributions
  trace report web.trace --format folded | flamegraph.pl --countname ns > web.svg
  trace report web.trace --output web.timeline.json    if it was measured with --timeline
  trace report web.trace --format prometheus > /var/lib/node_exporter/trace.prom";
