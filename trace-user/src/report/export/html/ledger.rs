//! Where the time went: a stacked bar for each cohort, and below it for its threads.

use maud::{Markup, html};
use trace_common::account::Account;

use super::super::super::cohort::{Cohort, at_least, cohorts, role_name};
use super::super::super::ledger::Ledger;
use super::super::super::sanitize::Html;
use super::super::super::schema::{Report, Thread};
use super::super::super::{Layout, unit};
use super::{section as part, table};

/// Threads of a cohort that have a bar; all of them are in the JSON report.
const THREADS: usize = 40;
/// From this share on, a part of a bar has its name in it.
const NAMED_SHARE: f64 = 0.14;
/// Below this share an account is not named beside the bar.
const SHOWN_SHARE: f64 = 0.0005;

/// The section.
pub fn section(report: &Report) -> Markup {
    let cohorts = cohorts(report, Layout::default());
    let lower = cohorts.iter().any(|c| !c.at_least.is_empty());
    part(
        "ledger",
        "Where the time went",
        html! {
            @if cohorts.is_empty() { p { "No thread was seen." } } @else {
                table.ledger {
                    caption { "Time of alike threads in the window, by account; each bar is the time they lived" }
                    thead { tr { th scope="col" { "Threads" } th scope="col" { "Time" } } }
                    tbody { @for cohort in &cohorts { (row(cohort)) } }
                }
                @if lower {
                    p.dim { "≥: the wait began before the window, so it is longer than shown." }
                }
                (key())
            }
        },
    )
}

fn row(cohort: &Cohort<'_>) -> Markup {
    let ended = if cohort.ended { ", ended" } else { "" };
    html! {
        tr {
            th scope="row" {
                (Html(&cohort.title()))
                small { (unit::plural(cohort.threads, "thread", "threads")) (ended) }
                @if let Some(role) = cohort.role { small { (role_name(role)) } }
                @if let Some(model) = cohort.model() { small { (model.name()) } }
            }
            td {
                (bar(&cohort.ledger, cohort.lived_ns, &cohort.at_least))
                (says(&cohort.ledger, cohort.lived_ns, &cohort.at_least))
                @if cohort.members.len() > 1 { (members(cohort)) }
            }
        }
    }
}

/// The busiest threads of a cohort.
fn members(cohort: &Cohort<'_>) -> Markup {
    let mut members: Vec<&Thread> = cohort.members.clone();
    members.sort_by_key(|t| std::cmp::Reverse((t.receives.calls, t.lived_ns)));
    let more = members.len().saturating_sub(THREADS);
    html! {
        details {
            summary { "Its threads" @if more > 0 { ", the busiest " (THREADS) } }
            @for thread in members.into_iter().take(THREADS) {
                @let bound: Vec<Account> = at_least(thread).into_iter().collect();
                div.members {
                    (Html(&thread.comm)) " " span.dim { "(" (thread.tid) ")" }
                    (bar(&thread.ledger, thread.lived_ns, &bound))
                    (says(&thread.ledger, thread.lived_ns, &bound))
                }
            }
            @if more > 0 { p.dim { (unit::count(more as u64)) " more are in the JSON report." } }
        }
    }
}

/// Only shows what [`says`] says in words.
fn bar(ledger: &Ledger, lived_ns: u64, at_least: &[Account]) -> Markup {
    html! {
        div.bar aria-hidden="true" {
            @for account in Account::ALL.into_iter().filter(|&a| ledger.ns(a) > 0) {
                @let share = share(ledger.ns(account), lived_ns);
                @let text = figures(ledger, account, lived_ns, at_least);
                span class={ "a-" (account.name()) } style={ "width:" (format!("{:.3}", share * 100.0)) "%" } title=(text) {
                    @if share >= NAMED_SHARE { b { (short(account)) } }
                }
            }
        }
    }
}

/// The accounts that hold anything worth naming, largest first.
fn says(ledger: &Ledger, lived_ns: u64, at_least: &[Account]) -> Markup {
    let mut accounts: Vec<Account> = Account::ALL.into_iter().filter(|&a| ledger.ns(a) > 0).collect();
    accounts.sort_by_key(|&a| std::cmp::Reverse(ledger.ns(a)));
    let named = |a: &&Account| share(ledger.ns(**a), lived_ns) >= SHOWN_SHARE;
    let texts: Vec<String> =
        accounts.iter().filter(named).map(|&a| figures(ledger, a, lived_ns, at_least)).collect();
    html! { p.says { (texts.join(" · ")) } }
}

fn figures(ledger: &Ledger, account: Account, lived_ns: u64, at_least: &[Account]) -> String {
    let ns = ledger.ns(account);
    let bound = if at_least.contains(&account) { "≥" } else { "" };
    format!("{} {bound}{} {}", short(account), unit::percent(ns, lived_ns), unit::time(ns))
}

fn share(ns: u64, lived_ns: u64) -> f64 {
    if lived_ns == 0 { 0.0 } else { ns as f64 / lived_ns as f64 }
}

/// `ready` for `wait_ready`.
fn short(account: Account) -> &'static str {
    account.name().trim_start_matches("wait_")
}

fn key() -> Markup {
    let rows = html! {
        @for account in Account::ALL {
            tr {
                th scope="row" { (account.name()) }
                td { span class={ "key a-" (account.name()) } aria-hidden="true" {} }
                td { (meaning(account)) }
            }
        }
    };
    html! {
        details {
            summary { "What the accounts mean" }
            div.left {
                (table("Each nanosecond of a thread is in exactly one of them", &["Account", "Pattern", "The thread is …"], rows))
            }
        }
    }
}

/// What a thread in `account` does.
pub fn meaning(account: Account) -> &'static str {
    match account {
        Account::WaitAccept => "asleep in accept on a listening socket",
        Account::WaitData => "asleep in a receive: phase 1, blocking",
        Account::WaitReady => "asleep in select, poll or epoll",
        Account::WaitCompletion => "asleep until an io_uring or aio completion",
        Account::WaitSignal => "asleep until a signal",
        Account::WaitSend => "asleep in a send or connect call",
        Account::WaitFutex => "asleep in futex: a lock, a condition, an idle pool",
        Account::WaitTimer => "asleep until a time",
        Account::WaitDisk => "asleep for a file or block device",
        Account::WaitOther => "in any other sleep",
        Account::Stopped => "stopped, traced or frozen",
        Account::Runqueue => "runnable after a wake-up, waiting for a CPU",
        Account::Preempted => "runnable, pushed off the CPU",
        Account::Copy => "on a CPU in a receive, from the first copied byte on: phase 2",
        Account::Kernel => "on a CPU in any other part of a system call",
        Account::User => "on a CPU outside system calls",
        Account::Unknown => "not observed",
    }
}
