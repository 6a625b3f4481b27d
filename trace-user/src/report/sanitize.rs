//! Strings of the target are hostile: a process names itself. One sanitiser per sink; this is the terminal's
//! (JSON has its own in [`super::json`], where an escape can be lossless).

use std::fmt::{self, Write as _};

/// Shows a string on a terminal: what could move the cursor, change its state or reorder the line is written
/// as `\xNN` or `\u{N}`, a backslash as it is.
#[derive(Clone, Copy, Debug)]
pub struct Terminal<'a>(pub &'a str);

impl fmt::Display for Terminal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                c if is_hostile(c) && u32::from(c) < 0x80 => write!(f, "\\x{:02x}", u32::from(c))?,
                c if is_hostile(c) => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Whether a terminal may obey `c` instead of showing it: controls, invisible and reordering format
/// characters, line separators, and the replacement for what was no valid UTF-8.
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_comes_through() {
        let hostile = "a\x1b[2J\u{202e}b\u{9b}c\r\n\t\u{7f}é";
        assert_eq!(Terminal(hostile).to_string(), "a\\x1b[2J\\u{202e}b\\u{9b}c\\x0d\\x0a\\x09\\x7fé");
    }

    #[test]
    fn invalid_bytes_show_as_such() {
        let name = String::from_utf8_lossy(b"x\xff");
        assert_eq!(Terminal(&name).to_string(), "x\\u{fffd}");
    }
}
