//! `trace diff`: two saved reports compared.

use super::print;
use crate::cli::DiffArgs;
use crate::diff::{compare, page};
use crate::failure::{Code, Failure};
use crate::report::{Format, json};
use crate::saved;

/// Compares on stdout.
///
/// # Errors
/// For files that are no reports or cannot be compared, and if stdout cannot be written.
pub fn run(args: &DiffArgs) -> Result<(), Failure> {
    let (before, after) = (saved::report(&args.before)?, saved::report(&args.after)?);
    let diff = compare(&before, &after).map_err(|why| {
        Failure::new(Code::Usage, "cannot compare the two", why).fix("measure both with the same --tier")
    })?;
    print(&match args.format.resolve() {
        Format::Json => {
            json::render(&diff).map_err(|e| Failure::internal("the comparison cannot be laid out", e))?
        }
        _ => page::render(&diff),
    })
}
