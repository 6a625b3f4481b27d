//! What the state machine tells of losses and durations.

use trace_common::account::Account;
use trace_common::loss::{Loss, Losses, Sink};
use trace_common::timeline::{Entry, Note};
use trace_common::turn::Spent;

/// Counts losses, and sums what is observed, by account.
pub struct Noted {
    pub losses: Losses,
    pub observed: [u64; Account::SLOTS],
    /// What the entries of the timeline come to, by account.
    pub marked: [u64; Account::SLOTS],
}

impl Sink for Noted {
    fn lose(&mut self, loss: Loss) {
        self.losses.add(loss);
    }

    fn observe(&mut self, account: Account, nanos: u64) {
        self.observed[account.index()] += nanos;
    }

    fn turn(&mut self, _: Spent) {}

    fn mark(&mut self, entry: Entry) {
        let ns = entry.to.wrapping_sub(entry.from);
        if entry.what == Note::Copied as u32 {
            let kernel = &mut self.marked[Account::Kernel.index()];
            *kernel = kernel.wrapping_sub(ns);
            self.marked[Account::Copy.index()] += ns;
        } else if (entry.what as usize) < Account::COUNT {
            self.marked[entry.what as usize] += ns;
        }
    }
}

impl Noted {
    pub fn nothing() -> Noted {
        Noted { losses: Losses::ZERO, observed: [0; Account::SLOTS], marked: [0; Account::SLOTS] }
    }
}
