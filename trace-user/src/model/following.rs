//! Whether a request can be followed by the id of the thread that received it, as tracers of requests do that keep their
//! context in thread-local storage or key it by thread id.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trace_common::turn::Answers;

use super::tally::share;
use super::thresholds::{FOLLOWED, ROUSED};
use crate::snapshot::Snapshot;

/// Who answered the requests on server-side connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Following {
    /// Answers by the thread that received the request, which received nothing from another connection in between.
    pub followed: u64,
    /// Answers by that thread after it had received from other connections.
    pub interleaved: u64,
    /// Answers by another thread.
    pub handed: u64,
    /// `followed` of all; `None` without answers.
    pub followed_share: Option<f64>,
    /// What follows from it, in a sentence.
    pub advice: String,
}

/// Who answered in `snapshot`.
pub fn of(snapshot: &Snapshot) -> Following {
    let mut sum = Answers::ZERO;
    snapshot.threads.iter().for_each(|t| sum.add(&t.answers));
    let Answers { followed, interleaved, handed } = sum;
    let all = followed + interleaved + handed;
    let mut following = Following {
        followed,
        interleaved,
        handed,
        followed_share: (all > 0).then(|| share(followed, all)),
        advice: String::new(),
    };
    following.advice = advice(&following, all);
    following
}

fn advice(f: &Following, all: u64) -> String {
    if all < ROUSED {
        return format!(
            "{all} answers were seen, too few to tell whether requests can be followed by thread id"
        );
    }
    let percent = |n| format!("{:.1} %", 100.0 * share(n, all));
    let facts = format!(
        "{} of {all} answers came from the thread that received the request, with nothing else received in between; \
         {} after it had received from other connections, {} from another thread",
        percent(f.followed),
        percent(f.interleaved),
        percent(f.handed)
    );
    let so = if share(f.followed, all) >= FOLLOWED {
        "tracing by thread id works here"
    } else if f.handed >= f.interleaved {
        "tracing by thread id loses requests at the hand-off: carry the context with the request"
    } else {
        "tracing by thread id mixes requests up: key the context by connection"
    };
    format!("{so}: {facts}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn told(followed: u64, interleaved: u64, handed: u64) -> String {
        let mut snapshot = sample::snapshot(1);
        snapshot.threads[0].answers = Answers { followed, interleaved, handed };
        of(&snapshot).advice
    }

    #[test]
    fn the_advice_names_what_gets_in_the_way() {
        assert!(told(1_000, 0, 0).contains("works here"));
        assert!(told(100, 900, 0).contains("by connection"));
        assert!(told(100, 10, 900).contains("hand-off"));
        assert!(told(10, 0, 0).contains("too few"));
    }
}
