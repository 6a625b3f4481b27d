//! Sentences and cells that several formats for people share. None of them is sanitised yet.

use trace_common::account::Account;

use super::super::cohort::Cohort;
use super::super::schema::Report;
use super::super::unit;
use crate::model::storage::QUALIFIER;
use crate::model::verdict::IoVerdict;
use crate::snapshot::EndedBy;

/// `nginx (pid 17)`.
pub fn title(report: &Report) -> String {
    let comm = report.target.comm.as_deref().unwrap_or("(no name)");
    let pids: Vec<String> = report.target.pids.iter().map(u32::to_string).collect();
    format!("{comm} (pid {})", pids.join(", "))
}

/// What was measured when and how long, in a sentence.
pub fn window(report: &Report) -> String {
    let (target, window) = (&report.target, &report.window);
    let exe = target.exe.as_ref().map_or_else(String::new, |exe| format!("{exe}: "));
    format!(
        "{exe}{}, {}; {} from {} on, {}.",
        unit::plural(target.processes, "process", "processes"),
        unit::plural(target.threads, "thread", "threads"),
        unit::time(window.duration_ns),
        window.started_at,
        match window.ended_by {
            EndedBy::Duration => "the whole window",
            EndedBy::Interrupt => "ended by a signal",
            EndedBy::TargetExit => "ended with the target",
            EndedBy::Open => "so far",
        },
    )
}

/// The verdict on files, where it is not the verdict itself.
pub fn files(report: &Report) -> Option<&IoVerdict> {
    let verdict = &report.verdict.io_model;
    verdict.storage.as_deref().filter(|_| verdict.qualifier.as_deref() != Some(QUALIFIER))
}

/// What is known of the exchanges, a line each.
pub fn turns(report: &Report) -> Vec<String> {
    let turns = &report.turns;
    let Some(count) = turns.count else { return vec!["not measured".into()] };
    let time = |ns: Option<u64>| ns.map_or_else(|| "not measured".into(), unit::time);
    vec![
        format!("{} on server-side connections", unit::plural(count, "exchange", "exchanges")),
        format!("receive {}", time(turns.receive_ns)),
        format!("build {}", time(turns.build_ns)),
        format!("send {}", time(turns.send_ns)),
        format!("service time: median {}, p99 {}", time(turns.service_p50_ns), time(turns.service_p99_ns)),
    ]
}

/// Share and time of a cohort in `account`: `≥99.1% 2.97 s`.
pub fn time_in(cohort: &Cohort<'_>, account: Account) -> String {
    let ns = cohort.ledger.ns(account);
    if ns == 0 {
        return "0".into();
    }
    let bound = if cohort.at_least.contains(&account) { "≥" } else { "" };
    format!("{bound}{} {}", unit::percent(ns, cohort.lived_ns), unit::time(ns))
}
