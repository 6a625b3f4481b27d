//! A comparison as a page of at most 80 columns.

use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Modify, Padding, Style};

use super::words::{io, percent, server, with_confidence};
use super::{Diff, Measured, Model, Pair};
use crate::model::verdict::Finding;
use crate::report::text::{Page, cut};
use crate::report::unit;

/// Accounts whose share is below this before and after are left out.
const SHARE: f64 = 0.005;
/// Columns of a name.
const NAME: usize = 24;

/// The page.
pub fn render(diff: &Diff) -> String {
    let mut page = Page::default();
    page.paragraph(2, &diff.summary);
    page.table("\n");
    page.paragraph(10, &format!("  before: {}", measured(&diff.measured.before)));
    page.paragraph(10, &format!("  after:  {}", measured(&diff.measured.after)));
    warnings(&mut page, diff);
    model(&mut page, "I/O model", &diff.io_model, io);
    model(&mut page, "Server model", &diff.server_model, server);
    per_receive(&mut page, diff);
    accounts(&mut page, diff);
    distributions(&mut page, diff);
    losses(&mut page, diff);
    findings(&mut page, diff);
    page.finish()
}

fn measured(m: &Measured) -> String {
    format!(
        "{}, {}, {}, {} from {}, {}",
        m.comm.as_deref().unwrap_or("?"),
        unit::plural(m.processes, "process", "processes"),
        unit::plural(m.threads, "thread", "threads"),
        unit::time(m.duration_ns),
        m.started_at,
        unit::plural(m.receives, "receive with data", "receives with data"),
    )
}

fn warnings(page: &mut Page, diff: &Diff) {
    if diff.warnings.is_empty() {
        return;
    }
    page.heading("Not a fair comparison");
    for warning in &diff.warnings {
        page.item("!", &warning.text);
    }
}

fn model(page: &mut Page, name: &str, pair: &Pair<Model>, say: fn(&Model) -> String) {
    let full = |model: &Model| with_confidence(say(model), model);
    if pair.differs() {
        page.heading(&format!("{name}: {}, before; {}, after", full(&pair.before), full(&pair.after)));
    } else {
        page.heading(&format!("{name}: unchanged, {}", full(&pair.after)));
    }
}

fn per_receive(page: &mut Page, diff: &Diff) {
    let mut table = Builder::default();
    table.push_record(["Mean of a receive with data", "before", "after", "change"]);
    for mean in &diff.per_receive {
        times(&mut table, mean.name.to_owned(), mean.ns);
    }
    for (name, ns) in [
        ("turn, median", pair(diff.turns.before.service_p50_ns, diff.turns.after.service_p50_ns)),
        ("turn, p99", pair(diff.turns.before.service_p99_ns, diff.turns.after.service_p99_ns)),
    ] {
        if ns.before.is_some() || ns.after.is_some() {
            times(&mut table, name.to_owned(), ns);
        }
    }
    put(page, table);
}

fn pair<T>(before: T, after: T) -> Pair<T> {
    Pair { before, after }
}

fn times(table: &mut Builder, name: String, ns: Pair<Option<u64>>) {
    let time = |ns: Option<u64>| match ns {
        Some(u64::MAX) => "> 0.3 h".to_owned(),
        Some(ns) => unit::time(ns),
        None => "–".to_owned(),
    };
    let change = ns.change().map_or("–".to_owned(), percent);
    table.push_record([format!("  {}", cut(&name, NAME)), time(ns.before), time(ns.after), change]);
}

fn accounts(page: &mut Page, diff: &Diff) {
    let mut table = Builder::default();
    table.push_record(["Share of the threads' time", "before", "after", "points"]);
    for account in &diff.accounts {
        let [before, after] = [account.share.before, account.share.after];
        if before.unwrap_or(0.0).max(after.unwrap_or(0.0)) < SHARE {
            continue;
        }
        let share = |s: Option<f64>| s.map_or("–".to_owned(), unit::percent_of_share);
        let points = match (before, after) {
            (Some(before), Some(after)) => format!("{:+.1}", (after - before) * 100.0).replace('-', "−"),
            _ => "–".to_owned(),
        };
        table.push_record([format!("  {}", account.account.name()), share(before), share(after), points]);
    }
    put(page, table);
}

fn distributions(page: &mut Page, diff: &Diff) {
    let mut table = Builder::default();
    table.push_record(["Single durations", "before", "after", "change"]);
    for d in &diff.distributions {
        let name = d.account.name();
        times(&mut table, format!("{name}, median"), d.p50_ns);
        times(&mut table, format!("{name}, p99"), d.p99_ns);
    }
    if table.count_records() > 1 {
        put(page, table);
    }
}

fn losses(page: &mut Page, diff: &Diff) {
    if diff.loss.is_empty() {
        page.heading("Losses: none in either");
        return;
    }
    page.heading("Losses");
    let count = |n: Option<u64>| n.map_or("not counted".to_owned(), unit::count);
    for (name, lost) in &diff.loss {
        page.item("·", &format!("{name}: {} before, {} after", count(lost.before), count(lost.after)));
    }
}

fn findings(page: &mut Page, diff: &Diff) {
    let all = &diff.findings;
    if all.appeared.is_empty() && all.vanished.is_empty() && all.stayed.is_empty() {
        return;
    }
    page.heading("Findings");
    let mut put = |mark, word, findings: &[Finding]| {
        for f in findings {
            page.item(mark, &format!("{word} {}: {}. {}", f.code, f.title, f.evidence));
        }
    };
    put("+", "appeared", &all.appeared);
    put("−", "vanished", &all.vanished);
    for code in &all.stayed {
        page.item("·", &format!("stayed {code}"));
    }
}

fn put(page: &mut Page, table: Builder) {
    let mut table = table.build();
    table.with(Style::empty()).with(Padding::new(0, 2, 0, 0));
    table.with(Modify::new(Columns::new(1..)).with(Alignment::right()));
    page.table("\n");
    page.table(&table.to_string());
}

#[cfg(test)]
mod tests {
    use tabled::grid::util::string::get_line_width;

    use super::super::compare;
    use super::*;
    use crate::report::schema::Report;
    use crate::report::{build, sample};

    #[test]
    fn a_page_fits_80_columns_and_shows_nothing_that_a_terminal_obeys() {
        let hostile = "\x1b[2J\u{202e}".repeat(30);
        let report = |name: &str| -> Report {
            let mut snapshot = sample::snapshot(4);
            snapshot.processes[0].comm = name.to_owned();
            snapshot.host.kernel = name.to_owned();
            build::build(&snapshot, &sample::verdicts(&snapshot))
        };
        let diff = compare(&report(&hostile), &report("other")).expect("comparable");
        let page = render(&diff);
        assert!(page.contains("Not a fair comparison") && page.contains("wait_ready"), "{page}");
        assert!(page.lines().all(|line| get_line_width(line) <= 80), "{page}");
        assert!(!page.chars().any(|c| c != '\n' && crate::report::sanitize::is_hostile(c)), "{page}");
    }
}
