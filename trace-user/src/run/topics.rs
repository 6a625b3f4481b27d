//! `trace explain`: a name in words.

use super::print;
use crate::cli::ExplainArgs;
use crate::failure::{Code, Failure};
use crate::saved;
use crate::topics::{self, page};

/// Explains on stdout; without a topic it lists all.
///
/// # Errors
/// For a name that stands for nothing, a file that is no report, and if stdout cannot be written.
pub fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let report = args.report.as_deref().map(saved::report).transpose()?;
    if args.topic.is_empty() {
        return print(&page::list());
    }
    let found = topics::find(&args.topic);
    if found.is_empty() {
        return Err(unknown(&args.topic));
    }
    print(&page::render(&found, report.as_ref()))
}

fn unknown(words: &[String]) -> Failure {
    let why = format!("nothing of that name: {:?}", words.join(" "));
    let failure = Failure::new(Code::Usage, "cannot explain it", why);
    match topics::nearest(words) {
        Some(near) => failure.fix(format!("trace explain {near}")),
        None => failure.fix("trace explain lists all names"),
    }
}
