//! Loading the probes, attaching to a target, and reading what they measured.

mod canary;
mod clock;
mod convert;
mod cost;
mod held;
mod kmaps;
mod load;
mod loss;
pub mod object;
mod pace;
mod permitted;
mod session;
mod silent;
mod tier;
pub mod trial;

use std::path::PathBuf;
use std::time::Duration;

use crate::failure::Failure;
use crate::kernel::drop::Ahead;
use crate::snapshot::Snapshot;

pub use tier::Tier;

/// What to measure, fully resolved: no option of the command line is looked at beyond this.
#[derive(Clone, Debug)]
pub struct Options {
    /// Processes (host ids) to attach to, with their threads.
    pub pids: Vec<u32>,
    /// They are held until the window is open: [`Progress::Open`] lets them go.
    pub held: bool,
    /// Follow descendants, present and future, as well.
    pub follow: bool,
    /// Length of the window; `None` runs until stopped or until the target ends.
    pub duration: Option<Duration>,
    /// Take a snapshot this often while the window is open.
    pub interval: Option<Duration>,
    /// Log up to this many receives, with their two phases.
    pub log_calls: u32,
    /// Resolve receives by descriptor although the kernel has `sock_recv_length`.
    pub by_descriptor: bool,
    /// What to hook into.
    pub tier: Tier,
    /// Where the kernel's BTF is.
    pub btf: PathBuf,
    /// What the caller still has to do after the probes are attached: all rights beyond that are given up then. `None`: none
    /// is, for a process that measures again.
    pub ahead: Option<Ahead>,
    /// Faults on purpose.
    pub faults: Faults,
}

/// Faults on purpose, to see that what is lost by them shows.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Entries of each map whose size depends on the target.
    pub map_entries: Option<u32>,
    /// Hooks to do without, as if this kernel did not have them.
    pub without: Vec<String>,
}

/// What a running measurement tells.
#[derive(Clone, Debug)]
pub enum Progress {
    /// A step of the start.
    Step(&'static str),
    /// The window is open.
    Open,
    /// It is open over so many processes and threads.
    Attached {
        /// Processes.
        processes: usize,
        /// Threads.
        threads: usize,
    },
    /// The records were read.
    Read {
        /// Threads in the snapshot, ended ones that are listed included.
        threads: usize,
        /// How long it took; at the end of the window with what `/proc` says of them.
        took: Duration,
    },
    /// A first verdict can be given on what was seen so far.
    Interim(Box<Snapshot>),
    /// An interval has passed, and this was seen since the window's start.
    Interval(Box<Snapshot>),
}

/// Measures. `stop` answers whether an interrupt came; `progress` is told how it goes.
///
/// # Errors
/// [`Failure`] with the exit code of the contract.
pub fn measure(
    options: &Options,
    stop: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Snapshot, Failure> {
    session::Session::open(options, progress)?.run(stop, progress)
}
