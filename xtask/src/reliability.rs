//! docs/RELIABILITY.md: its prose is written by hand, and the figures between two marks by the task that measured them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// The page.
const PAGE: &str = "docs/RELIABILITY.md";
/// Head of a table whose rows are measured one by one.
const HEAD: &str = "| what | seen | measured |\n|---|---|---|\n";

/// A row of such a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What was done: no two rows of a table have the same.
    pub what: String,
    /// The other cells.
    pub rest: String,
}

impl Row {
    /// `| what | rest |`; none for any other line, and for the head of a table.
    pub fn parse(line: &str) -> Option<Row> {
        let cells = line.trim().strip_prefix("| ")?.strip_suffix(" |")?;
        let (what, rest) = cells.split_once(" | ")?;
        (what != "what").then(|| Row { what: what.to_owned(), rest: rest.to_owned() })
    }
}

/// Puts `figures`, and when and where they were measured, into the section of that name.
///
/// # Errors
/// When the page has no such section, or cannot be written.
pub fn write(root: &Path, section: &str, figures: &str) -> Result<()> {
    let figures = format!("{figures}\nMeasured on {}.\n", circumstances(root)?);
    change(root, section, |_| figures)
}

/// Puts `rows`, each with when and where it was measured, into the table of the section of that name: in place of the rows
/// of the same name, or behind the others, which stay as they are.
///
/// # Errors
/// As [`write`].
pub fn write_rows(root: &Path, section: &str, rows: &[Row]) -> Result<()> {
    let measured = circumstances(root)?;
    change(root, section, |old| merged(old, rows, &measured))
}

/// Replaces what stands in a section by what `new` makes of it.
fn change(root: &Path, section: &str, new: impl FnOnce(&str) -> String) -> Result<()> {
    let path = root.join(PAGE);
    let page = workspace::read_text(&path)?;
    let page = replace(&page, section, new).with_context(|| format!("{PAGE} has no section {section}"))?;
    fs::write(&path, page).with_context(|| format!("cannot write {PAGE}"))?;
    println!("{section}: written to {PAGE}");
    Ok(())
}

/// When, on what, and of which sources.
fn circumstances(root: &Path) -> Result<String> {
    let told = |program: &str, args: &[&str]| -> Result<String> {
        let mut command = std::process::Command::new(program);
        Ok(process::capture(command.current_dir(root).args(args))?.trim().to_owned())
    };
    let (day, kernel) = (told("date", &["-u", "+%F"])?, told("uname", &["-r"])?);
    // The page itself does not count: a row that was just written must not make the next one's sources look changed.
    let commit = told("git", &["rev-parse", "--short", "HEAD"]).unwrap_or_else(|_| "no commit".to_owned());
    let changed = told("git", &["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"]);
    let dirty = if changed.is_ok_and(|files| files.is_empty()) { "" } else { " with changes" };
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    Ok(format!("{day}, kernel {kernel}, {cpus} CPUs, sources {commit}{dirty}"))
}

/// The table of a section with these rows measured anew.
fn merged(old: &str, rows: &[Row], measured: &str) -> String {
    let mut table: Vec<Row> = old.lines().filter_map(Row::parse).collect();
    for Row { what, rest } in rows {
        let row = Row { what: what.clone(), rest: format!("{rest} | {measured}") };
        match table.iter_mut().find(|old| old.what == *what) {
            Some(old) => *old = row,
            None => table.push(row),
        }
    }
    let lines = table.iter().map(|Row { what, rest }| format!("| {what} | {rest} |\n"));
    HEAD.to_owned() + &lines.collect::<String>()
}

/// The page with what `new` makes of a section between its marks.
fn replace(page: &str, section: &str, new: impl FnOnce(&str) -> String) -> Option<String> {
    let (begin, end) = (format!("<!-- {section}: figures -->\n"), format!("<!-- {section}: end -->\n"));
    let from = page.find(&begin)? + begin.len();
    let to = from + page[from..].find(&end)?;
    Some(format!("{}\n{}\n{}", &page[..from], new(&page[from..to]), &page[to..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = "a\n<!-- x: figures -->\nold\n<!-- x: end -->\nb\n";
        let new = replace(page, "x", |_| "new\n".to_owned()).expect("a section");
        assert_eq!(new, "a\n<!-- x: figures -->\n\nnew\n\n<!-- x: end -->\nb\n");
        assert_eq!(replace(&new, "x", |_| "new\n".to_owned()).as_deref(), Some(&*new));
        assert_eq!(replace(page, "y", |_| "new".to_owned()), None);
    }

    #[test]
    fn a_row_takes_the_place_of_its_namesake_and_the_others_stay() {
        let row = |what: &str, rest: &str| Row { what: what.to_owned(), rest: rest.to_owned() };
        let first = merged("No long run is on record yet.\n", &[row("a", "1"), row("b", "2")], "then");
        assert_eq!(first, format!("{HEAD}| a | 1 | then |\n| b | 2 | then |\n"));
        let second = merged(&first, &[row("c", "3"), row("a", "4")], "now");
        assert_eq!(second, format!("{HEAD}| a | 4 | now |\n| b | 2 | then |\n| c | 3 | now |\n"));
    }
}
