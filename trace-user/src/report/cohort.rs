//! Alike threads, added up: what every format shows instead of ten thousand rows.

use std::collections::BTreeMap;

use trace_common::account::Account;
use trace_common::receive::Receives;

use super::Layout;
use super::build::add_sides;
use super::ledger::Ledger;
use super::schema::{BySide, Process, Report, Thread};
use crate::model::verdict::{IoModel, Role};
pub use crate::names::role as role_name;

/// Most cohorts; further ones share the last.
const MOST: usize = 20;

/// What alike threads have in common: process name, role, model, name without its number.
type Key = (String, Option<Role>, Option<IoModel>, String);

/// Alike threads, added up.
#[derive(Default)]
pub struct Cohort<'a> {
    /// Name of their process; empty where several processes share the cohort.
    pub process: String,
    /// Name of the first of them; see [`Cohort::title`].
    pub name: String,
    /// Whether the others are called otherwise.
    pub differ: bool,
    /// They ended within the window.
    pub ended: bool,
    /// What they do.
    pub role: Option<Role>,
    /// Their I/O model.
    pub io_model: Option<IoModel>,
    /// How many there are.
    pub threads: u64,
    /// Time they lived in the window, ns.
    pub lived_ns: u64,
    /// Their ledgers.
    pub ledger: Ledger,
    /// The part of `unknown` that they were on a CPU, ns.
    pub unsplit_ns: u64,
    /// Their waits for data by side.
    pub by_side: BySide,
    /// Their receives.
    pub receives: Receives,
    /// Accounts whose time is longer than shown.
    pub at_least: Vec<Account>,
    /// The living ones.
    pub members: Vec<&'a Thread>,
}

/// All threads of the target in at most [`MOST`] cohorts, those that received most first; with
/// `layout.threads` one for each living thread.
pub fn cohorts(report: &Report, layout: Layout) -> Vec<Cohort<'_>> {
    let mut by_key: BTreeMap<(Key, u32), Cohort<'_>> = BTreeMap::new();
    let mut ended: BTreeMap<&str, Cohort<'_>> = BTreeMap::new();
    for process in &report.processes {
        for thread in &process.threads {
            let key = (process.comm.clone(), thread.role, thread.io_model, stem(&thread.comm).to_owned());
            let alone = if layout.threads { thread.tid } else { 0 };
            by_key.entry((key, alone)).or_default().add_thread(process, thread);
        }
        if process.exited.threads > 0 {
            ended.entry(&process.comm).or_default().add_exited(process);
        }
    }
    let mut cohorts: Vec<_> = by_key.into_values().chain(ended.into_values()).collect();
    cohorts.sort_by_key(|c| std::cmp::Reverse((!c.ended, c.receives.calls, c.lived_ns)));
    if !layout.threads {
        fold_rest(&mut cohorts);
    }
    cohorts
}

/// Cohorts beyond the last row become one.
fn fold_rest(cohorts: &mut Vec<Cohort<'_>>) {
    if cohorts.len() <= MOST {
        return;
    }
    let mut rest = Cohort { name: "all others".into(), ..Cohort::default() };
    for cohort in cohorts.split_off(MOST - 1) {
        rest.threads += cohort.threads;
        rest.at_least.extend(&cohort.at_least);
        rest.members.extend(&cohort.members);
        rest.unsplit_ns += cohort.unsplit_ns;
        rest.add(cohort.lived_ns, &cohort.ledger, cohort.by_side, &cohort.receives);
    }
    cohorts.push(rest);
}

impl<'a> Cohort<'a> {
    /// `worker-*`, or the name that all of them have.
    pub fn title(&self) -> String {
        if self.differ { format!("{}*", stem(&self.name)) } else { self.name.clone() }
    }

    /// Their I/O model, where it says something: one thread alone rarely shows enough.
    pub fn model(&self) -> Option<IoModel> {
        self.io_model.filter(|model| !matches!(model, IoModel::Inconclusive))
    }

    fn add_thread(&mut self, process: &Process, thread: &'a Thread) {
        if self.threads == 0 {
            (self.name, self.role, self.io_model) = (thread.comm.clone(), thread.role, thread.io_model);
            self.process = process.comm.clone();
        }
        self.differ |= self.name != thread.comm;
        self.threads += 1;
        self.members.push(thread);
        self.unsplit_ns += thread.unsplit_ns;
        self.add(thread.lived_ns, &thread.ledger, thread.wait_data_by_side, &thread.receives);
        self.at_least.extend(at_least(thread));
    }

    fn add_exited(&mut self, process: &Process) {
        let exited = &process.exited;
        (self.name, self.ended) = (process.comm.clone(), true);
        self.process = process.comm.clone();
        self.threads += exited.threads;
        self.unsplit_ns += exited.unsplit_ns;
        self.add(exited.lived_ns, &exited.ledger, exited.wait_data_by_side, &exited.receives);
    }

    fn add(&mut self, lived_ns: u64, ledger: &Ledger, by_side: BySide, receives: &Receives) {
        self.lived_ns += lived_ns;
        self.ledger.add(&ledger.0);
        add_sides(&mut self.by_side, by_side);
        self.receives.add(receives);
    }
}

/// The account of a wait of `thread` that began before the window, so that it is longer than shown.
pub fn at_least(thread: &Thread) -> Option<Account> {
    let longest = || Account::ALL.into_iter().filter(|a| a.is_sleep()).max_by_key(|&a| thread.ledger.ns(a));
    let before = thread.in_flight.as_ref().filter(|f| f.before_attach).map(|f| f.account);
    before.or_else(|| (thread.waited_before || thread.silent).then(longest).flatten())
}

/// A thread's name without the number at its end.
fn stem(comm: &str) -> &str {
    let stem = comm.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, ']' | ')'));
    if stem.is_empty() { comm } else { stem }
}
