//! docs/RELIABILITY.md: its prose is written by hand, and the figures between two marks by the task that measured them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// The page.
const PAGE: &str = "docs/RELIABILITY.md";

/// Puts `figures`, and when and where they were measured, into the section of that name.
///
/// # Errors
/// When the page has no such section, or cannot be written.
pub fn write(root: &Path, section: &str, figures: &str) -> Result<()> {
    let path = root.join(PAGE);
    let page = workspace::read_text(&path)?;
    let figures = format!("{figures}\n{}\n", circumstances(root)?);
    let page =
        replace(&page, section, &figures).with_context(|| format!("{PAGE} has no section {section}"))?;
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
    let commit = told("git", &["describe", "--always", "--dirty"]).unwrap_or_else(|_| "no commit".to_owned());
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    Ok(format!("Measured on {day}, kernel {kernel}, {cpus} CPUs, sources {commit}."))
}

/// The page with `figures` between the marks of a section.
fn replace(page: &str, section: &str, figures: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {section}: figures -->\n"), format!("<!-- {section}: end -->\n"));
    let from = page.find(&begin)? + begin.len();
    let to = from + page[from..].find(&end)?;
    Some(format!("{}\n{figures}\n{}", &page[..from], &page[to..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = "a\n<!-- x: figures -->\nold\n<!-- x: end -->\nb\n";
        let new = replace(page, "x", "new\n").expect("a section");
        assert_eq!(new, "a\n<!-- x: figures -->\n\nnew\n\n<!-- x: end -->\nb\n");
        assert_eq!(replace(&new, "x", "new\n").as_deref(), Some(&*new));
        assert_eq!(replace(page, "y", "new"), None);
    }
}
