//! Receives and what ends an episode: identities for any input, and the endings against a plain log.

#[path = "episodes/endings.rs"]
mod endings;
#[path = "episodes/readiness.rs"]
mod readiness;
#[path = "support/sink.rs"]
mod sink;

use proptest::prelude::*;
use sink::Noted;
use trace_common::account::Account;
use trace_common::call::{EAGAIN, EINTR, flag as call_flag};
use trace_common::conn::{Conn, Cover, ENDINGS, Ending, MAX_EPISODES, SIDES};
use trace_common::ledger;
use trace_common::receive::{self, MSG_DONTWAIT, MSG_ERRQUEUE, MSG_PEEK, ReceiveEnd, Receives};
use trace_common::syscall::{NR_RECVMMSG, class_of};
use trace_common::thread::Thread;

/// One receive at its end.
#[derive(Clone, Copy, Debug)]
struct Ask {
    conn: Option<usize>,
    end: ReceiveEnd,
    nr: u32,
    flags: u16,
    /// On CPU since its last sleep, in `copy`, asleep for data.
    times: [u64; 3],
    bytes: u64,
    /// Whether the ledger knows of these times (it always should).
    booked: bool,
}

impl Ask {
    fn with_data(&self) -> bool {
        self.end.ret > 0 || (self.end.ret == 0 && self.end.datagram)
    }

    fn peeks(&self) -> bool {
        self.end.msg_flags & (MSG_PEEK | MSG_ERRQUEUE) != 0
    }

    fn bytes(&self) -> u64 {
        match (self.with_data() && !self.peeks(), self.nr) {
            (false, _) => 0,
            (true, NR_RECVMMSG) => self.bytes,
            (true, _) => self.end.ret as u64,
        }
    }

    /// What moves from `kernel` to `copy`.
    fn bound(&self) -> Option<u64> {
        let unseen = self.with_data() && self.flags & call_flag::COPIED == 0;
        unseen.then_some(self.times[0])
    }
}

fn covers() -> impl Strategy<Value = Cover> {
    (prop_oneof![Just(0u64), any::<u64>()], 0..8u8, 0..2u8).prop_map(|(at, width, polled)| Cover {
        at,
        width,
        polled,
        ..Cover::NONE
    })
}

fn ends() -> impl Strategy<Value = ReceiveEnd> {
    let ret = prop_oneof![
        4 => 1..10_000i64, 2 => Just(0i64), 3 => Just(EAGAIN), 1 => Just(EINTR),
        1 => i64::MIN..=i64::from(i32::MAX),
    ];
    let flag =
        || prop_oneof![3 => Just(0), 1 => Just(MSG_PEEK), 1 => Just(MSG_DONTWAIT), 1 => Just(MSG_ERRQUEUE)];
    (any::<u64>(), ret, flag(), flag(), any::<bool>(), covers()).prop_map(
        |(now, ret, one, other, datagram, cover)| ReceiveEnd {
            now,
            ret,
            msg_flags: one | other,
            datagram,
            cover,
        },
    )
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let nr = prop::sample::select(&[0u32, 19, 45, 47, NR_RECVMMSG][..]);
    let times = prop::array::uniform3(0..1_000_000_000u64);
    let booked = prop::bool::weighted(0.95);
    let ask = (prop::option::weighted(0.9, 0..3usize), ends(), nr, 0..64u16, times, 0..1_000u64, booked);
    let ask = ask.prop_map(|(conn, end, nr, flags, times, bytes, booked)| Ask {
        conn,
        end,
        nr,
        flags,
        times,
        bytes,
        booked,
    });
    prop::collection::vec(ask, 1..40)
}

fn conns() -> impl Strategy<Value = [Conn; 3]> {
    let episodes = prop_oneof![Just(0), Just(1), MAX_EPISODES - 3..=MAX_EPISODES];
    let conn = (any::<[u64; 2]>(), episodes, any::<u8>(), 0..2u8, 0..9u32).prop_map(
        |([last_data_at, last_empty_at], episodes, side, polled, tid)| Conn {
            last_data_at,
            last_empty_at,
            episodes,
            side,
            polled,
            tid,
            ..Conn::default()
        },
    );
    prop::array::uniform3(conn)
}

