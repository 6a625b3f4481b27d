//! The binary `trace`: parses the command line, does what it says, and turns a failure into words and an exit
//! code.

use std::io::Write as _;
use std::process::ExitCode;

use trace_user::cli::Cli;
use trace_user::run;

fn main() -> ExitCode {
    let cli = Cli::read(std::env::args_os());
    let verbose = cli.verbose;
    match run::run(cli) {
        Ok(code) => code,
        Err(failure) => {
            // Nobody may be reading stderr; the exit code tells all the same.
            let _ = std::io::stderr().write_all(run::explain(&failure, verbose).as_bytes());
            ExitCode::from(failure.code as u8)
        }
    }
}
