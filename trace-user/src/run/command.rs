//! `trace run`: a command, traced from its first instruction on.

use std::cell::RefCell;

use super::line::Line;
use super::output::Outputs;
use super::publish::{print_aside, publish};
use super::signal;
use super::status::Status;
use super::stream::Stream;
use super::tier;
use crate::cli::RunArgs;
use crate::collect::{self, Progress};
use crate::command::Command;
use crate::command::user::User;
use crate::failure::{Code, Failure};
use crate::kernel::drop::Ahead;
use crate::kernel::proc::Proc;
use crate::plan::{self, Plan};
use crate::snapshot::Snapshot;
use crate::target::identity::Identity;

/// As for `trace attach`, everything that can be refused is refused first; then the command is held, so that a name that
/// stands for none is found before a probe is loaded.
///
/// # Errors
/// As for `trace attach`, and if the command cannot be executed.
pub fn run(args: RunArgs, verbose: u8) -> Result<(), Failure> {
    let RunArgs { measure: how, write, as_root, command: words } = args;
    let mut plan = plan::plan(how, write, verbose)?;
    let may_change = rustix::process::geteuid().is_root() && !as_root;
    let user = if may_change { User::of_sudo(|name| std::env::var_os(name))? } else { None };
    signal::install()?;
    let mut outputs = Outputs::create(&plan.writing.outputs)?;
    if let Some(note) = tier::settle(&mut plan.options)? {
        Status::new(&plan).tell(note);
    }
    let mut command = Command::hold(&words, user)?;
    signal::command(Some(command.pid()));
    (plan.options.pids, plan.options.held) = (vec![command.pid()], true);
    plan.options.chosen = vec![Identity::hold(&Proc::system(), command.pid())];
    let aside = plan.writing.outputs.is_empty();
    plan.options.ahead = Some(Ahead { files: !aside, command: true });
    let print = |text: &str| if aside { print_aside(text) } else { Ok(()) };
    let mut stream = Stream::of(&plan);
    let mut tell_so_far = |snapshot: &Snapshot| stream.tell(snapshot, &mut outputs, print);
    let snapshot = measure(&plan, &mut command, &mut tell_so_far)?;
    let name = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let tell = |command: &Command| Line::new(true).print(&format!("{name} {}", command.outcome()));
    let runs_on = command.ended().is_none();
    if !plan.writing.quiet {
        tell(&command);
    }
    let published = publish(&snapshot, &plan.writing, outputs, stream, print);
    if runs_on {
        command.wait();
        if !plan.writing.quiet {
            tell(&command);
        }
    }
    published
}

/// The window lasts as long as the command and its descendants do.
fn measure(
    plan: &Plan,
    command: &mut Command,
    tell_so_far: &mut dyn FnMut(&Snapshot),
) -> Result<Snapshot, Failure> {
    let command = RefCell::new(command);
    let mut lost = None;
    let stop = || {
        let ended = command.borrow_mut().ended().is_some();
        if ended {
            signal::command(None);
        }
        ended && signal::came()
    };
    let mut status = Status::new(plan);
    let windows = collect::measure(&plan.options, &stop, &mut |progress| match progress {
        Progress::Open => lost = command.borrow_mut().release().err(),
        // It would stand in the midst of what the command prints.
        Progress::Interim(_) => {}
        Progress::Interval(snapshot) => tell_so_far(&snapshot),
        note @ Progress::Note(_) => status.tell(note),
        progress if plan.verbose > 0 => status.tell(progress),
        Progress::Step(_) | Progress::Attached { .. } | Progress::Read { .. } => {}
    })?;
    match lost {
        Some(e) => {
            Err(Failure::new(Code::NoTarget, "the command ended before it could begin", e.to_string()))
        }
        None => Ok(tier::choose(windows)),
    }
}