/// The end of `ask`, after a call of which the ledger knows.
fn finish(t: &mut Thread, conns: &mut [Conn], ask: &Ask, sink: &mut Noted) {
    t.call.begin(ask.nr, class_of(ask.nr), [0; 4], 0);
    let [kernel, copy, wait] = ask.times;
    t.call.flags = ask.flags;
    (t.call.kernel_ns, t.call.copy_ns, t.call.wait_ns, t.call.bytes) = (kernel, copy, wait, ask.bytes);
    if ask.booked {
        for (account, nanos) in [(Account::Kernel, kernel), (Account::Copy, copy), (Account::WaitData, wait)]
        {
            t.ledger[account.index()] += nanos;
        }
    }
    receive::finish(t, ask.conn.map(|i| &mut conns[i]), ask.end, sink);
}

/// Plays all of `asks`, and calls `check` with the thread before and after each.
fn play(
    asks: &[Ask],
    mut conns: [Conn; 3],
    mut check: impl FnMut(&Ask, &Thread, &Thread),
) -> (Thread, [Conn; 3]) {
    let mut t = Thread::unseen(7, 7);
    let mut sink = Noted::nothing();
    for ask in asks {
        let before = t;
        finish(&mut t, &mut conns, ask, &mut sink);
        check(ask, &before, &t);
    }
    (t, conns)
}

fn assert_identities(r: &Receives) {
    assert_eq!(r.calls, r.with_data + r.eof + r.eagain + r.interrupted + r.failed);
    let endings = r.slept + r.after_ready + r.polled + r.signalled + r.completed + r.immediate;
    assert_eq!(r.with_data, endings);
}

fn counted(t: &Thread, ending: Ending) -> u64 {
    t.episodes.iter().map(|by_ending| u64::from(by_ending[ending.index()])).sum()
}

fn all_counted(t: &Thread) -> u64 {
    t.episodes.iter().flatten().copied().map(u64::from).sum()
}

