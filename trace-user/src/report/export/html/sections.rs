//! The sections of the page that are tables and lists.

use maud::{Markup, html};

use super::super::super::sanitize::Html;
use super::super::super::schema::Report;
use super::super::super::{exchanges, trust as words_of_trust, unit};
use super::super::words;
use super::{figure_at, section, table};

/// Peers that have a row.
const PEERS: usize = 100;
/// Loops that have a row.
const LOOPS: usize = 40;

/// Whom it exchanged data with.
pub fn peers(report: &Report) -> Markup {
    let head = ["Address", "Side", "Connections", "Waits", "In receives", "For replies", "Receives", "Bytes"];
    let rows = html! {
        @for (i, peer) in report.peers.iter().take(PEERS).enumerate() {
            tr {
                th scope="row" { (Html(&peer.address)) }
                td.n { (format!("{:?}", peer.side).to_lowercase()) }
                td.n { (figure_at(&format!("/peers/{i}/connections"), peer.connections, &unit::count(peer.connections))) }
                td.n { (figure_at(&format!("/peers/{i}/waits"), peer.waits, &unit::count(peer.waits))) }
                td.n { (figure_at(&format!("/peers/{i}/wait_ns"), peer.wait_ns, &unit::time(peer.wait_ns))) }
                td.n { (words::replies(peer)) }
                td.n { (figure_at(&format!("/peers/{i}/receives"), peer.receives, &unit::count(peer.receives))) }
                td.n { (figure_at(&format!("/peers/{i}/bytes"), peer.bytes, &unit::bytes(peer.bytes))) }
            }
        }
    };
    section(
        "peers",
        "Connections",
        html! {
            @for line in exchanges::spread(report) { p { (Html(&line)) } }
            @if report.peers.is_empty() { p { "No connection was received from." } } @else {
                (table("Peers, those waited for longest first", &head, rows))
                @if report.peers.len() > PEERS {
                    p.dim { (unit::count((report.peers.len() - PEERS) as u64)) " more are in the JSON report." }
                }
            }
        },
    )
}

/// Exchanges, and what loops do between their waits.
pub fn turns(report: &Report) -> Markup {
    let t = &report.turns;
    let parts = [
        ("Exchanges", "/turns/count", t.count, unit::count as fn(u64) -> String),
        ("Receiving the request, mean", "/turns/receive_ns", t.receive_ns, unit::time),
        ("Building the answer, mean", "/turns/build_ns", t.build_ns, unit::time),
        ("Building the answer, median", "/turns/build_p50_ns", t.build_p50_ns, unit::time),
        ("Sending it, mean", "/turns/send_ns", t.send_ns, unit::time),
        ("Service time, median", "/turns/service_p50_ns", t.service_p50_ns, unit::time),
        ("Service time, p99", "/turns/service_p99_ns", t.service_p99_ns, unit::time),
    ];
    let rows = html! {
        @for (name, at, value, shown) in parts {
            @if let Some(value) = value {
                tr { th scope="row" { (name) } td.n { (figure_at(at, value, &shown(value))) } }
            }
        }
    };
    let loops = exchanges::loop_rows(report);
    let loop_rows = html! {
        @for [name, figures @ ..] in loops.iter().take(LOOPS) {
            tr { th scope="row" { (Html(name)) } @for figure in figures { td.n { (Html(figure)) } } }
        }
    };
    section(
        "turns",
        "Turns",
        html! {
            @if t.count.is_none() { p { "Not measured." } } @else {
                div.small { (table("Exchanges on server-side connections", &["Part", "Figure"], rows)) }
            }
            @if !loops.is_empty() {
                h3 { "Loops" }
                (table("What loops do between their waits, the busiest first", &exchanges::LOOP_HEAD, loop_rows))
                @if loops.len() > LOOPS { p.dim { ((loops.len() - LOOPS)) " more are in the JSON report." } }
            }
        },
    )
}

/// Worth a second look.
pub fn findings(report: &Report) -> Markup {
    section(
        "findings",
        "Findings",
        html! {
            @if report.findings.is_empty() { p { "None." } }
            @for finding in &report.findings {
                h3 { (Html(&finding.title)) " " span.dim { "(" (Html(&finding.severity)) ", " (Html(&finding.code)) ")" } }
                p { (Html(&finding.evidence)) }
                p { "Advice: " (Html(&finding.advice)) }
            }
        },
    )
}

/// Losses, canary, residual, cost and blind spots, in words.
pub fn trust(report: &Report) -> Markup {
    section(
        "trust",
        "How far to trust it",
        html! {
            ul { @for line in words_of_trust::lines(report) { li { (Html(&line)) } } }
        },
    )
}

/// Every counter, also those that are 0.
pub fn losses(report: &Report) -> Markup {
    let rows = html! {
        @for (name, &count) in &report.loss {
            tr {
                th scope="row" { (Html(name)) }
                td.n { (figure_at(&format!("/loss/{}", pointer(name)), count, &unit::count(count))) }
            }
        }
    };
    let table = table("What was lost, or noticed and put right", &["Counter", "Count"], rows);
    section("losses", "Losses", html! { div.small { (table) } })
}

/// A key as a JSON pointer has it.
fn pointer(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Where, when and by what it was measured.
pub fn environment(report: &Report) -> Markup {
    let (window, cost) = (&report.window, &report.cost);
    let optional = |at: &str, value: Option<u64>, shown: fn(u64) -> String| match value {
        Some(value) => figure_at(at, value, &shown(value)),
        None => html! { "not measured" },
    };
    let pids: Vec<String> = report.target.pids.iter().map(u32::to_string).collect();
    let command = words::command(report);
    let rows: [(&str, Markup); 13] = [
        ("Processes asked for", html! { (pids.join(", ")) }),
        ("Executable", html! { (Html(report.target.exe.as_deref().unwrap_or("not known"))) }),
        (
            "Processes seen",
            figure_at("/target/processes", report.target.processes, &unit::count(report.target.processes)),
        ),
        (
            "Threads seen",
            figure_at("/target/threads", report.target.threads, &unit::count(report.target.threads)),
        ),
        ("Began at", html! { (Html(&window.started_at)) }),
        ("Window", figure_at("/window/duration_ns", window.duration_ns, &unit::time(window.duration_ns))),
        ("Stolen by the hypervisor", optional("/window/steal_ns", window.steal_ns, unit::time)),
        ("Kernel", html! { (Html(&report.host.kernel)) " " (Html(&report.host.arch)) }),
        ("Measured by", html! { "trace " (Html(&report.tool.version)) ", tier " (Html(&report.tool.tier)) }),
        ("Command", html! { (Html(command.as_deref().unwrap_or("not known"))) }),
        (
            "Probe object, SHA-256",
            html! { (Html(report.tool.object_sha256.as_deref().unwrap_or("none was loaded"))) },
        ),
        ("Run time of the probes", optional("/cost/bpf_run_ns", cost.bpf_run_ns, unit::time)),
        ("Events", optional("/cost/events", cost.events, unit::count)),
    ];
    section(
        "environment",
        "Environment and cost",
        html! {
            table {
                caption { "Where, when and by what it was measured" }
                tbody { @for (name, value) in rows { tr { th scope="row" { (name) } td { (value) } } } }
            }
        },
    )
}
