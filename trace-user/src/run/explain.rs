//! A failure in words: what, why, and the command that fixes it.

use crate::failure::Failure;
use crate::report::sanitize::Terminal;

/// From this verbosity on the raw detail is shown.
const DETAIL: u8 = 2;

/// The text of `failure` for stderr; its strings may come from the target.
pub fn explain(failure: &Failure, verbose: u8) -> String {
    let mut text = format!("trace: error: {}\n", lines(&failure.what));
    text += &format!("  why: {}\n", lines(&failure.why));
    if let Some(fix) = &failure.fix {
        text += &format!("  try: {}\n", lines(fix));
    }
    match &failure.detail {
        Some(detail) if verbose >= DETAIL => text += &format!("  detail:\n    {}\n", lines(detail)),
        Some(_) => text += "  more: with -vv\n",
        None => {}
    }
    text
}

/// Sanitised line by line; further lines are indented.
fn lines(text: &str) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(|line| Terminal(line).to_string()).collect();
    lines.join("\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Code;

    #[test]
    fn raw_detail_needs_two_vs_and_controls_never_come_through() {
        let failure = Failure::new(Code::Kernel, "a\x1b[2J", "b\nc").fix("d").detail("log line");
        let short = explain(&failure, 1);
        assert_eq!(short, "trace: error: a\\x1b[2J\n  why: b\n    c\n  try: d\n  more: with -vv\n");
        assert!(explain(&failure, 2).contains("log line"));
    }
}
