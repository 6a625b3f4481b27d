//! `trace list`: what can be attached to.

use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::cli::ListArgs;
use crate::failure::Failure;
use crate::report::schema::VERSION;
use crate::report::{self, Format, json};
use crate::target::list::{self, Listing};

/// The listing as JSON shows it.
#[derive(Serialize)]
struct Document<'a> {
    schema_version: &'static str,
    #[serde(flatten)]
    listing: &'a Listing,
}

/// Lists on stdout; a command for the first server goes to stderr.
///
/// # Errors
/// If stdout cannot be written.
pub fn run(args: &ListArgs) -> Result<(), Failure> {
    let listing = list::list(Path::new("/proc"), std::process::id());
    let format = args.format.resolve();
    let text = match format {
        Format::Table => report::list::render(&listing),
        Format::Json => json::render(&Document { schema_version: VERSION, listing: &listing })
            .map_err(|e| Failure::internal("the list cannot be laid out", e))?,
    };
    super::print(&text)?;
    if let (Format::Table, Some(hint)) = (format, report::list::hint(&listing)) {
        // Nobody may be reading stderr.
        let _ = writeln!(std::io::stderr(), "trace: attach with: {hint}");
    }
    Ok(())
}
