//! The verdicts in words, with the evidence that they stand on.

use super::schema::Report;
use super::text::Page;
use super::unit;
use crate::model::storage::QUALIFIER;
use crate::model::verdict::{Alternative, Confidence, Evidence, Finding, IoModel, IoVerdict, ServerVerdict};

/// Lines of evidence in the table; the JSON report has all of it.
const EVIDENCE_LINES: usize = 5;

/// The I/O model of the target, why, and that of its client side.
pub fn io_model(page: &mut Page, report: &Report) {
    let verdict = &report.verdict.io_model;
    page.heading(&format!("I/O model: {}", io_line(verdict)));
    if let (Some(caller), Some(callee)) = (&verdict.caller, &verdict.callee) {
        page.paragraph(2, &format!("  the caller is {caller}, the callee {callee}"));
    }
    if matches!(verdict.name, IoModel::Mixed) {
        let shares: Vec<String> = verdict.shares.iter().map(share).collect();
        page.paragraph(2, &format!("  shares of episodes: {}", shares.join(", ")));
    }
    evidence(page, &verdict.evidence);
    alternatives(page, &verdict.alternatives);
    if let Some(settle) = &verdict.settle {
        page.item("→", &format!("would settle it: {settle}"));
    }
    if let Some(storage) =
        verdict.storage.as_ref().filter(|_| verdict.qualifier.as_deref() != Some(QUALIFIER))
    {
        page.heading(&format!("Files: {}", io_line(storage)));
        evidence(page, &storage.evidence);
    }
    if let Some(upstream) = &verdict.upstream {
        page.heading(&format!("Upstream (what it connects to itself): {}", io_line(upstream)));
        evidence(page, &upstream.evidence);
    }
}

/// One line on a verdict: `multiplexing (epoll), emulated, high confidence`.
pub fn io_line(verdict: &IoVerdict) -> String {
    let mut line = verdict.name.name().to_owned();
    if let Some(mechanism) = &verdict.mechanism {
        line += &format!(" ({mechanism})");
    }
    qualify(line, verdict.qualifier.as_deref(), verdict.confidence)
}

/// The server model and why.
pub fn server_model(page: &mut Page, verdict: &ServerVerdict) {
    page.heading(&format!("Server model: {}", server_line(verdict)));
    evidence(page, &verdict.evidence);
    alternatives(page, &verdict.alternatives);
}

/// One line on a verdict: `multi-reactor, 4 processes, high confidence`.
pub fn server_line(verdict: &ServerVerdict) -> String {
    let mut line = verdict.name.clone();
    if let (Some(count), Some(units)) = (verdict.count, &verdict.units) {
        line +=
            &format!(", {} {units}{}", unit::count(count), if count == 1 { "" } else { plural_of(units) });
    }
    qualify(line, verdict.qualifier.as_deref(), verdict.confidence)
}

/// What is worth a second look.
pub fn findings(page: &mut Page, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    page.heading("Worth a second look");
    for finding in findings {
        let mark = if finding.severity == "warning" { "!" } else { "·" };
        page.item(mark, &format!("{}: {}. {}", finding.title, finding.evidence, finding.advice));
    }
}

fn qualify(mut line: String, qualifier: Option<&str>, confidence: Option<Confidence>) -> String {
    if let Some(qualifier) = qualifier {
        line += &format!(", {qualifier}");
    }
    match confidence {
        Some(Confidence::High) => line + ", high confidence",
        Some(Confidence::Medium) => line + ", medium confidence",
        Some(Confidence::Low) => line + ", low confidence",
        None => line,
    }
}

fn evidence(page: &mut Page, evidence: &[Evidence]) {
    for e in evidence.iter().take(EVIDENCE_LINES) {
        page.item(
            if e.supports { "✓" } else { "✗" },
            &format!("{} ({})", e.text.trim_end_matches('.'), figures(e)),
        );
    }
    if let Some(more) = evidence.len().checked_sub(EVIDENCE_LINES).filter(|&n| n > 0) {
        page.item("·", &format!("{more} more in the JSON report"));
    }
}

/// `measured 0.99, threshold 0.80`.
pub fn figures(evidence: &Evidence) -> String {
    let measured = unit::value(evidence.measured);
    match evidence.threshold {
        Some(threshold) => format!("measured {measured}, threshold {}", unit::value(threshold)),
        None => format!("measured {measured}"),
    }
}

fn alternatives(page: &mut Page, alternatives: &[Alternative]) {
    if alternatives.is_empty() {
        return;
    }
    page.item("·", &format!("also possible: {}", names(alternatives)));
}

/// `blocking (12.0%), mixed`.
pub fn names(alternatives: &[Alternative]) -> String {
    let name = |a: &Alternative| match a.share {
        Some(share) => format!("{} ({})", a.name, unit::percent_of_share(share)),
        None => a.name.clone(),
    };
    alternatives.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn share((model, share): (&IoModel, &f64)) -> String {
    format!("{} {}", model.name(), unit::percent_of_share(*share))
}

fn plural_of(units: &str) -> &'static str {
    if units.ends_with('s') { "es" } else { "s" }
}
