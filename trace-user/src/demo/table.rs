//! The comparison as a table of at most 80 columns.

use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Modify, Style};

use super::Row;
use super::scene::SCENES;
use crate::report::unit;

/// Lays out `rows`.
pub fn render(rows: &[Row]) -> String {
    let mut table = Builder::default();
    table.push_record(["", "fixture", "model found", "waiting", "copying", "CPU", "empty", "wakes"]);
    for row in rows {
        table.push_record(cells(row));
    }
    let mut table = table.build();
    table.with(Style::blank()).with(Modify::new(Columns::new(3..)).with(Alignment::right()));
    let mut text = trim(&table.to_string());
    text.push_str(
        "\nmedians of one wait and of one copy; CPU time, empty asks and wake-ups for each\n\
         receive with data; ≤ is an upper bound. A good choice for\n",
    );
    for scene in SCENES.iter().filter(|s| rows.iter().any(|r| r.fixture == s.name)) {
        text.push_str(&format!("  {:<16} {}\n", scene.name, scene.choice));
    }
    let right = rows.iter().filter(|r| r.right).count();
    text.push_str(&format!("\n{right} of {} models recognised\n", rows.len()));
    text
}

fn cells(row: &Row) -> [String; 8] {
    let model = match &row.qualifier {
        Some(qualifier) => format!("{} ({qualifier})", row.io_model),
        None => row.io_model.clone(),
    };
    let sure = row.confidence.map_or_else(String::new, |c| format!(", {}", format!("{c:?}").to_lowercase()));
    let time = |ns: Option<u64>| ns.map_or_else(|| "–".to_owned(), unit::tight_time);
    let ratio = |n: Option<f64>| match n {
        None => "–".to_owned(),
        Some(n) if n >= 10.0 => format!("{n:.0}"),
        Some(n) => format!("{n:.1}"),
    };
    [
        if row.right { "✓" } else { "✗" }.to_owned(),
        row.fixture.to_owned(),
        format!("{model}{sure}"),
        time(row.waiting_p50_ns),
        format!("{}{}", if row.copying_bounded { "≤" } else { "" }, time(row.copying_p50_ns)),
        time(row.cpu_per_receive_ns),
        ratio(row.empty_asks_per_receive),
        ratio(row.wakeups_per_receive),
    ]
}

fn trim(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
