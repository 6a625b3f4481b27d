//! Where the time went: one row for alike threads, or for each.

use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Modify, Padding, Style};
use trace_common::account::Account;

use super::cohort::{self, Cohort};
use super::phases::is_bounded;
use super::schema::Report;
use super::text::{Page, cut};
use super::{Layout, unit};
use crate::model::verdict::Role;

/// Columns of the names.
const NAME_COLUMNS: usize = 20;
/// Columns of the waits.
const WAIT_COLUMNS: usize = 24;
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

/// The table.
pub fn ledger(page: &mut Page, report: &Report, layout: Layout) {
    let cohorts = cohort::cohorts(report, layout);
    if cohorts.is_empty() {
        return;
    }
    let floor = report.calibration.floor_ns;
    let mut table = Builder::default();
    // Of what little some threads ran, samples may not tell the split that they tell of the others.
    let sum = |ns: &dyn Fn(&Cohort<'_>) -> u64| cohorts.iter().map(ns).sum::<u64>();
    let told = sum(&|c| c.ledger.ns(Account::Kernel) + c.ledger.ns(Account::User));
    let split = sum(&|c| c.unsplit_ns).saturating_mul(20) <= told;
    let cpu: &[&str] = if split { &["kernel", "user"] } else { &["other CPU"] };
    let columns = [&["Where the time went", "waiting, asleep", "copy"], cpu, &["queued"]];
    table.push_record(columns.concat());
    let rows: Vec<_> = cohorts.iter().map(|cohort| cohort.row(floor, split)).collect();
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

impl Cohort<'_> {
    fn row(&self, floor: Option<u64>, split: bool) -> Vec<String> {
        let queued = self.ledger.ns(Account::Runqueue) + self.ledger.ns(Account::Preempted);
        let mut row = vec![self.names(), self.waits(), self.copy(floor)];
        if split {
            row.extend([Account::Kernel, Account::User].map(|account| self.cell(self.ledger.ns(account))));
        } else {
            let told = self.ledger.ns(Account::Kernel) + self.ledger.ns(Account::User);
            row.push(self.cell(self.unsplit_ns + told));
        }
        row.push(self.cell(queued));
        row
    }

    /// Time in an account that has no column of its own; on a CPU it has one.
    fn asleep_ns(&self, account: Account) -> u64 {
        let ns = self.ledger.ns(account);
        if account == Account::Unknown { ns.saturating_sub(self.unsplit_ns) } else { ns }
    }

    fn names(&self) -> String {
        let mut lines = vec![cut(&self.title(), NAME_COLUMNS)];
        let ended = if self.ended { " ended" } else { "" };
        lines.push(format!("  {}{ended}", unit::plural(self.threads, "thread", "threads")));
        lines.extend(self.role.map(|role| format!("  {}", cohort::role_name(role))));
        lines.extend(self.model().map(|model| format!("  {}", model.name())));
        lines.join("\n")
    }

    fn waits(&self) -> String {
        let asleep = |a: &Account| a.is_sleep() || matches!(a, Account::Unknown);
        let mut accounts: Vec<Account> = Account::ALL.into_iter().filter(asleep).collect();
        accounts.sort_by_key(|&a| std::cmp::Reverse(self.asleep_ns(a)));
        let worth_naming = |ns: u64| ns > 0 && ns as f64 >= WAIT_SHARE * self.lived_ns as f64;
        let mut lines = Vec::new();
        for account in accounts.into_iter().filter(|&a| worth_naming(self.asleep_ns(a))).take(WAITS) {
            let ns = self.asleep_ns(account);
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
        if !self.ledger.has(Account::Copy) {
            return "–".into();
        }
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
    fn of(rows: &[Vec<String>]) -> Marks {
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
fn idle(page: &mut Page, cohorts: &[Cohort<'_>]) {
    let serving = |c: &&Cohort<'_>| {
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
