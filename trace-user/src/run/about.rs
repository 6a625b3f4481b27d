//! What the program says of itself: `trace schema`, `completions`, `man`.

use clap::{Command, CommandFactory as _};

use super::print;
use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::failure::{Code, Failure};
use crate::json_schema;
use crate::names::nearest;
use crate::report::json;

/// Prints the schema of the report.
///
/// # Errors
/// If stdout cannot be written.
pub fn schema() -> Result<(), Failure> {
    let text = json::render(&json_schema::document())
        .map_err(|e| Failure::internal("the schema cannot be laid out", e))?;
    print(&text)
}

/// Prints a completion script.
///
/// # Errors
/// If stdout cannot be written.
pub fn completions(args: CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "trace", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Prints a manual page.
///
/// # Errors
/// For a command that there is not, or if stdout cannot be written.
pub fn man(args: &ManArgs) -> Result<(), Failure> {
    let mut program = Cli::command();
    program.build();
    let command = match &args.command {
        None => program,
        Some(name) => find(&program, name)?,
    };
    let name = command.get_bin_name().unwrap_or("trace").replace(' ', "-");
    let mut page = Vec::new();
    clap_mangen::Man::new(command.disable_help_subcommand(true))
        .title(name.to_uppercase())
        .render(&mut page)
        .map_err(|e| Failure::internal("the page cannot be laid out", e))?;
    print(&String::from_utf8_lossy(&page))
}

fn find(program: &Command, name: &str) -> Result<Command, Failure> {
    let commands = || program.get_subcommands().filter(|c| !c.is_hide_set());
    if let Some(command) = commands().find(|c| c.get_name() == name) {
        return Ok(command.clone());
    }
    let failure =
        Failure::new(Code::Usage, "there is no such page", format!("trace has no command {name:?}"));
    Err(match nearest(name, commands().map(Command::get_name)) {
        Some(near) => failure.fix(format!("trace man {near}")),
        None => failure.fix("trace --help lists the commands"),
    })
}
