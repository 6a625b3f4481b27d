//! Readiness waits: empty asks in a row, widths, and when a width is measured.

use super::*;
use trace_common::ready::{self, Census, Member, Width};

const EPOLL_WAIT: u32 = 232;

/// One readiness call, or useful work between two.
#[derive(Clone, Copy, Debug)]
enum Wait {
    Call { slept: bool, ret: i64, no_descriptors: bool, nr: u32 },
    Accepted,
    Received,
    AcceptFailed,
}

fn waits() -> impl Strategy<Value = Vec<Wait>> {
    let ret = prop_oneof![5 => Just(0i64), 3 => 1..100i64, 1 => Just(EINTR)];
    let nr = prop::sample::select(&[23u32, 7, 271, EPOLL_WAIT][..]);
    let call = (prop::bool::weighted(0.2), ret, prop::bool::weighted(0.1), nr)
        .prop_map(|(slept, ret, no_descriptors, nr)| Wait::Call { slept, ret, no_descriptors, nr });
    let work = prop_oneof![Just(Wait::Accepted), Just(Wait::Received), Just(Wait::AcceptFailed)];
    prop::collection::vec(prop_oneof![8 => call, 1 => work], 0..80)
}

fn wait(t: &mut Thread, now: u64, nr: u32, slept: bool, no_descriptors: bool, ret: i64) -> Option<Cover> {
    t.call.begin(nr, class_of(nr), [0; 4], now);
    t.call.flags |= if slept { call_flag::SLEPT } else { 0 };
    t.call.flags |= if no_descriptors { call_flag::NO_DESCRIPTORS } else { 0 };
    ready::finish(t, now, ret)
}

fn act(t: &mut Thread, now: u64, wait_or_work: Wait) -> Option<Cover> {
    match wait_or_work {
        Wait::Call { slept, ret, no_descriptors, nr } => return wait(t, now, nr, slept, no_descriptors, ret),
        Wait::Accepted => receive::accepted(t, 9),
        Wait::AcceptFailed => receive::accepted(t, EAGAIN),
        Wait::Received => {
            let end = ReceiveEnd { now, ret: 1, msg_flags: 0, datagram: false, cover: Cover::NONE };
            receive::finish(t, None, end, &mut Noted::nothing());
        }
    }
    None
}

/// Empty readiness calls at the end of `log`, with no sleep, answer or useful work after or between them.
fn empties(log: &[Wait]) -> usize {
    let ends_streak = |w: &Wait| match w {
        Wait::Call { no_descriptors: true, .. } | Wait::AcceptFailed => false,
        Wait::Call { slept, ret, .. } => *slept || *ret > 0,
        Wait::Accepted | Wait::Received => true,
    };
    let begin = log.iter().rposition(ends_streak).map_or(0, |i| i + 1);
    let empty = |w: &&Wait| matches!(w, Wait::Call { slept: false, ret: 0, no_descriptors: false, .. });
    log[begin..].iter().filter(empty).count()
}

proptest! {
    #[test]
    fn a_readiness_answer_is_polled_only_after_two_empty_asks_in_a_row(waits in waits()) {
        let mut t = Thread::unseen(7, 7);
        for (i, wait) in waits.iter().enumerate() {
            let now = 10 * i as u64 + 10;
            let cover = act(&mut t, now, *wait);
            let Wait::Call { slept, ret, no_descriptors: false, .. } = *wait else {
                prop_assert_eq!(cover, None);
                continue;
            };
            prop_assert_eq!(cover.is_some(), ret > 0);
            if let Some(cover) = cover {
                prop_assert_eq!(cover.at, now);
                prop_assert_eq!(cover.polled != 0, !slept && empties(&waits[..i]) >= 2);
            }
        }
    }

    #[test]
    fn readiness_counters_add_up(waits in waits(), width in 0..6u8) {
        let mut t = Thread::unseen(7, 7);
        t.ready.width = width;
        for (i, wait) in waits.iter().enumerate() {
            act(&mut t, i as u64, *wait);
        }
        let count = |f: fn(bool, i64) -> bool| waits.iter().filter(|w| {
            matches!(w, Wait::Call { slept, ret, no_descriptors: false, .. } if f(*slept, *ret))
        }).count() as u64;
        let r = t.ready;
        prop_assert_eq!(r.calls, count(|_, _| true));
        prop_assert_eq!(r.by_call.iter().sum::<u64>(), r.calls);
        prop_assert_eq!(r.by_call[3], 0);
        prop_assert_eq!(r.slept, count(|slept, _| slept));
        prop_assert_eq!(r.returned, count(|_, ret| ret > 0));
        prop_assert_eq!(r.empty, count(|slept, ret| !slept && ret == 0));
        prop_assert_eq!(r.by_width[usize::from(width)], count(|slept, ret| slept || ret > 0));
        prop_assert_eq!(r.by_width.iter().sum::<u64>(), r.by_width[usize::from(width)]);
        prop_assert!(t.accepts.calls >= t.accepts.accepted + t.accepts.eagain);
    }

    #[test]
    fn a_width_is_measured_at_first_on_change_and_then_by_samples(
        runs in prop::collection::vec((0..3u64, 0..3u64, any::<bool>(), 1..150usize), 1..8),
    ) {
        let mut t = Thread::unseen(7, 7);
        let (mut measured, mut since) = ((u64::MAX, u64::MAX), 0);
        for (a, b, wide, calls) in runs {
            let truth = if wide { Width::Many } else { Width::One } as u8;
            for _ in 0..calls {
                since += 1;
                let every = if t.ready.width == Width::Many as u8 { 64 } else { 4 };
                let expected = t.ready.calls < 64 || measured != (a, b) || since == every;
                let due = t.ready.measure_due([a, b]);
                prop_assert_eq!(due, expected);
                if due {
                    (measured, since) = ((a, b), 0);
                    t.ready.width = truth;
                }
                wait(&mut t, 1, EPOLL_WAIT, true, false, 1);
            }
        }
    }

    #[test]
    fn a_width_depends_on_who_is_there_and_not_on_their_order(
        members in prop::collection::vec(0..4u8, 0..8),
        turn in any::<prop::sample::Index>(),
    ) {
        let members: Vec<Member> = members.into_iter().map(member).collect();
        let mut turned = members.clone();
        turned.rotate_left(if members.is_empty() { 0 } else { turn.index(members.len()) });
        prop_assert_eq!(width(&members, true), width(&turned, true));
        let is = |m: Member| members.iter().filter(|x| **x == m).count();
        let peers = is(Member::Peer) + is(Member::Datagram);
        let wide = peers >= 2 || (peers == 1 && is(Member::Listener) > 0);
        prop_assert_eq!(width(&members, true) == Width::Many, wide);
        prop_assert_eq!(width(&members, true) == Width::Listeners, peers == 0 && is(Member::Listener) > 0);
        prop_assert_eq!(width(&members, true) == Width::None, is(Member::Wakeup) == members.len());
        prop_assert_eq!(width(&members, false), if wide { Width::Many } else { Width::Unknown });
    }
}

fn member(n: u8) -> Member {
    [Member::Wakeup, Member::Peer, Member::Listener, Member::Datagram][usize::from(n)]
}

fn width(members: &[Member], complete: bool) -> Width {
    let mut census = Census::EMPTY;
    for m in members {
        if census.add(*m) {
            assert_eq!(census.width(false), Width::Many, "a settled width stays");
        }
    }
    census.width(complete)
}
