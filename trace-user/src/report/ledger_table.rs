//! Where the time went: one row for alike threads, or for each.

use std::collections::BTreeMap;

use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Modify, Padding, Style};
use trace_common::account::Account;
use trace_common::receive::Receives;

use super::build::add_sides;
use super::ledger::Ledger;
use super::phases::is_bounded;
use super::schema::{BySide, Process, Report, Thread};
use super::text::{Page, cut};
use super::{Layout, unit};
use crate::model::verdict::{IoModel, Role};

/// Columns of the names.
const NAME_COLUMNS: usize = 20;
/// Columns of the waits.
const WAIT_COLUMNS: usize = 24;
/// Rows of a default table; further cohorts share the last one.
const ROWS: usize = 20;
/// Where the waits are in a row.
const WAITS_COLUMN: usize = 1;
/// Where the time of copying is.
const COPY_COLUMN: usize = 2;
/// Before a time that is longer than shown.
const AT_LEAST: &str = "≥";
/// Before a time that is at most as long as shown.
pub const AT_MOST: &str = "≤";
/// Waits that are named in a row.
const WAITS: usize = 3;
/// Waits below this share of a row's time are not named (unless nothing else is).
const WAIT_SHARE: f64 = 0.005;
/// From this share of its time on, the target is called idle.
const IDLE_SHARE: f64 = 0.9;

/// What alike threads have in common: process name, role, model, name without its number.
type Key = (String, Option<Role>, Option<IoModel>, String);

/// Alike threads, added up.
#[derive(Default)]
struct Cohort {
    name: String,
    differ: bool,
    ended: bool,
    role: Option<Role>,
    io_model: Option<IoModel>,
    threads: u64,
    lived_ns: u64,
    ledger: Ledger,
    by_side: BySide,
    receives: Receives,
    /// Accounts whose time is longer than shown.
    at_least: Vec<Account>,
}

/// The table.
pub fn ledger(page: &mut Page, report: &Report, layout: Layout) {
    let mut cohorts = cohorts(report, layout);
    if cohorts.is_empty() {
        return;
    }
    cohorts.sort_by_key(|c| std::cmp::Reverse((!c.ended, c.receives.calls, c.lived_ns)));
    if !layout.threads {
        fold_rest(&mut cohorts);
    }
    let floor = report.calibration.floor_ns;
    let mut table = Builder::default();
    table.push_record(["Where the time went", "waiting, asleep", "copy", "kernel", "user", "queued"]);
    let rows: Vec<_> = cohorts.iter().map(|cohort| cohort.row(floor)).collect();
    let marks = Marks::of(&rows);
    rows.into_iter().for_each(|row| table.push_record(row));
    page.table("\n");
    page.table(&lay_out(table, 2));
    marks.explain(page);
    idle(page, &cohorts);
}

/// Columns from `numbers` on to the right, two blanks between.
pub fn lay_out(table: Builder, numbers: usize) -> String {
    let mut table = table.build();
    table.with(Style::empty()).with(Padding::new(0, 2, 0, 0));
    table.with(Modify::new(Columns::new(numbers..)).with(Alignment::right()));
    table.to_string()
}

fn cohorts(report: &Report, layout: Layout) -> Vec<Cohort> {
    let mut by_key: BTreeMap<(Key, u32), Cohort> = BTreeMap::new();
    let mut ended: BTreeMap<&str, Cohort> = BTreeMap::new();
    for process in &report.processes {
        for thread in &process.threads {
            let key = (process.comm.clone(), thread.role, thread.io_model, stem(&thread.comm).to_owned());
            let alone = if layout.threads { thread.tid } else { 0 };
            by_key.entry((key, alone)).or_default().add_thread(thread);
        }
        if process.exited.threads > 0 {
            ended.entry(&process.comm).or_default().add_exited(process);
        }
    }
    by_key.into_values().chain(ended.into_values()).collect()
}

