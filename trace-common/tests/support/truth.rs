//! What really happened: a plain list of intervals, and the accounts that they add up to.

use trace_common::account::Account;

/// One stretch of a thread's life.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub from: u64,
    pub to: u64,
    pub account: Account,
    /// From this time on it is known to have been part of a copy: a receive without copy event ended.
    pub copy_known_at: Option<u64>,
}

impl Span {
    fn account_at(&self, end: u64) -> Account {
        match self.copy_known_at {
            Some(at) if at <= end => Account::Copy,
            _ => self.account,
        }
    }
}

/// The accounts that `spans` add up to when the window closes at `end`.
pub fn accounts(spans: &[Span], end: u64) -> [u64; Account::SLOTS] {
    let mut sums = [0; Account::SLOTS];
    for span in spans.iter().filter(|s| s.from < end) {
        sums[span.account_at(end).index()] += span.to.min(end) - span.from;
    }
    sums
}

/// Time in `account` between two moments.
pub fn between(spans: &[Span], account: Account, from: u64, to: u64) -> u64 {
    let cut = |s: &Span| s.to.min(to).saturating_sub(s.from.max(from));
    spans.iter().filter(|s| s.account_at(to) == account).map(cut).sum()
}

/// Where the thread is at `end`; `None` when it has ended.
pub fn at(spans: &[Span], end: u64) -> Option<Account> {
    spans.iter().find(|s| s.from <= end && end < s.to).map(|s| s.account)
}
