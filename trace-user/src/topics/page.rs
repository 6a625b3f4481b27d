//! Explanations as pages of at most 80 columns.

use super::numbers;
use super::{Found, Kind, Part, Topic, all};
use crate::json_schema::Field;
use crate::report::schema::Report;
use crate::report::text::Page;

/// Fields of one name that are explained; there is hardly more to say of further ones.
const FIELDS: usize = 8;

/// What was found, with the figures of `report` if there is one.
pub fn render(found: &Found, report: Option<&Report>) -> String {
    let mut page = Page::default();
    for (i, topic) in found.topics.iter().enumerate() {
        if i > 0 {
            page.table("\n");
        }
        explain(&mut page, topic, report);
    }
    for (i, field) in found.fields.iter().take(FIELDS).enumerate() {
        if i > 0 {
            page.table("\n");
        }
        explain_field(&mut page, field, report);
    }
    if let Some(more) = found.fields.len().checked_sub(FIELDS).filter(|&n| n > 0) {
        page.heading(&format!("{more} more fields have this name; trace explain field PATH picks one"));
    }
    page.finish()
}

/// The names of all topics, by kind.
pub fn list() -> String {
    let mut page = Page::default();
    page.paragraph(2, "What can be explained: trace explain NAME, or trace explain KIND NAME.");
    for kind in Kind::ALL {
        if kind == Kind::Field {
            page.heading("Fields of the JSON report");
            page.paragraph(2, "  by their names, or their paths, as processes[].threads[].lived_ns: trace schema lists them");
            continue;
        }
        let names: Vec<&str> = all().filter(|topic| topic.kind == kind).map(|topic| topic.name).collect();
        let word = kind.word();
        page.heading(&format!("{}{}", word[..1].to_uppercase(), &word[1..]));
        page.paragraph(2, &format!("  {}", names.join(", ")));
    }
    page.finish()
}

fn explain(page: &mut Page, topic: &Topic, report: Option<&Report>) {
    page.paragraph(2, &format!("{}: {}", topic.kind.word(), topic.name));
    page.paragraph(2, &format!("  {}", topic.what));
    for (part, text) in topic.parts {
        page.heading(label(*part));
        page.paragraph(2, &format!("  {text}"));
    }
    figures(page, report, |report| numbers::on(topic, report));
}

fn explain_field(page: &mut Page, field: &Field, report: Option<&Report>) {
    page.paragraph(2, &format!("{}: {}", Kind::Field.word(), field.path));
    page.paragraph(2, &format!("  {}", field.text));
    if let Some(unit) = unit(&field.path) {
        page.paragraph(2, &format!("  {unit}"));
    }
    figures(page, report, |report| numbers::of_field(field, report));
}

fn figures(page: &mut Page, report: Option<&Report>, of: impl Fn(&Report) -> Vec<String>) {
    let Some(lines) = report.map(of).filter(|lines| !lines.is_empty()) else { return };
    page.heading("In this report");
    for line in lines {
        page.item("·", &line);
    }
}

/// The unit that the name of a field says.
fn unit(path: &str) -> Option<&'static str> {
    [("_ns", "In nanoseconds."), ("_share", "A ratio, 0 to 1."), ("bytes", "In bytes.")]
        .into_iter()
        .find_map(|(suffix, unit)| path.ends_with(suffix).then_some(unit))
}

const fn label(part: Part) -> &'static str {
    match part {
        Part::Looks => "How it looks",
        Part::Good => "When it is a good choice",
        Part::Costs => "What it costs",
        Part::Says => "What it says",
        Part::Measured => "How it is measured",
        Part::Act => "What to do",
    }
}

#[cfg(test)]
mod tests {
    use tabled::grid::util::string::get_line_width;

    use super::*;
    use crate::json_schema;
    use crate::report::{build, sample};

    #[test]
    fn no_line_is_wider_than_80_columns_and_no_string_of_the_target_is_obeyed() {
        let mut snapshot = sample::snapshot(2);
        snapshot.threads[0].comm = "\x1b[2J\u{202e}".repeat(9);
        let report = build::build(&snapshot, &sample::verdicts(&snapshot));
        let everything = Found { topics: all().collect(), fields: json_schema::fields().to_vec() };
        let pages = [render(&everything, Some(&report)), list()].concat();
        assert!(pages.contains("How it looks") && pages.contains("In this report"));
        assert!(pages.lines().all(|line| get_line_width(line) <= 80), "{pages}");
        assert!(!pages.chars().any(|c| c != '\n' && crate::report::sanitize::is_hostile(c)));
    }
}