/// Cohorts beyond the last row become one.
fn fold_rest(cohorts: &mut Vec<Cohort>) {
    if cohorts.len() <= ROWS {
        return;
    }
    let mut rest = Cohort { name: "all others".into(), ..Cohort::default() };
    for cohort in cohorts.split_off(ROWS - 1) {
        rest.threads += cohort.threads;
        rest.at_least.extend(&cohort.at_least);
        rest.add(cohort.lived_ns, &cohort.ledger, cohort.by_side, &cohort.receives);
    }
    cohorts.push(rest);
}

impl Cohort {
    fn add_thread(&mut self, thread: &Thread) {
        if self.threads == 0 {
            (self.name, self.role, self.io_model) = (thread.comm.clone(), thread.role, thread.io_model);
        }
        self.differ |= self.name != thread.comm;
        self.threads += 1;
        self.add(thread.lived_ns, &thread.ledger, thread.wait_data_by_side, &thread.receives);
        let longest =
            || Account::ALL.into_iter().filter(|a| a.is_sleep()).max_by_key(|&a| thread.ledger.ns(a));
        let before = thread.in_flight.as_ref().filter(|f| f.before_attach).map(|f| f.account);
        if let Some(account) =
            before.or_else(|| (thread.waited_before || thread.silent).then(longest).flatten())
        {
            self.at_least.push(account);
        }
    }

    fn add_exited(&mut self, process: &Process) {
        let exited = &process.exited;
        (self.name, self.ended) = (process.comm.clone(), true);
        self.threads += exited.threads;
        self.add(exited.lived_ns, &exited.ledger, exited.wait_data_by_side, &exited.receives);
    }

    fn add(&mut self, lived_ns: u64, ledger: &Ledger, by_side: BySide, receives: &Receives) {
        self.lived_ns += lived_ns;
        self.ledger.add(&ledger.0);
        add_sides(&mut self.by_side, by_side);
        self.receives.add(receives);
    }

    fn row(&self, floor: Option<u64>) -> [String; 6] {
        let queued = self.ledger.ns(Account::Runqueue) + self.ledger.ns(Account::Preempted);
        [
            self.names(),
            self.waits(),
            self.copy(floor),
            self.cell(self.ledger.ns(Account::Kernel)),
            self.cell(self.ledger.ns(Account::User)),
            self.cell(queued),
        ]
    }

    fn names(&self) -> String {
        let name = if self.differ { format!("{}*", stem(&self.name)) } else { self.name.clone() };
        let mut lines = vec![cut(&name, NAME_COLUMNS)];
        let ended = if self.ended { " ended" } else { "" };
        lines.push(format!("  {}{ended}", unit::plural(self.threads, "thread", "threads")));
        lines.extend(self.role.map(|role| format!("  {}", role_name(role))));
        // One thread alone rarely shows enough; its silence says nothing.
        let model = self.io_model.filter(|model| !matches!(model, IoModel::Inconclusive));
        lines.extend(model.map(|model| format!("  {}", model.name())));
        lines.join("\n")
    }

    fn waits(&self) -> String {
        let asleep = |a: &Account| a.is_sleep() || matches!(a, Account::Unknown);
        let mut accounts: Vec<Account> = Account::ALL.into_iter().filter(asleep).collect();
        accounts.sort_by_key(|&a| std::cmp::Reverse(self.ledger.ns(a)));
        let worth_naming = |ns: u64| ns > 0 && ns as f64 >= WAIT_SHARE * self.lived_ns as f64;
        let mut lines = Vec::new();
        for account in accounts.into_iter().filter(|&a| worth_naming(self.ledger.ns(a))).take(WAITS) {
            let ns = self.ledger.ns(account);
            let bound = if self.at_least.contains(&account) { AT_LEAST } else { "" };
            let name = account.name().trim_start_matches("wait_");
            let share = unit::percent(ns, self.lived_ns);
            lines.push(cut(&format!("{bound}{name} {share} {}", unit::tight_time(ns)), WAIT_COLUMNS));
            let client = self.by_side.client_ns;
            if matches!(account, Account::WaitData) && worth_naming(client) {
                lines.push(format!("of it upstream {}", unit::tight_time(client)));
            }
        }
        if lines.is_empty() { "–".into() } else { lines.join("\n") }
    }

