//! Distributions on a logarithmic axis, and their percentiles in a table.

use std::ops::Range;

use maud::{Markup, html};
use trace_common::account::Account;

use super::super::super::schema::Report;
use super::super::super::{phases, unit};
use super::{section as part, table};
use crate::snapshot::quantile;

/// What the table names.
const QUANTILES: [(f64, &str); 5] =
    [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "max")];
/// Size of a chart; its bars stand between these heights.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 86.0;
const TOP: f64 = 30.0;
const FLOOR: f64 = 66.0;
/// Left and right of the bars, for the axis' labels.
const MARGIN: f64 = 22.0;
/// Bars for a power of ten.
const BARS: f64 = 8.0;
/// The longest time on the axis, 100 s, as a power of ten of nanoseconds.
const LONGEST: i32 = 11;

type Buckets = [(u64, u64)];

/// The section.
pub fn section(report: &Report) -> Markup {
    let seen: Vec<(&Account, &Vec<(u64, u64)>)> =
        report.distributions.iter().filter(|(_, buckets)| buckets.iter().any(|b| b.1 > 0)).collect();
    let axis = axis(&seen);
    let head: Vec<&str> = ["Account", "Count"].into_iter().chain(QUANTILES.map(|q| q.1)).collect();
    let rows = html! { @for (account, buckets) in &seen { (row(report, **account, buckets)) } };
    part(
        "distributions",
        "Distributions",
        html! {
            @if seen.is_empty() { p { "No spell of an account was measured." } } @else {
                p { "How long a spell of an account lasted, over all threads; buckets are 1/16 of an octave wide. The heights of a chart are relative to its highest bar." }
                (table("Percentiles by account", &head, rows))
                div.charts { @for (account, buckets) in &seen { (chart(**account, buckets, &axis)) } }
            }
        },
    )
}

fn row(report: &Report, account: Account, buckets: &Buckets) -> Markup {
    html! {
        tr {
            th scope="row" { (account.name()) }
            td.n { (unit::count(buckets.iter().map(|b| b.1).sum())) }
            @for (share, _) in QUANTILES {
                td.n {
                    @match quantile(buckets, share) {
                        Some(ns) => { data value=(ns) { (phases::spell(report, account, "", ns)) } }
                        None => { "–" }
                    }
                }
            }
        }
    }
}

/// Powers of ten that all charts share, so that they can be compared.
fn axis(seen: &[(&Account, &Vec<(u64, u64)>)]) -> Range<i32> {
    let all = || seen.iter().flat_map(|(_, buckets)| buckets.iter()).filter(|b| b.1 > 0).map(|b| b.0);
    let power = |ns: u64| (ns.max(1) as f64).log10().clamp(0.0, f64::from(LONGEST));
    let first = all().map(power).fold(f64::from(LONGEST), f64::min).floor() as i32;
    let last = all().map(power).fold(0.0, f64::max).ceil() as i32;
    first..last.max(first + 1)
}

fn chart(account: Account, buckets: &Buckets, axis: &Range<i32>) -> Markup {
    let bars = bars(buckets, axis);
    let most = bars.iter().copied().max().unwrap_or(1).max(1);
    let name = account.name();
    let label =
        format!("Distribution of {name} on a logarithmic axis; its percentiles are in the table above");
    let wide = (WIDTH - 2.0 * MARGIN) / bars.len() as f64;
    html! {
        figure {
            figcaption { (name) }
            svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(label) {
                @for (i, &count) in bars.iter().enumerate().filter(|(_, count)| **count > 0) {
                    // What is there can be seen.
                    @let height = ((FLOOR - TOP) * count as f64 / most as f64).max(1.0);
                    rect.h x=(two(MARGIN + i as f64 * wide)) y=(two(FLOOR - height))
                        width=(two(wide - 0.5)) height=(two(height)) {}
                }
                line.axis x1=(MARGIN) x2=(WIDTH - MARGIN) y1=(FLOOR) y2=(FLOOR) {}
                @for power in axis.start..=axis.end {
                    @let x = two(MARGIN + (WIDTH - 2.0 * MARGIN) * place(10_u64.pow(power.unsigned_abs()), axis));
                    line.axis x1=(x) x2=(x) y1=(FLOOR) y2=(FLOOR + 4.0) {}
                    text.d x=(x) y=(HEIGHT - 3.0) text-anchor="middle" { (decade(power)) }
                }
                (marks(buckets, axis))
            }
        }
    }
}

/// p50, p99 and max, their names at different heights, since they may be close.
fn marks(buckets: &Buckets, axis: &Range<i32>) -> Markup {
    let marks = [(0.5, "p50", 10.0), (0.99, "p99", 20.0), (1.0, "max", 30.0)];
    html! {
        @for (share, name, y) in marks {
            @if let Some(ns) = quantile(buckets, share) {
                @let x = MARGIN + (WIDTH - 2.0 * MARGIN) * place(ns, axis);
                @let (anchor, at) = if x > WIDTH - 40.0 { ("end", x - 2.0) } else { ("start", x + 2.0) };
                line.q x1=(two(x)) x2=(two(x)) y1=(y - 8.0) y2=(FLOOR) {}
                text x=(two(at)) y=(y) text-anchor=(anchor) { (name) }
            }
        }
    }
}

/// Counts by part of a power of ten.
fn bars(buckets: &Buckets, axis: &Range<i32>) -> Vec<u64> {
    let length = (f64::from(axis.end - axis.start) * BARS) as usize;
    let mut bars = vec![0; length];
    for (upper, count) in buckets {
        let at = (place(*upper, axis) * length as f64) as usize;
        bars[at.min(length - 1)] += count;
    }
    bars
}

/// Where `ns` is on the axis, 0…1.
fn place(ns: u64, axis: &Range<i32>) -> f64 {
    let power = (ns.max(1) as f64).log10();
    ((power - f64::from(axis.start)) / f64::from(axis.end - axis.start)).clamp(0.0, 1.0)
}

fn decade(power: i32) -> String {
    let unit = ["ns", "µs", "ms", "s"][(power / 3).clamp(0, 3) as usize];
    format!("{}{unit}", 10_u64.pow((power - 3 * (power / 3).clamp(0, 3)).unsigned_abs()))
}

fn two(x: f64) -> String {
    format!("{x:.2}")
}
