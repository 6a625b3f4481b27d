//! What each command does.

mod doctor;
mod explain;
pub mod line;
mod list;
pub mod output;
mod signal;
mod status;

use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;

pub use explain::explain;

use crate::cli::{AttachArgs, Cli, Command, DemoArgs};
use crate::failure::{Code, Failure};
use crate::kernel::rights::{self, System};
use crate::plan::{self, Plan};
use crate::report::schema::Report;
use crate::report::{self, Format, build};
use crate::{collect, model, target};
use output::Outputs;
use status::Status;

/// Does what the command line says. No thread may have been started before: a fixture wants to be alone.
///
/// # Errors
/// What the user is to be told, with the exit code of the contract.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Attach(args) => attach(args, cli.verbose)?,
        Command::Demo(args) => demo(&args)?,
        Command::List(args) => list::run(&args)?,
        // What it has to say is its result, not an error, whatever the exit code.
        Command::Doctor(args) => return doctor::run(&args, cli.verbose),
        Command::Fixture(args) => {
            fixtures::cli::run(args)
                .map_err(|e| Failure::internal("the fixture failed", format!("{e:#}")))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that can be refused is refused before the first probe is loaded, usage before rights.
fn attach(args: AttachArgs, verbose: u8) -> Result<(), Failure> {
    let mut plan = plan::resolve(args, verbose)?;
    plan.options.pids = target::resolve(Path::new("/proc"), &plan.target, std::process::id())?;
    signal::install()?;
    let outputs = Outputs::create(&plan.outputs)?;
    rights::check(&System::here(&plan.options.btf))?;
    let snapshot = {
        // Its line is cleared before a report or an error takes its place.
        let mut status = Status::new(&plan);
        collect::measure(&plan.options, &signal::came, &mut |progress| status.tell(progress))?
    };
    let report = build::build(&snapshot, &model::classify(&snapshot));
    write(&plan, &report, outputs)?;
    if plan.strict { complete(&report) } else { Ok(()) }
}

fn demo(args: &DemoArgs) -> Result<(), Failure> {
    signal::install()?;
    rights::check(&System::here(&args.btf))?;
    crate::demo::run(args, &signal::came)
}

/// Files first: a stdout that nobody reads must not keep them from being written.
fn write(plan: &Plan, report: &Report, outputs: Outputs) -> Result<(), Failure> {
    let render = |format: Format| {
        report::render(report, format, plan.layout)
            .map_err(|e| Failure::internal("the report cannot be laid out", e))
    };
    let files = outputs.write(&render);
    print(&render(plan.format)?)?;
    files
}

/// A reader that has had enough (`| head`) is no error.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::internal("the answer cannot be written to stdout", e))
        }
        _ => Ok(()),
    }
}

fn complete(report: &Report) -> Result<(), Failure> {
    let mut gaps = report::real_losses(report);
    if !report.calibration.exact {
        gaps.push(format!("canary {} of {}", report.calibration.measured, report.calibration.done));
    }
    if gaps.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Code::Incomplete, "the measurement is incomplete (--strict)", gaps.join(", "))
        .fix("a shorter window, or a target with fewer threads and connections"))
}