    /// The probes' own cost lies inside: a mean below the floor is an upper bound, like copies without a
    /// first byte.
    fn copy(&self, floor: Option<u64>) -> String {
        let ns = self.ledger.ns(Account::Copy);
        let below = floor.is_some_and(|floor| ns > 0 && ns < floor.saturating_mul(self.receives.with_data));
        let cell = self.cell(ns);
        if below || (ns > 0 && is_bounded(&self.receives)) { format!("{AT_MOST}{cell}") } else { cell }
    }

    fn cell(&self, ns: u64) -> String {
        if ns == 0 {
            return "0".into();
        }
        format!("{}\n{}", unit::percent(ns, self.lived_ns), unit::tight_time(ns))
    }
}

/// Marks that were printed before a time. No cell that may have one holds a name of the target.
struct Marks {
    at_least: bool,
    at_most: bool,
}

impl Marks {
    fn of(rows: &[[String; 6]]) -> Marks {
        let has = |column: usize, mark| rows.iter().any(|row| row[column].contains(mark));
        Marks { at_least: has(WAITS_COLUMN, AT_LEAST), at_most: has(COPY_COLUMN, AT_MOST) }
    }

    fn explain(&self, page: &mut Page) {
        if self.at_least {
            page.paragraph(
                2,
                &format!("{AT_LEAST}: the wait began before the window, so it is longer than shown"),
            );
        }
        if self.at_most {
            page.paragraph(
                2,
                &format!(
                    "{AT_MOST}: the copies showed no first byte, or took no longer than the probes' own floor; \
                     they are at most as long as shown"
                ),
            );
        }
    }
}

/// Idle is not bad, and being slow because somebody else is slow is another diagnosis: say which.
fn idle(page: &mut Page, cohorts: &[Cohort]) {
    let serving = |c: &&Cohort| {
        let serves = [Role::Acceptor, Role::Reactor, Role::ConnectionWorker, Role::PoolWorker];
        c.receives.calls > 0 || c.role.is_some_and(|role| serves.contains(&role))
    };
    let (mut lived, mut input, mut upstream) = (0, 0, 0);
    for cohort in cohorts.iter().filter(serving) {
        let waits = [
            Account::WaitAccept,
            Account::WaitData,
            Account::WaitReady,
            Account::WaitCompletion,
            Account::WaitSignal,
        ];
        lived += cohort.lived_ns;
        input += waits.into_iter().map(|a| cohort.ledger.ns(a)).sum::<u64>();
        upstream += cohort.by_side.client_ns;
    }
    if lived == 0 {
        return;
    }
    if upstream as f64 >= (1.0 - IDLE_SHARE) * lived as f64 {
        let share = unit::percent(upstream, lived);
        page.paragraph(
            2,
            &format!("Threads that serve waited {share} of their time for what they connect to."),
        );
    }
    if (input - upstream.min(input)) as f64 >= IDLE_SHARE * lived as f64 {
        let share = unit::percent(input, lived);
        page.paragraph(
            2,
            &format!(
                "Threads that serve waited for input {share} of their time: idle, which is not bad; \
                 they had nothing else to do."
            ),
        );
    }
}

/// A thread's name without the number at its end.
fn stem(comm: &str) -> &str {
    let stem = comm.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, ']' | ')'));
    if stem.is_empty() { comm } else { stem }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Acceptor => "acceptor",
        Role::Reactor => "reactor",
        Role::ConnectionWorker => "connection-worker",
        Role::PoolWorker => "pool-worker",
        Role::Supervisor => "supervisor",
        Role::Background => "background",
        Role::Idle => "idle",
        Role::KernelIo => "kernel-io",
    }
}
