//! Markdown (GitHub's flavour, for its tables): the sections of the table for people, without its 80 columns.

use std::fmt::{Display, Write as _};

use trace_common::account::Account;

use super::super::cohort::{Cohort, cohorts, role_name};
use super::super::sanitize::Markdown;
use super::super::schema::Report;
use super::super::{Layout, exchanges, identity, phases, trust, unit, verdict_text};
use super::words;
use crate::model::verdict::{Evidence, IoVerdict};

/// Peers that are listed.
const PEERS: usize = 20;
/// Loops that are listed.
const LOOPS: usize = 20;

/// The report as a document.
pub fn render(report: &Report, layout: Layout) -> String {
    let mut page = Page::default();
    page.line(format_args!("# {}", Markdown(&words::title(report))));
    page.paragraph(&words::window(report));
    identity::sentences(report).iter().for_each(|sentence| page.paragraph(sentence));
    io_model(&mut page, "I/O model", &report.verdict.io_model);
    if let Some(storage) = words::files(report) {
        io_model(&mut page, "Files", storage);
    }
    if let Some(upstream) = &report.verdict.io_model.upstream {
        io_model(&mut page, "Upstream", upstream);
    }
    let server = &report.verdict.server_model;
    page.heading(&format!("Server model: {}", verdict_text::server_line(server)));
    page.evidence(&server.evidence);
    if !server.alternatives.is_empty() {
        page.item(&format!("also possible: {}", verdict_text::names(&server.alternatives)));
    }
    findings(&mut page, report);
    ledger(&mut page, report, layout);
    two_phases(&mut page, report);
    peers(&mut page, report);
    exchanges(&mut page, report);
    page.heading("How far to trust it");
    trust::lines(report).iter().for_each(|line| page.item(line));
    if let Some(command) = words::command(report) {
        page.item(&format!("measured by the command: {command}"));
    }
    losses(&mut page, report);
    page.0
}

fn io_model(page: &mut Page, name: &str, verdict: &IoVerdict) {
    page.heading(&format!("{name}: {}", verdict_text::io_line(verdict)));
    if let (Some(caller), Some(callee)) = (&verdict.caller, &verdict.callee) {
        page.paragraph(&format!("The caller is {caller}, the callee {callee}."));
    }
    page.evidence(&verdict.evidence);
    if !verdict.alternatives.is_empty() {
        page.item(&format!("also possible: {}", verdict_text::names(&verdict.alternatives)));
    }
    if let Some(settle) = &verdict.settle {
        page.item(&format!("would settle it: {settle}"));
    }
}

fn findings(page: &mut Page, report: &Report) {
    if report.findings.is_empty() {
        return;
    }
    page.heading("Worth a second look");
    for f in &report.findings {
        page.item(&format!("{} ({}, {}): {}. {}", f.title, f.code, f.severity, f.evidence, f.advice));
    }
}

/// Accounts that nobody spent time in have no column.
fn ledger(page: &mut Page, report: &Report, layout: Layout) {
    let cohorts = cohorts(report, layout);
    if cohorts.is_empty() {
        return;
    }
    page.heading("Where the time went");
    let used: Vec<Account> =
        Account::ALL.into_iter().filter(|&a| cohorts.iter().any(|c| c.ledger.ns(a) > 0)).collect();
    let names = ["threads", "role", "model"].into_iter().chain(used.iter().map(|a| a.name()));
    let head: Vec<String> = names.map(str::to_owned).collect();
    page.table(&head, cohorts.iter().map(|cohort| row(cohort, &used)));
    if cohorts.iter().any(|c| c.at_least.iter().any(|&a| c.ledger.ns(a) > 0)) {
        page.paragraph("≥: the wait began before the window, so it is longer than shown.");
    }
}

fn row(cohort: &Cohort<'_>, used: &[Account]) -> Vec<String> {
    let ended = if cohort.ended { " (ended)" } else { "" };
    let count =
        if cohort.threads == 1 { String::new() } else { format!(" × {}", unit::count(cohort.threads)) };
    let mut cells = vec![
        format!("{}{count}{ended}", cohort.title()),
        cohort.role.map_or("–", role_name).to_owned(),
        cohort.model().map_or("–", |model| model.name()).to_owned(),
    ];
    cells.extend(used.iter().map(|&account| words::time_in(cohort, account)));
    cells
}

