//! One page for a browser: no request leaves it, it opens from disk, and its report is inside.
//!
//! Figures stand in the page as text, too; bars and curves only show them. What is drawn in a colour has a
//! pattern and a label. Strings go through [`Html`]; `data` elements keep exact values beside readable ones.

mod curves;
mod embedded;
mod figure;
mod ledger;
mod sections;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::super::sanitize::Html;
use super::super::schema::Report;
use super::super::{identity, unit, verdict_text};
use super::words;
use crate::model::verdict::{Alternative, Evidence, IoVerdict};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// The contents: anchors and what is found there.
const CONTENTS: [(&str, &str); 10] = [
    ("why", "Why"),
    ("ledger", "Where the time went"),
    ("phases", "The two phases"),
    ("distributions", "Distributions"),
    ("peers", "Connections"),
    ("turns", "Turns"),
    ("findings", "Findings"),
    ("trust", "How far to trust it"),
    ("losses", "Losses"),
    ("environment", "Environment"),
];

/// The page.
///
/// # Errors
/// None of the report's values can fail.
pub fn render(report: &Report) -> serde_json::Result<String> {
    let body = body(report).into_string();
    let (json, left_out) = embedded::report(report, body.len())?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(report))
            (PreEscaped("<body>"))
            (PreEscaped(body))
            (save(&left_out))
            script type="application/json" id="report" { (PreEscaped(json)) }
            script { (PreEscaped(SCRIPT)) }
            (PreEscaped("</body>"))
        }
    };
    Ok(page.into_string() + "\n")
}

/// Nothing but this page's own style and script, known by its hash, is obeyed.
fn head(report: &Report) -> Markup {
    let hash = base64(&Sha256::digest(SCRIPT));
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; img-src data:; \
         base-uri 'none'; form-action 'none'"
    );
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="referrer" content="no-referrer";
            title { (Html(&words::title(report))) " – trace" }
            link rel="icon" href="data:,";
            style { (PreEscaped(STYLE)) }
        }
    }
}

fn body(report: &Report) -> Markup {
    html! {
        a.skip href="#why" { "To the evidence" }
        header {
            h1 { (Html(&words::title(report))) }
            p { (Html(&words::window(report))) }
            @for sentence in identity::sentences(report) { p { (Html(&sentence)) } }
        }
        nav aria-label="Contents" {
            ul { @for (id, name) in CONTENTS { li { a href={ "#" (id) } { (name) } } } }
        }
        main {
            (answer(report))
            (why(report))
            (ledger::section(report))
            (figure::section(report))
            (curves::section(report))
            (sections::peers(report))
            (sections::turns(report))
            (sections::findings(report))
            (sections::trust(report))
            (sections::losses(report))
            (sections::environment(report))
        }
    }
}

fn answer(report: &Report) -> Markup {
    let verdict = &report.verdict;
    html! {
        section.answer aria-label="Verdict" {
            dl {
                dt { "I/O model" }
                dd {
                    data data-at="/verdict/io_model/name" value=(verdict.io_model.name.name()) {
                        (Html(&verdict_text::io_line(&verdict.io_model)))
                    }
                }
                dt { "Server model" }
                dd {
                    data data-at="/verdict/server_model/name" value=(Html(&verdict.server_model.name)) {
                        (Html(&verdict_text::server_line(&verdict.server_model)))
                    }
                }
                @if let Some(upstream) = &verdict.io_model.upstream {
                    dt { "Upstream" } dd { (Html(&verdict_text::io_line(upstream))) }
                }
                @if let Some(storage) = words::files(report) {
                    dt { "Files" } dd { (Html(&verdict_text::io_line(storage))) }
                }
            }
            @if let (Some(caller), Some(callee)) = (&verdict.io_model.caller, &verdict.io_model.callee) {
                p { "The caller is " (Html(caller)) ", the callee " (Html(callee)) "." }
            }
        }
    }
}

fn why(report: &Report) -> Markup {
    let verdict = &report.verdict;
    section(
        "why",
        "Why",
        html! {
            h3 { "I/O model" }
            (io_evidence(&verdict.io_model))
            h3 { "Server model" }
            (evidence(&verdict.server_model.evidence))
            (alternatives(&verdict.server_model.alternatives))
            @if let Some(upstream) = &verdict.io_model.upstream {
                h3 { "Upstream: what it connects to itself" }
                (io_evidence(upstream))
            }
            @if let Some(storage) = words::files(report) {
                h3 { "Files" }
                (io_evidence(storage))
            }
        },
    )
}

fn io_evidence(verdict: &IoVerdict) -> Markup {
    html! {
        (evidence(&verdict.evidence))
        @if verdict.shares.values().any(|share| *share > 0.0) {
            p { "Shares of the decided episodes: "
                @for (i, (model, share)) in verdict.shares.iter().filter(|s| *s.1 > 0.0).enumerate() {
                    @if i > 0 { ", " }
                    (model.name()) " " (unit::percent_of_share(*share))
                }
                "."
            }
        }
        (alternatives(&verdict.alternatives))
        @if let Some(settle) = &verdict.settle { p { "Would settle it: " (Html(settle)) } }
    }
}

fn evidence(evidence: &[Evidence]) -> Markup {
    html! {
        @if evidence.is_empty() { p.dim { "No evidence." } }
        ul.why {
            @for e in evidence {
                li {
                    @let (mark, says) = if e.supports { ("✓", "for it") } else { ("✗", "against it") };
                    span.mark role="img" aria-label=(says) title=(says) { (mark) }
                    (Html(e.text.trim_end_matches('.'))) " "
                    span.dim { "(" (verdict_text::figures(e)) ")" }
                }
            }
        }
    }
}

fn alternatives(alternatives: &[Alternative]) -> Markup {
    html! {
        @if !alternatives.is_empty() { p { "Also possible: " (Html(&verdict_text::names(alternatives))) } }
    }
}

fn save(left_out: &[&str]) -> Markup {
    html! {
        footer {
            h2 id="json" { "The report as JSON" }
            @if left_out.is_empty() {
                p { "The whole report is in this page." }
            } @else {
                p id="left-out" {
                    "The report is in this page without " (left_out.join(", "))
                    ", for which it has no room; --format json writes all of it."
                }
            }
            button id="save" type="button" { "Save as JSON" }
        }
    }
}

/// A part of the page that its heading names.
fn section(id: &str, name: &str, content: Markup) -> Markup {
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (name) }
            (content)
        }
    }
}

/// A table that scrolls by itself where the window is narrow.
fn table(name: &str, head: &[&str], rows: Markup) -> Markup {
    html! {
        div.wide role="region" aria-label=(name) tabindex="0" {
            table {
                caption { (name) }
                thead {
                    tr {
                        @for (i, cell) in head.iter().enumerate() {
                            th scope="col" class=[(i > 0).then_some("n")] { (cell) }
                        }
                    }
                }
                tbody { (rows) }
            }
        }
    }
}

/// A readable figure that keeps its exact value and its place in the JSON report.
fn figure_at(at: &str, value: u64, shown: &str) -> Markup {
    html! { data data-at=(Html(at)) value=(value) { (shown) } }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, i| bits << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (bytes, text) in cases {
            assert_eq!(super::base64(bytes.as_bytes()), text);
        }
    }
}
