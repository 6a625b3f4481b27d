//! The textbook's figure (Stevens, *UNIX Network Programming*, vol. 1, figures 6.1 to 6.5) of the target's
//! model, with what was measured on its arrows.

use maud::{Markup, html};
use trace_common::account::Account;

use super::super::super::phases::{self, Phase};
use super::super::super::sanitize::Html;
use super::super::super::schema::Report;
use super::super::super::unit;
use super::{section as part, table};
use crate::model::verdict::IoModel;

/// The two life lines, and the width of the drawing.
const PROCESS: u32 = 130;
const KERNEL: u32 = 290;
const WIDTH: u32 = 460;
/// Heights of a step that is an arrow, and of one that is a phase.
const ARROW: u32 = 34;
const PHASE: u32 = 56;
/// Where the first step begins.
const TOP: u32 = 30;

/// One step of the exchange between process and kernel, top down.
enum Step {
    /// From the process to the kernel.
    Call(String),
    /// Back.
    Return(String),
    /// Phase 1 in the kernel, with its figure.
    Waiting(String),
    /// Phase 2.
    Copying(String),
    /// What the process does beside the steps that follow, as many as that.
    Meanwhile(&'static str, usize),
}

/// The section.
pub fn section(report: &Report) -> Markup {
    let phases = phases::figures(report);
    let rows = html! {
        @for phase in &phases {
            tr {
                th scope="row" { (phase.name) " (" (phase.account.name()) ")" }
                td.n { (unit::count(phase.count)) }
                td.n { (phase.median) }
                td.n { (phase.p99) }
            }
        }
    };
    part(
        "phases",
        "The two phases",
        html! {
            (drawing(report, &phases))
            @if !phases.is_empty() {
                (table("Waiting and copying, over all threads", &["Phase", "Count", "Median", "p99"], rows))
            }
            ul { @for line in phases::call_lines(report) { li { (line.trim_start()) } } }
        },
    )
}

fn drawing(report: &Report, phases: &[Phase]) -> Markup {
    let name = report.verdict.io_model.name;
    let Some(steps) = steps(report, phases) else {
        return html! { p { "There is no textbook figure of “" (name.name()) "”." } };
    };
    let height = TOP + steps.iter().map(Step::height).sum::<u32>() + 12;
    html! {
        figure {
            svg.figure viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-labelledby="figure-says" {
                (patterns())
                text.f x=(PROCESS) y="14" text-anchor="middle" { "process" }
                text.f x=(KERNEL) y="14" text-anchor="middle" { "kernel" }
                @for x in [PROCESS, KERNEL] { line.axis x1=(x) x2=(x) y1="20" y2=(height - 4) {} }
                (draw(&steps))
            }
            figcaption id="figure-says" { "How this target reads (" (name.name()) "): " (Html(&told(&steps))) "." }
        }
    }
}

fn patterns() -> Markup {
    html! {
        defs {
            pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                rect width="7" height="7" fill="#8fc1f3" {}
                rect width="1" height="7" fill="#0006" {}
            }
            pattern id="dots" width="7" height="7" patternUnits="userSpaceOnUse" {
                rect width="7" height="7" fill="#5cc48d" {}
                circle cx="3" cy="3" r="1" fill="#0006" {}
            }
        }
    }
}

impl Step {
    fn height(&self) -> u32 {
        match self {
            Step::Call(_) | Step::Return(_) => ARROW,
            Step::Waiting(_) | Step::Copying(_) => PHASE,
            Step::Meanwhile(..) => 0,
        }
    }
}

fn draw(steps: &[Step]) -> Markup {
    let mut y = TOP;
    let mut parts = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        let height = step.height();
        parts.push(match step {
            Step::Call(text) => arrow(y + ARROW - 10, PROCESS, KERNEL, text),
            Step::Return(text) => arrow(y + ARROW - 10, KERNEL, PROCESS, text),
            Step::Waiting(figure) => phase(y, "waiting", "phase 1", "w", figure),
            Step::Copying(figure) => phase(y, "copying", "phase 2", "c", figure),
            Step::Meanwhile(text, count) => {
                let below: u32 = steps[i + 1..].iter().take(*count).map(Step::height).sum();
                beside(y, below, text)
            }
        });
        y += height;
    }
    html! { @for part in parts { (part) } }
}

fn arrow(y: u32, from: u32, to: u32, text: &str) -> Markup {
    let tip = if to > from { to - 8 } else { to + 8 };
    html! {
        line x1=(from) x2=(to) y1=(y) y2=(y) {}
        path.tip d={ "M" (to) " " (y) "L" (tip) " " (y - 4) "L" (tip) " " (y + 4) "Z" } {}
        text x=((from + to) / 2) y=(y - 6) text-anchor="middle" { (Html(text)) }
    }
}

