//! Loading the probes, attaching to a target, and reading what they measured.

mod canary;
mod census;
mod clock;
mod convert;
mod cost;
mod each;
mod held;
mod kmaps;
mod load;
mod loss;
pub mod object;
mod overhead;
mod own;
mod pace;
mod permitted;
mod program;
mod registers;
mod sampled;
mod session;
mod silent;
mod slots;
mod tier;
mod timeline;
pub mod trial;

use std::path::PathBuf;
use std::time::Duration;

use crate::failure::{Code, Failure};
use crate::kernel::drop::Ahead;
use crate::snapshot::Snapshot;
use crate::target::identity::Identity;

pub use program::Way;
pub use tier::Tier;

/// What to measure, fully resolved: no option of the command line is looked at beyond this.
#[derive(Clone, Debug)]
pub struct Options {
    /// Processes (host ids) to attach to, with their threads.
    pub pids: Vec<u32>,
    /// Who had these ids when they were chosen.
    pub chosen: Vec<Identity>,
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
    /// Keep up to this many spans of a timeline.
    pub timeline: Option<u32>,
    /// Resolve receives by descriptor although the kernel has `sock_recv_length`.
    pub by_descriptor: bool,
    /// What to hook into.
    pub tier: Tier,
    /// Take a lower tier where this one cannot be had.
    pub auto: bool,
    /// What tracing may cost, of one CPU; more of it, and a lower tier follows. Only with `auto`.
    pub max_overhead: Option<f64>,
    /// What kept a better tier from it, where `tier` is not the best.
    pub lowered: Option<String>,
    /// Where types of the kernel are.
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
    /// Where to stop, so that somebody may change what was seen until then.
    pub stop_at: Option<Point>,
}

/// A point in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Point {
    /// The target is chosen, and none of its threads is known yet.
    Chosen,
    /// The processes of the target are listed, and none of their threads is known yet.
    Listed,
}

impl Faults {
    /// Stops this process, as SIGSTOP does, if that was asked for at this point.
    pub fn pass(&self, point: Point) {
        if self.stop_at == Some(point) {
            // SAFETY: no preconditions.
            unsafe { libc::raise(libc::SIGSTOP) };
        }
    }
}

/// What a running measurement tells.
#[derive(Clone, Debug)]
pub enum Progress {
    /// A step of the start.
    Step(&'static str),
    /// The window is open.
    Open,
    /// Something that the user should know, and the report says, too.
    Note(String),
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

/// Measures: one window, or several where it had to go down to a lower tier meanwhile. `stop` answers whether an interrupt came; `progress` is told how it goes.
///
/// # Errors
/// [`Failure`] with the exit code of the contract.
pub fn measure(
    options: &Options,
    stop: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Snapshot>, Failure> {
    if options.tier == Tier::Proc {
        let why = options.lowered.as_deref();
        return sampled::measure(options, why, stop, progress).map(|window| vec![window]);
    }
    if options.max_overhead.is_some() && !cost::is_available() {
        let why = "the kernel gives its statistics of programs to CAP_SYS_ADMIN only";
        return Err(Failure::new(Code::NotPermitted, "the cost cannot be watched (--max-overhead)", why)
            .fix("sudo; or leave --max-overhead out"));
    }
    let session = match session::Session::open(options, progress) {
        Err(failure) if options.may_be_lower(&failure) => {
            let why = lowered(&failure);
            progress(Progress::Note(format!("tier proc: {why}")));
            return sampled::measure(options, Some(&why), stop, progress).map(|window| vec![window]);
        }
        session => session?,
    };
    if options.max_overhead.is_some() {
        return overhead::bounded(session, options, stop, progress);
    }
    session.run(stop, progress).map(|window| vec![window])
}

impl Options {
    /// Whether a tier without probes may do where this kept them from being loaded; it records no timeline.
    pub fn may_be_lower(&self, failure: &Failure) -> bool {
        self.auto && self.timeline.is_none() && matches!(failure.code, Code::NotPermitted | Code::Kernel)
    }
}

/// Why a lower tier was taken.
pub fn lowered(failure: &Failure) -> String {
    format!("{}, since {}", failure.what, failure.why)
}

/// The command line of this process.
fn command_line() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
}
