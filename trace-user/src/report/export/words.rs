//! Sentences and cells that several formats for people share. None of them is sanitised yet.

use trace_common::account::Account;

use super::super::cohort::Cohort;
use super::super::schema::{Peer, Report};
use super::super::{exchanges, identity, unit};
use crate::model::storage::QUALIFIER;
use crate::model::verdict::IoVerdict;
use crate::snapshot::EndedBy;

/// `nginx (pid 17)`.
pub fn title(report: &Report) -> String {
    let comm = report.target.comm.as_deref().unwrap_or("(no name)");
    format!("{comm} {}", identity::place(report))
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
            EndedBy::Overhead => "ended by its cost",
            EndedBy::Open => "so far",
        },
    )
}

/// The command line that measured, as a shell would read it.
pub fn command(report: &Report) -> Option<String> {
    let plain = |c: char| c.is_alphanumeric() || "_-./:=,+@%".contains(c);
    let quoted = |word: &String| match word.is_empty() || !word.chars().all(plain) {
        true => format!("'{}'", word.replace('\'', "'\\''")),
        false => word.clone(),
    };
    Some(report.tool.command.as_ref()?.iter().map(quoted).collect::<Vec<_>>().join(" "))
}

/// The verdict on files, where it is not the verdict itself.
pub fn files(report: &Report) -> Option<&IoVerdict> {
    let verdict = &report.verdict.io_model;
    verdict.storage.as_deref().filter(|_| verdict.qualifier.as_deref() != Some(QUALIFIER))
}

/// What is known of exchanges and of how connections are spread, a sentence each.
pub fn exchanges(report: &Report) -> Vec<String> {
    exchanges::turns(report).into_iter().chain(exchanges::spread(report)).collect()
}

/// How long the target waited for the replies of a peer.
pub fn replies(peer: &Peer) -> String {
    if peer.replies == 0 { "–".into() } else { unit::time(peer.reply_ns) }
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
