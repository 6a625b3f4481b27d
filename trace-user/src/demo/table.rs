//! The comparison as a table of at most 80 columns.

use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Modify, Padding, Style};

use super::Row;
use super::scene::{FIGURES, SCENES};
use crate::report::unit;

/// Lays out `rows`.
pub fn render(rows: &[Row]) -> String {
    let mut table = Builder::default();
    table.push_record(["", "fixture", "model found", "waiting", "copying", "CPU", "empty", "wakes"]);
    for row in rows {
        table.push_record(cells(row));
    }
    let mut table = table.build();
    table
        .with(Style::blank())
        .with(Padding::new(0, 1, 0, 0))
        .with(Modify::new(Columns::new(3..)).with(Alignment::right()));
    let mut text = trim(&table.to_string());
    text.push_str(
        "\nmedians of one wait and of one copy; CPU time, empty asks and wake-ups for each\n\
         receive with data; ≤ is an upper bound. A good choice for\n",
    );
    for scene in SCENES.iter().filter(|s| rows.iter().any(|r| r.fixture == s.name)) {
        text.push_str(&format!("  {:<16} {}\n", scene.name, scene.choice));
    }
    text.push_str(&figures(rows));
    let right = rows.iter().filter(|r| r.right).count();
    text.push_str(&format!("\n{right} of {} models recognised\n", rows.len()));
    text
}

/// The two phases of a read in each model, with the medians measured here.
fn figures(rows: &[Row]) -> String {
    let mut text = String::new();
    for (model, name, phase_1) in FIGURES {
        let Some(row) = rows.iter().find(|r| r.fixture == name) else { continue };
        let waiting = row
            .waiting_p50_ns
            .map_or_else(|| format!("{} asks in vain", ratio(row.empty_asks_per_receive)), unit::tight_time);
        let copying = if model == "asynchronous" { "copied when told" } else { "then the copy" };
        text.push_str(&format!(
            "  {model:<13} {phase_1:<44}{waiting:>19}\n  {:<13} {copying:<44}{:>19}\n",
            "",
            copied(row)
        ));
    }
    if text.is_empty() {
        text
    } else {
        format!("\nThe two phases of a read, waiting and copying, by model (medians):\n{text}")
    }
}

fn time(ns: Option<u64>) -> String {
    ns.map_or_else(|| "–".to_owned(), unit::tight_time)
}

fn copied(row: &Row) -> String {
    format!("{}{}", if row.copying_bounded { "≤" } else { "" }, time(row.copying_p50_ns))
}

fn ratio(n: Option<f64>) -> String {
    match n {
        None => "–".to_owned(),
        Some(n) if n >= 10.0 => format!("{n:.0}"),
        Some(n) => format!("{n:.1}"),
    }
}

fn cells(row: &Row) -> [String; 8] {
    let model = match &row.qualifier {
        Some(qualifier) => format!("{} ({qualifier})", row.io_model),
        None => row.io_model.clone(),
    };
    let sure = row.confidence.map_or_else(String::new, |c| format!(", {}", format!("{c:?}").to_lowercase()));
    [
        if row.right { "✓" } else { "✗" }.to_owned(),
        row.fixture.to_owned(),
        format!("{model}{sure}"),
        time(row.waiting_p50_ns),
        copied(row),
        time(row.cpu_per_receive_ns),
        ratio(row.empty_asks_per_receive),
        ratio(row.wakeups_per_receive),
    ]
}

fn trim(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
