//! What the state machine tells of losses and durations.

use trace_common::account::Account;
use trace_common::loss::{Loss, Losses, Sink};
use trace_common::turn::Spent;

/// Counts losses, and sums what is observed, by account.
pub struct Noted {
    pub losses: Losses,
    pub observed: [u64; Account::SLOTS],
}

impl Sink for Noted {
    fn lose(&mut self, loss: Loss) {
        self.losses.add(loss);
    }

    fn observe(&mut self, account: Account, nanos: u64) {
        self.observed[account.index()] += nanos;
    }

    fn turn(&mut self, _: Spent) {}
}

impl Noted {
    pub fn nothing() -> Noted {
        Noted { losses: Losses::ZERO, observed: [0; Account::SLOTS] }
    }
}
