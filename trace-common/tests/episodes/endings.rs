//! How an episode ends, against a reference that searches a plain log of what happened on one connection.

use super::*;
use trace_common::conn::Side;
use trace_common::ready::Width;

/// What happens on a connection, or to the thread that serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// A receive finds nothing.
    Empty,
    /// The error queue is empty, which says nothing of data.
    EmptyErrors,
    /// A readiness call returns this connection.
    Ready { width: Width, polled: bool },
    /// A readiness call slept, and returned others.
    SleptElsewhere,
    /// End of file.
    Eof,
    /// A peek finds data.
    Peek { slept: bool },
    /// A receive finds data.
    Data { slept: bool },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let width = (0..6u8).prop_map(Width::from_u8);
    let op = prop_oneof![
        6 => Just(Op::Empty),
        1 => Just(Op::EmptyErrors),
        3 => (width, prop::bool::weighted(0.2)).prop_map(|(width, polled)| Op::Ready { width, polled }),
        1 => Just(Op::SleptElsewhere),
        1 => Just(Op::Eof),
        1 => any::<bool>().prop_map(|slept| Op::Peek { slept }),
        5 => prop::bool::weighted(0.3).prop_map(|slept| Op::Data { slept }),
    ];
    prop::collection::vec(op, 0..60)
}

/// How a receive ends the episode in progress, if one is, after `log`.
fn ending(log: &[Op], slept: bool) -> Ending {
    if slept {
        return Ending::Slept;
    }
    let begin = log.iter().rposition(|op| matches!(op, Op::Data { .. })).map_or(0, |i| i + 1);
    let log = &log[begin..];
    let asks: Vec<usize> = (0..log.len()).filter(|i| log[*i] == Op::Empty).collect();
    let waits = |op: &Op| matches!(op, Op::Ready { .. } | Op::SleptElsewhere);
    let asked_again = match asks[..] {
        [.., before, last] => !log[before..last].iter().any(waits),
        _ => false,
    };
    let ready = log.iter().rposition(|op| matches!(op, Op::Ready { .. }));
    let Some(Op::Ready { width, polled }) = ready.map(|i| log[i]) else {
        return if asked_again { Ending::Polled } else { Ending::Immediate };
    };
    if polled || (asked_again && asks.last() > ready.as_ref()) {
        return Ending::Polled;
    }
    match width {
        Width::Many => Ending::ReadyWide,
        Width::One | Width::Datagram => Ending::ReadyNarrow,
        _ => Ending::ReadyUnknown,
    }
}

/// One connection of one thread, and a clock.
struct Served {
    t: Thread,
    conn: Conn,
    cover: Cover,
    now: u64,
}

impl Served {
    fn new() -> Served {
        let conn = Conn { last_data_at: 1, side: Side::Server as u8, ..Conn::default() };
        Served { t: Thread::unseen(7, 7), conn, cover: Cover::NONE, now: 1 }
    }

    fn receive(&mut self, ret: i64, msg_flags: u32, slept: bool) {
        let flags = if slept { call_flag::SLEPT } else { 0 };
        let cover = if slept { Cover::NONE } else { self.cover };
        let end = ReceiveEnd { now: self.now, ret, msg_flags, datagram: false, cover };
        let ask = Ask { conn: Some(0), end, nr: 45, flags, times: [0; 3], bytes: 0, booked: true };
        finish(&mut self.t, core::slice::from_mut(&mut self.conn), &ask, &mut Noted::nothing());
    }

    fn act(&mut self, op: Op) {
        self.now += 10;
        match op {
            Op::Empty => self.receive(EAGAIN, 0, false),
            Op::EmptyErrors => self.receive(EAGAIN, MSG_ERRQUEUE, false),
            Op::Eof => self.receive(0, 0, false),
            Op::Peek { slept } => self.receive(1, MSG_PEEK, slept),
            Op::Data { slept } => self.receive(1, 0, slept),
            Op::SleptElsewhere => self.t.ready.slept_end_at = self.now,
            Op::Ready { width, polled } => {
                let polled = u8::from(polled);
                let event = Cover { at: self.now, width: width as u8, polled, ..Cover::NONE };
                self.cover = self.cover.later(event);
            }
        }
    }
}

proptest! {
    #[test]
    fn an_episode_ends_as_the_log_says(ops in ops()) {
        let mut served = Served::new();
        let mut expected = [0u64; ENDINGS];
        for (i, op) in ops.iter().enumerate() {
            match op {
                Op::Data { slept } => expected[ending(&ops[..i], *slept).index()] += 1,
                Op::Peek { slept: true } => expected[Ending::Slept.index()] += 1,
                _ => {}
            }
            served.act(*op);
        }
        expected[Ending::Immediate.index()] = 0;
        let counted = served.t.episodes[Side::Server.index()].map(u64::from);
        prop_assert_eq!(counted, expected);
        prop_assert_eq!(all_counted(&served.t), expected.iter().sum::<u64>());
    }

    #[test]
    fn who_sleeps_in_a_readiness_call_after_each_empty_ask_never_polls(ops in ops()) {
        let mut served = Served::new();
        for op in ops {
            match op {
                Op::Ready { width, .. } => served.act(Op::Ready { width, polled: false }),
                Op::Empty => [op, Op::SleptElsewhere].into_iter().for_each(|op| served.act(op)),
                _ => served.act(op),
            }
        }
        prop_assert_eq!(served.t.receives.polled, 0);
        prop_assert_eq!(counted(&served.t, Ending::Polled), 0);
    }
}

/// Bugs found, each as small as it gets. They fail until they are mended.
mod found {
    use super::*;

    #[test]
    fn who_sleeps_in_the_receive_until_its_time_limit_is_not_polling() {
        let mut served = Served::new();
        for _ in 0..2 {
            served.now += 10;
            served.receive(EAGAIN, 0, true);
        }
        served.act(Op::Data { slept: false });
        assert_eq!(served.t.receives.polled, 0);
        assert_eq!(served.t.receives.immediate, 1);
    }

    #[test]
    fn a_sleep_that_a_peek_ends_is_an_episode() {
        let mut served = Served::new();
        served.act(Op::Peek { slept: true });
        served.act(Op::Data { slept: false });
        assert_eq!(counted(&served.t, Ending::Slept), 1);
    }
}