proptest! {
    #[test]
    fn both_identities_hold_after_every_receive(asks in asks(), conns in conns()) {
        let (t, _) = play(&asks, conns, |_, _, after| assert_identities(&after.receives));
        prop_assert_eq!(t.receives.calls, asks.len() as u64);
        let mut sum = t.receives;
        sum.add(&t.receives);
        assert_identities(&sum);
        prop_assert_eq!(sum.calls, 2 * t.receives.calls);
    }

    #[test]
    fn every_result_is_counted_as_what_it_is(asks in asks(), conns in conns()) {
        let (t, _) = play(&asks, conns, |_, _, _| {});
        let none = |ret: i64| asks.iter().filter(|a| !a.with_data() && a.end.ret == ret).count() as u64;
        prop_assert_eq!(t.receives.with_data, asks.iter().filter(|a| a.with_data()).count() as u64);
        prop_assert_eq!(t.receives.eof, none(0));
        prop_assert_eq!(t.receives.eagain, none(EAGAIN));
        prop_assert_eq!(t.receives.interrupted, none(EINTR));
    }

    #[test]
    fn bytes_leave_peeks_out(asks in asks(), conns in conns()) {
        let (t, conns) = play(&asks, conns, |_, _, _| {});
        let sum = |of: Option<usize>| {
            let mine = asks.iter().filter(|a| of.is_none() || a.conn == of);
            mine.map(Ask::bytes).fold(0u64, u64::wrapping_add)
        };
        prop_assert_eq!(t.receives.bytes, sum(None));
        for (i, conn) in conns.iter().enumerate() {
            prop_assert_eq!(conn.bytes, sum(Some(i)));
        }
    }

    #[test]
    fn a_bounded_copy_moves_time_and_makes_none(asks in asks(), conns in conns()) {
        let (kernel, copy) = (Account::Kernel.index(), Account::Copy.index());
        play(&asks, conns, |ask, before, after| {
            let mut expected = before.ledger;
            if ask.booked {
                expected[kernel] += ask.times[0];
                expected[copy] += ask.times[1];
                expected[Account::WaitData.index()] += ask.times[2];
            }
            let bound = ask.bound().filter(|nanos| *nanos <= expected[kernel]);
            let moved = bound.unwrap_or(0);
            expected[kernel] -= moved;
            expected[copy] += moved;
            assert_eq!(after.ledger, expected);
            let bounded = after.receives.copy_bounded - before.receives.copy_bounded;
            assert_eq!(bounded, u64::from(bound.is_some()));
            assert!(ledger::total(after) >= ledger::total(before));
        });
    }

    #[test]
    fn waits_for_data_go_to_one_side_each(asks in asks(), conns in conns()) {
        let (t, _) = play(&asks, conns, |_, _, _| {});
        let mut expected = [0u64; SIDES];
        for ask in &asks {
            let side = ask.conn.map_or(0, |i| conns[i].side().index());
            expected[side] += ask.times[2];
        }
        prop_assert_eq!(t.wait_by_side, expected);
    }

    #[test]
    fn episodes_are_receives_with_data_and_end_as_they_do(asks in asks(), conns in conns()) {
        let (t, after) = play(&asks, conns, |_, _, _| {});
        let grown: u32 = after.iter().zip(&conns).map(|(a, b)| a.episodes - b.episodes).sum();
        prop_assert_eq!(all_counted(&t), u64::from(grown));
        prop_assert!(after.iter().all(|c| c.episodes <= MAX_EPISODES));
        prop_assert_eq!(counted(&t, Ending::Immediate), 0, "it decides nothing");
        prop_assert!(counted(&t, Ending::Slept) <= t.receives.slept);
        prop_assert!(counted(&t, Ending::Polled) <= t.receives.polled);
        let ready = [Ending::ReadyWide, Ending::ReadyNarrow, Ending::ReadyUnknown];
        let ready: u64 = ready.into_iter().map(|e| counted(&t, e)).sum();
        prop_assert!(ready <= t.receives.after_ready);
        prop_assert_eq!(t.episodes[0].len(), ENDINGS);
    }

    #[test]
    fn a_connection_is_counted_once(asks in asks(), conns in conns()) {
        let (t, after) = play(&asks, conns, |_, _, _| {});
        let fresh = conns.iter().zip(&after).filter(|(b, a)| b.episodes == 0 && a.episodes > 0).count();
        prop_assert_eq!(t.connections.iter().sum::<u32>() as usize, fresh);
        let narrow = after.iter().filter(|c| c.narrow != 0).count();
        prop_assert_eq!(t.narrow_connections.iter().sum::<u32>() as usize, narrow);
    }

    #[test]
    fn a_hot_connection_counts_a_thousand_episodes_and_no_more(n in 0..2_500u32, other in 0..20u32) {
        let end = ReceiveEnd { now: 5, ret: 1, msg_flags: 0, datagram: false, cover: Cover::NONE };
        let slept = |conn| Ask {
            conn: Some(conn), end, nr: 45, flags: call_flag::SLEPT, times: [0; 3], bytes: 0, booked: true,
        };
        let asks: Vec<Ask> = (0..n).map(|_| slept(0)).chain((0..other).map(|_| slept(1))).collect();
        let (t, conns) = play(&asks, [Conn::default(); 3], |_, _, _| {});
        prop_assert_eq!(conns[0].episodes, n.min(MAX_EPISODES));
        prop_assert_eq!(counted(&t, Ending::Slept), u64::from(n.min(MAX_EPISODES) + other));
        prop_assert_eq!(t.receives.slept, u64::from(n + other), "receives themselves are all counted");
    }
}
