//! `trace doctor`: whether and what can be measured here.

use std::process::ExitCode;

use crate::cli::DoctorArgs;
use crate::doctor;
use crate::failure::Failure;
use crate::kernel::rights::System;
use crate::report::{self, Format, json};

/// From this verbosity on the raw answer of the kernel is shown.
const DETAIL: u8 = 2;

/// Looks, says what was found, and exits as `trace attach` would.
///
/// # Errors
/// If stdout cannot be written.
pub fn run(args: &DoctorArgs, verbose: u8) -> Result<ExitCode, Failure> {
    let diagnosis = doctor::examine(&System::here(&args.types.btf));
    let text = match args.format.resolve() {
        Format::Table => report::doctor::render(&diagnosis, verbose >= DETAIL),
        Format::Json => {
            json::render(&diagnosis).map_err(|e| Failure::internal("the diagnosis cannot be laid out", e))?
        }
    };
    super::print(&text)?;
    Ok(ExitCode::from(diagnosis.outlook.exit_code))
}
