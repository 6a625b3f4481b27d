//! One line of stderr that is rewritten in place, where stderr is a terminal that can.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::os::fd::AsFd as _;

use super::signal;
use crate::report::sanitize::Terminal;
use crate::report::text::{COLUMNS, cut};

/// To the first column, and erase to the end of the line (ECMA-48, EL).
pub const ERASE: &str = "\r\x1b[K";

/// The line. Dropping it clears it. A stderr that nobody reads is no error. Nothing of it is coloured.
pub struct Line {
    live: bool,
    shown: bool,
}

impl Line {
    /// A line that nothing is in; `quiet`: nothing ever will be.
    pub fn new(quiet: bool) -> Line {
        let term = std::env::var("TERM").unwrap_or_default();
        let can = stderr().is_terminal() && !term.is_empty() && term != "dumb";
        Line { live: can && !quiet, shown: false }
    }

    /// Whether it can be rewritten.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Puts `text` there in place of what was; does nothing where that is not possible.
    pub fn rewrite(&mut self, text: &str) {
        if !self.live {
            return;
        }
        // A line that reaches the last column could wrap, and is then no longer one.
        let text = cut(&format!("trace: {text}"), columns().saturating_sub(1));
        self.shown = true;
        signal::erase_line(true);
        let mut stderr = stderr();
        let _ = stderr.write_all(format!("{ERASE}{text}").as_bytes()).and_then(|()| stderr.flush());
    }

    /// Clears it.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let mut stderr = stderr();
            let _ = stderr.write_all(ERASE.as_bytes()).and_then(|()| stderr.flush());
            signal::erase_line(false);
        }
    }

    /// Prints `text` on a line of its own, which stays.
    pub fn print(&mut self, text: &str) {
        self.clear();
        let _ = writeln!(stderr(), "trace: {}", Terminal(text));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Width of the terminal; one that does not know says 0.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(stderr().as_fd());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 0).unwrap_or(COLUMNS)
}
