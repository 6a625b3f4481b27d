//! Lines of at most 80 columns, whatever the target calls itself.

use tabled::grid::util::string::{get_char_width, get_line_width};

use super::sanitize::Terminal;

/// Columns of a default terminal.
pub const COLUMNS: usize = 80;

/// A page of text that is written top down; all strings go through the terminal's sanitiser.
#[derive(Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// A paragraph, its first line indented as `text` is, its further lines by `hang`.
    pub fn paragraph(&mut self, hang: usize, text: &str) {
        let words = text.trim_start_matches(' ');
        // A name may begin with any number of blanks.
        let lead = (text.len() - words.len()).min(COLUMNS / 2);
        for (i, line) in wrap(words, COLUMNS - hang.max(lead)).iter().enumerate() {
            let indent = " ".repeat(if i == 0 { lead } else { hang });
            self.text.push_str(&format!("{indent}{line}\n"));
        }
    }

    /// A paragraph below the current heading, with a mark before it.
    pub fn item(&mut self, mark: &str, text: &str) {
        let hang = 2 + get_line_width(mark) + 1;
        for (i, line) in wrap(text, COLUMNS - hang).iter().enumerate() {
            let lead = if i == 0 { format!("  {mark} ") } else { " ".repeat(hang) };
            self.text.push_str(&format!("{lead}{line}\n"));
        }
    }

    /// An empty line, then a heading.
    pub fn heading(&mut self, text: &str) {
        self.text.push('\n');
        self.paragraph(2, text);
    }

    /// What was laid out already, line by line, without blanks at the ends.
    pub fn table(&mut self, table: &str) {
        for line in table.lines() {
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }
}

/// `text`, sanitised, in lines of at most `width` columns; words that are longer are broken. At least one
/// line.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let word = Terminal(word).to_string();
        let columns = get_line_width(&word);
        let gap = usize::from(used > 0);
        if used + gap + columns <= width {
            push(&mut lines, if gap == 1 { " " } else { "" });
            push(&mut lines, &word);
            used += gap + columns;
            continue;
        }
        if used > 0 {
            lines.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            let columns = get_char_width(c);
            if used + columns > width {
                lines.push(String::new());
                used = 0;
            }
            push(&mut lines, c.encode_utf8(&mut [0; 4]));
            used += columns;
        }
    }
    lines
}

/// `text`, sanitised and cut to `width` columns, with `…` where something is missing.
pub fn cut(text: &str, width: usize) -> String {
    let whole = Terminal(text).to_string();
    if get_line_width(&whole) <= width {
        return whole;
    }
    let mut short = String::new();
    let mut used = 1;
    for c in whole.chars() {
        used += get_char_width(c);
        if used > width {
            break;
        }
        short.push(c);
    }
    short + "…"
}

fn push(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_the_page() {
        let mut page = Page::default();
        let hostile = "\x1b[31m漢字漢字".repeat(30);
        page.paragraph(4, &hostile);
        page.item("✓", &format!("{hostile} and some {} words", "more ".repeat(40)));
        for line in page.finish().lines() {
            assert!(get_line_width(line) <= COLUMNS, "{line}");
        }
    }

    #[test]
    fn words_stay_whole_where_they_fit() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(cut("connection-worker", 10), "connectio…");
    }
}
