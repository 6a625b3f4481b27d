//! Strings of the target are hostile: a process names itself. One sanitiser type per sink.
//!
//! All of them begin alike: what is no character to look at (see [`is_hostile`]) is written as `\xNN` or
//! `\u{N}`. What is left is then made inert for the sink. JSON has its own in [`super::json`], where an escape
//! can be lossless.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Shows a string on a terminal: what could move the cursor, change its state or reorder the line is written
/// as `\xNN` or `\u{N}`, a backslash as it is.
#[derive(Clone, Copy, Debug)]
pub struct Terminal<'a>(pub &'a str);

impl fmt::Display for Terminal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| if is_hostile(c) { visible(c, f) } else { f.write_char(c) })
    }
}

/// Text in Markdown, also within a cell of a table: no markup, no link, no image, no HTML comes of it.
#[derive(Clone, Copy, Debug)]
pub struct Markdown<'a>(pub &'a str);

impl fmt::Display for Markdown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = Terminal(self.0).to_string();
        let (mut before, mut in_number): (Option<char>, bool) = (None, true);
        let mut ws = 0;
        let mut rest = shown.chars().peekable();
        while let Some(c) = rest.next() {
            let active = match c {
                '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '&' | '!' | '@' | '$' => true,
                // A list or an underlined heading, at the beginning only; `1.` and `1)` as well.
                '+' | '-' | '=' => before.is_none(),
                '.' | ')' if in_number && before.is_some() => rest.peek().is_none_or(|c| *c == ' '),
                // `www.`, `http://`, `mailto:` become links by themselves.
                '.' => ws >= 3,
                // Within a word it stands for itself.
                '_' => [before, rest.peek().copied()].iter().any(|c| !c.is_some_and(char::is_alphanumeric)),
                ':' => before.is_some_and(char::is_alphabetic) && rest.peek().is_some_and(|c| *c != ' '),
                _ => false,
            };
            if active {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
            in_number &= c.is_ascii_digit();
            ws = if c.eq_ignore_ascii_case(&'w') { ws + 1 } else { 0 };
            before = Some(c);
        }
        Ok(())
    }
}

/// Text of HTML, and the value of a quoted attribute.
#[derive(Clone, Copy, Debug)]
pub struct Html<'a>(pub &'a str);

impl fmt::Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c if is_hostile(c) => visible(c, f),
            c => f.write_char(c),
        })
    }
}

impl maud::Render for Html<'_> {
    fn render_to(&self, buffer: &mut String) {
        // Writing into a string cannot fail.
        let _ = write!(buffer, "{self}");
    }
}

/// JSON text within a `<script>`: neither its end nor a comment can be written, and the JSON is the same.
/// Outside of strings JSON has none of these characters.
#[derive(Clone, Copy, Debug)]
pub struct ScriptJson<'a>(pub &'a str);

impl fmt::Display for ScriptJson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => write!(f, "\\u{:04x}", u32::from(c)),
            c => f.write_char(c),
        })
    }
}

/// A cell of CSV (RFC 4180), that no spreadsheet takes for a formula: such a one has a `'` before it.
#[derive(Clone, Copy, Debug)]
pub struct Csv<'a>(pub &'a str);

impl fmt::Display for Csv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = Terminal(self.0).to_string();
        let formula = |c| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠');
        // A spreadsheet may leave out blanks; what stood for a tab or a return is no formula any more.
        let guard = if shown.trim_start().starts_with(formula) { "'" } else { "" };
        if shown.contains([',', '"', ';', '\'']) || shown.trim() != shown {
            write!(f, "\"{guard}{}\"", shown.replace('"', "\"\""))
        } else {
            write!(f, "{guard}{shown}")
        }
    }
}

/// The value of a Prometheus label, without its quotes.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a>(pub &'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = Terminal(self.0).to_string();
        f.write_str(&shown.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// A frame of a folded stack: `;` ends a frame and a blank the stack, so they become `:` and `_`.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a>(pub &'a str);

impl fmt::Display for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = match self.0 {
            "" => Cow::Borrowed("?"),
            text => Cow::Owned(Terminal(text).to_string()),
        };
        shown.chars().try_for_each(|c| match c {
            ';' => f.write_char(':'),
            c if c.is_whitespace() => f.write_char('_'),
            c => f.write_char(c),
        })
    }
}

fn visible(c: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match u32::from(c) {
        n @ 0..0x80 => write!(f, "\\x{n:02x}"),
        n => write!(f, "\\u{{{n:x}}}"),
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

    #[test]
    fn nothing_in_markdown_is_markup() {
        let cases = [
            ("a_b_ _c*c*`d`", r"a_b\_ \_c\*c\*\`d\`"),
            ("[x](http://y)", r"\[x\](http\://y)"),
            ("www.evil.example", r"www\.evil.example"),
            ("mailto:me@x", r"mailto\:me\@x"),
            ("<img src=x>|", r"\<img src=x\>\|"),
            ("1. one", r"1\. one"),
            ("the window.", "the window."),
            ("- item", r"\- item"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("95 % (measured 0.99)", "95 % (measured 0.99)"),
            ("a\n# b", r"a\\x0a\# b"),
        ];
        for (text, safe) in cases {
            assert_eq!(Markdown(text).to_string(), safe);
        }
    }

    #[test]
    fn html_is_text_in_elements_and_attributes() {
        let text = Html("<script>alert('x')</script>\"&\u{202e}\n").to_string();
        assert_eq!(text, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\\u{202e}\\x0a");
    }

    #[test]
    fn json_in_a_script_cannot_end_it_and_is_the_same_json() {
        let json = serde_json::json!({"</script><!--": "a&b\u{2028}"});
        let text = ScriptJson(&json.to_string()).to_string();
        assert!(!text.contains(['<', '>', '&', '\u{2028}']), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), json);
    }

    #[test]
    fn no_cell_is_a_formula_or_more_than_one_cell() {
        let cases = [
            ("=cmd()", "'=cmd()"),
            (" +1", "\"' +1\""),
            ("-2,3", "\"'-2,3\""),
            ("@x", "'@x"),
            ("\t=1", "\\x09=1"),
            ("a\"b", "\"a\"\"b\""),
            ("a\r\nb", "a\\x0d\\x0ab"),
            ("plain", "plain"),
        ];
        for (text, safe) in cases {
            assert_eq!(Csv(text).to_string(), safe);
        }
    }

    #[test]
    fn a_label_stays_within_its_quotes_and_a_frame_within_its_stack() {
        assert_eq!(Label("a\"} 1\n\\").to_string(), r#"a\"} 1\\x0a\\"#);
        assert_eq!(Frame("a;b c\n1").to_string(), r"a:b_c\x0a1");
        assert_eq!(Frame("").to_string(), "?");
    }
}
