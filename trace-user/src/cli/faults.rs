//! Faults on purpose, to see that what is lost by them shows: for the project's own tests, and in no help.

use clap::Args;

use crate::collect::{Faults, Point};

/// What to do without.
#[derive(Clone, Debug, Args)]
pub struct FaultArgs {
    /// Maps of the probes of so many entries
    #[arg(long, hide = true, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    limit_maps: Option<u32>,
    /// As if this kernel did not have a hook; may be given several times
    #[arg(long, hide = true, value_name = "HOOK")]
    without_hook: Vec<String>,
    /// Stop at a point until SIGCONT comes
    #[arg(long, hide = true, value_enum, value_name = "POINT")]
    stop_at: Option<Point>,
}

impl From<FaultArgs> for Faults {
    fn from(args: FaultArgs) -> Faults {
        Faults { map_entries: args.limit_maps, without: args.without_hook, stop_at: args.stop_at }
    }
}