fn two_phases(page: &mut Page, report: &Report) {
    page.heading("The two phases");
    let rows = phases::figures(report);
    if !rows.is_empty() {
        let head = ["phase", "account", "count", "median", "p99"].map(str::to_owned);
        let cells = rows.into_iter().map(|row| {
            vec![row.name.into(), row.account.name().into(), unit::count(row.count), row.median, row.p99]
        });
        page.table(&head, cells);
    }
    phases::call_lines(report).iter().for_each(|line| page.item(line.trim_start()));
}

/// Turns, hand-over, balance and loops.
fn exchanges(page: &mut Page, report: &Report) {
    let lines: Vec<String> = words::exchanges(report);
    if !lines.is_empty() {
        page.heading("Exchanges");
        lines.iter().for_each(|line| page.item(line));
    }
    let loops = exchanges::loop_rows(report);
    if !loops.is_empty() {
        page.heading("Loops");
        page.table(
            &exchanges::LOOP_HEAD.map(str::to_owned),
            loops.iter().take(LOOPS).map(|row| row.to_vec()),
        );
    }
}

fn peers(page: &mut Page, report: &Report) {
    if report.peers.is_empty() {
        return;
    }
    page.heading("Peers");
    let head = ["address", "side", "connections", "waits", "in receives", "for replies", "receives", "bytes"]
        .map(str::to_owned);
    let rows = report.peers.iter().take(PEERS).map(|peer| {
        vec![
            peer.address.clone(),
            format!("{:?}", peer.side).to_lowercase(),
            unit::count(peer.connections),
            unit::count(peer.waits),
            unit::time(peer.wait_ns),
            words::replies(peer),
            unit::count(peer.receives),
            unit::bytes(peer.bytes),
        ]
    });
    page.table(&head, rows);
    if let Some(more) = report.peers.len().checked_sub(PEERS).filter(|&n| n > 0) {
        page.paragraph(&format!("{more} more in the JSON report."));
    }
}

fn losses(page: &mut Page, report: &Report) {
    page.heading("Counters");
    let head = ["counter", "count"].map(str::to_owned);
    page.table(&head, report.loss.iter().map(|(name, count)| vec![name.clone(), unit::count(*count)]));
}

/// A document that is written top down; all strings go through the sanitiser.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, text: impl Display) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.0, "{text}");
    }

    fn paragraph(&mut self, text: &str) {
        self.blank();
        self.line(Markdown(text));
    }

    fn heading(&mut self, text: &str) {
        self.blank();
        self.line(format_args!("## {}\n", Markdown(text)));
    }

    fn item(&mut self, text: &str) {
        self.line(format_args!("- {}", Markdown(text)));
    }

    fn evidence(&mut self, evidence: &[Evidence]) {
        if self.0.ends_with(".\n") {
            self.blank();
        }
        for e in evidence {
            let mark = if e.supports { "✓" } else { "✗" };
            self.item(&format!("{mark} {} ({})", e.text.trim_end_matches('.'), verdict_text::figures(e)));
        }
    }

    /// The first column to the left, the others to the right.
    fn table(&mut self, head: &[String], rows: impl Iterator<Item = Vec<String>>) {
        self.row(head);
        let rule: Vec<&str> = (0..head.len()).map(|i| if i == 0 { ":--" } else { "--:" }).collect();
        self.line(format_args!("| {} |", rule.join(" | ")));
        rows.for_each(|row| self.row(&row));
        self.line("");
    }

    fn row(&mut self, cells: &[String]) {
        let cells: Vec<String> = cells.iter().map(|cell| Markdown(cell).to_string()).collect();
        self.line(format_args!("| {} |", cells.join(" | ")));
    }

    /// One empty line, not two.
    fn blank(&mut self) {
        if !self.0.is_empty() && !self.0.ends_with("\n\n") {
            self.0.push('\n');
        }
    }
}
