//! What each command does.

mod about;
mod again;
mod check;
mod command;
mod diff;
mod doctor;
mod explain;
pub mod line;
mod list;
pub mod output;
mod publish;
mod redact;
mod signal;
mod status;
mod stream;
pub mod tier;
mod topics;
mod write;

use std::path::Path;
use std::process::ExitCode;

pub use explain::explain;

use crate::cli::{AttachArgs, Cli, Command, DemoArgs};
use crate::collect::{Options, Point, Progress, Tier};
use crate::failure::Failure;
use crate::kernel::drop::Ahead;
use crate::kernel::rights::{self, System};
use crate::target::Spec;
use crate::target::identity;
use crate::{collect, plan};
use output::Outputs;
use publish::{print, publish};
use status::Status;
use stream::Stream;

/// Does what the command line says. No thread may have been started before: a fixture wants to be alone.
///
/// # Errors
/// What the user is to be told, with the exit code of the contract.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Attach(args) => attach(args, cli.verbose)?,
        Command::Run(args) => command::run(args, cli.verbose)?,
        Command::Report(args) => again::run(args)?,
        Command::Diff(args) => diff::run(&args)?,
        // As with doctor: the answers are its result.
        Command::Check(args) => return check::run(&args),
        Command::Explain(args) => topics::run(&args)?,
        Command::Redact(args) => redact::run(&args)?,
        Command::Demo(args) => demo(&args)?,
        Command::List(args) => list::run(&args)?,
        // What it has to say is its result, not an error, whatever the exit code.
        Command::Doctor(args) => return doctor::run(&args, cli.verbose),
        Command::Schema(_) => about::schema()?,
        Command::Completions(args) => about::completions(args)?,
        Command::Man(args) => about::man(&args)?,
        Command::Fixture(args) => {
            fixtures::cli::run(args)
                .map_err(|e| Failure::internal("the fixture failed", format!("{e:#}")))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that can be refused is refused before the first probe is loaded, usage before rights.
fn attach(args: AttachArgs, verbose: u8) -> Result<(), Failure> {
    let (target, mut plan) = plan::attach(args, verbose)?;
    choose(&target, &mut plan.options)?;
    signal::install()?;
    let mut outputs = Outputs::create(&plan.writing.outputs)?;
    plan.options.ahead = Some(Ahead { files: !plan.writing.outputs.is_empty(), command: false });
    let mut stream = Stream::of(&plan);
    let lowered = tier::settle(&mut plan.options)?;
    let windows = {
        // Its line is cleared before a report or an error takes its place.
        let mut status = Status::new(&plan);
        lowered.into_iter().for_each(|note| status.tell(note));
        collect::measure(&plan.options, &signal::came, &mut |progress| match progress {
            Progress::Interval(snapshot) => stream.tell(&snapshot, &mut outputs, print),
            // The stream says it.
            Progress::Interim(_) if stream.on => {}
            progress => status.tell(progress),
        })?
    };
    publish(&tier::choose(windows), &plan.writing, outputs, stream, print)
}

/// Fills in who is to be traced.
fn choose(target: &Spec, options: &mut Options) -> Result<(), Failure> {
    let chosen = identity::choose(Path::new("/proc"), target, std::process::id());
    // Who reads an id outside of a container and gives it to a trace inside had better be told that than that there is no
    // such process; samples go by the ids that are seen here.
    if chosen.is_err() && options.tier != Tier::Proc && !options.auto {
        rights::check_ids(&System::here(&options.btf))?;
    }
    options.chosen = chosen?;
    options.pids = options.chosen.iter().map(|chosen| chosen.pid).collect();
    options.faults.pass(Point::Chosen);
    Ok(())
}

fn demo(args: &DemoArgs) -> Result<(), Failure> {
    signal::install()?;
    rights::check(&System::here(&args.types.btf))?;
    crate::demo::run(args, &signal::came)
}
