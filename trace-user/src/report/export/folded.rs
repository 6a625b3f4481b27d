//! Folded stacks, `process;thread;account ns`, as flame graph tools read them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use trace_common::account::Account;

use super::super::ledger::Ledger;
use super::super::sanitize::Frame;
use super::super::schema::Report;

/// Frame of the threads that ended within the window.
const ENDED: &str = "(ended)";

/// A line for each account of threads of one name, in whole nanoseconds; nothing for those that are 0.
pub fn render(report: &Report) -> String {
    let mut stacks: BTreeMap<(String, String), Ledger> = BTreeMap::new();
    for process in &report.processes {
        let mut add = |thread: &str, ledger: &Ledger| {
            let frames = (Frame(&process.comm).to_string(), Frame(thread).to_string());
            stacks.entry(frames).or_default().add(&ledger.0);
        };
        process.threads.iter().for_each(|thread| add(&thread.comm, &thread.ledger));
        add(ENDED, &process.exited.ledger);
    }
    let mut text = String::new();
    for ((process, thread), ledger) in stacks {
        for account in Account::ALL.into_iter().filter(|&a| ledger.ns(a) > 0) {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{process};{thread};{} {}", account.name(), ledger.ns(account));
        }
    }
    text
}