fn phase(y: u32, name: &str, number: &str, class: &str, figure: &str) -> Markup {
    let (top, end) = (y + 4, y + PHASE - 4);
    html! {
        rect class=(class) x=(KERNEL - 7) y=(top) width="14" height=(end - top) {}
        path d={ "M" (KERNEL + 16) " " (top) "V" (end - 6) } {}
        path.tip d={ "M" (KERNEL + 16) " " (end) "l-4 -8h8Z" } {}
        text x=(KERNEL + 26) y=(y + 17) { (name) }
        text.f x=(KERNEL + 26) y=(y + 33) { (Html(figure)) }
        text.d x=(KERNEL + 26) y=(y + 48) { (number) }
    }
}

fn beside(y: u32, height: u32, text: &str) -> Markup {
    let middle = y + height / 2;
    let (first, second) = text.split_once('|').unwrap_or((text, ""));
    html! {
        rect.s x=(PROCESS - 7) y=(y + 6) width="14" height=(height.saturating_sub(12)) {}
        text x=(PROCESS - 14) y=(middle) text-anchor="end" { (first) }
        text x=(PROCESS - 14) y=(middle + 15) text-anchor="end" { (second) }
    }
}

/// The drawing in words.
fn told(steps: &[Step]) -> String {
    let tell = |step: &Step| match step {
        Step::Call(text) => format!("the process calls: {text}"),
        Step::Return(text) => format!("the kernel answers: {text}"),
        Step::Waiting(figure) => format!("waiting, {figure}"),
        Step::Copying(figure) => format!("copying, {figure}"),
        Step::Meanwhile(text, _) => format!("meanwhile the process is {}", text.replace('|', " ")),
    };
    steps.iter().map(tell).collect::<Vec<_>>().join("; ")
}

fn steps(report: &Report, phases: &[Phase]) -> Option<Vec<Step>> {
    let verdict = &report.verdict.io_model;
    let mechanism = verdict.mechanism.clone();
    let call = |usual: &str| mechanism.clone().unwrap_or_else(|| usual.to_owned());
    let median = |account: Account| match phases.iter().find(|p| p.account == account) {
        Some(phase) => format!("median {}", phase.median),
        None => "not measured".into(),
    };
    let waiting = |account| Step::Waiting(median(account));
    let copying = || Step::Copying(median(Account::Copy));
    let receive = || Step::Call("receive".into());
    let done = || Step::Return("data".into());
    Some(match verdict.name {
        IoModel::Blocking if verdict.qualifier.as_deref() == Some("emulated") => {
            ready(call("poll"), "asleep in|the wait", waiting(Account::WaitReady), copying())
        }
        IoModel::Blocking => vec![
            Step::Call(call("receive")),
            Step::Meanwhile("asleep in|the receive", 2),
            waiting(Account::WaitData),
            copying(),
            done(),
        ],
        IoModel::Nonblocking => vec![
            Step::Meanwhile("asking again|and again", 3),
            Step::Call(call("receive")),
            Step::Return("nothing there".into()),
            Step::Waiting(empty_asks(report)),
            receive(),
            copying(),
            done(),
        ],
        IoModel::Multiplexing => {
            ready(call("select"), "asleep in|the wait", waiting(Account::WaitReady), copying())
        }
        IoModel::SignalDriven => vec![
            Step::Call("asks for a signal".into()),
            Step::Return("at once".into()),
            Step::Meanwhile("at other work|or asleep", 1),
            waiting(Account::WaitSignal),
            Step::Return(call("SIGIO")),
            receive(),
            copying(),
            done(),
        ],
        IoModel::Asynchronous => vec![
            Step::Call(call("submit")),
            Step::Return("at once".into()),
            Step::Meanwhile("at other work|or asleep", 2),
            waiting(Account::WaitCompletion),
            copying(),
            Step::Return("completion".into()),
        ],
        IoModel::Mixed | IoModel::Inconclusive => return None,
    })
}

/// Asleep until one is ready, then a receive that does not sleep.
fn ready(call: String, asleep: &'static str, waiting: Step, copying: Step) -> Vec<Step> {
    vec![
        Step::Call(call),
        Step::Meanwhile(asleep, 1),
        waiting,
        Step::Return("readable".into()),
        Step::Call("receive".into()),
        copying,
        Step::Return("data".into()),
    ]
}

fn empty_asks(report: &Report) -> String {
    let (receives, _) = phases::totals(report);
    if receives.with_data == 0 {
        return "not measured".into();
    }
    format!("{:.1} asks in vain", receives.eagain as f64 / receives.with_data as f64)
}
