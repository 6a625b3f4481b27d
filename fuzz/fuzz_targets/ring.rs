//! The record of an io_uring under any completions: the identities of receives hold, and connections that it serves stay
//! within what may be counted of them.
#![no_main]

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use trace_common::conn::{Conn, MAX_EPISODES};
use trace_common::loss::Nowhere;
use trace_common::syscall::FileKind;
use trace_common::uring::{Op, Received, Ring, Way, op_of};

fn result(u: &mut Unstructured<'_>) -> Result<i64> {
    Ok(match u8::arbitrary(u)? {
        0..=99 => u16::arbitrary(u)?.into(),
        100..=199 => [0, -4, -11, -104, -125][usize::from(u8::arbitrary(u)?) % 5],
        _ => i64::from(i32::arbitrary(u)?),
    })
}

fn way(u: &mut Unstructured<'_>) -> Result<Way> {
    Ok([Way::Inline, Way::Armed, Way::Queued][usize::from(u8::arbitrary(u)?) % 3])
}

/// What was done, counted apart.
#[derive(Default)]
struct Done {
    receives: u64,
    accepts: u64,
    stored: u64,
    polls: u64,
}

fn step(u: &mut Unstructured<'_>, ring: &mut Ring, conns: &mut [Conn], done: &mut Done) -> Result<()> {
    let kind = FileKind::from_u8(u8::arbitrary(u)? % 11);
    match op_of(u8::arbitrary(u)?, kind) {
        Op::Receive => {
            let now = u64::arbitrary(u)? >> 8;
            let received = Received { now, result: result(u)?, way: way(u)?, datagram: bool::arbitrary(u)? };
            let conn = conns.get_mut(usize::from(u8::arbitrary(u)?) % 4);
            ring.received(conn, received, &mut Nowhere);
            done.receives += 1;
        }
        Op::Accept => {
            ring.accepted(result(u)?);
            done.accepts += 1;
        }
        Op::Send => ring.sent(result(u)?),
        Op::Storage => {
            ring.stored(result(u)?, way(u)?);
            done.stored += 1;
        }
        Op::Poll => {
            let (counted, listener) = (bool::arbitrary(u)?, bool::arbitrary(u)?);
            match u8::arbitrary(u)? % 3 {
                0 => ring.poll_begun(listener),
                1 => ring.poll_ended(listener),
                _ => {
                    ring.polled(counted, listener);
                    done.polls += 1;
                }
            }
        }
        Op::Other => ring.finished(),
    }
    Ok(())
}

fn check(ring: &Ring, conns: &[Conn], done: &Done) {
    let r = &ring.receives;
    assert_eq!(r.calls, done.receives);
    assert_eq!(r.calls, r.with_data + r.eof + r.eagain + r.interrupted + r.failed);
    assert_eq!(r.with_data, r.completed, "a ring's receives are told when they are done");
    assert_eq!(ring.receive_ways.total(), r.calls);
    assert!(ring.accepts.accepted + ring.accepts.eagain <= ring.accepts.calls);
    assert_eq!((ring.accepts.calls, ring.storage), (done.accepts, done.stored));
    assert_eq!(ring.storage_ways.total(), ring.storage);
    assert_eq!(ring.polls.iter().sum::<u64>(), done.polls);
    assert!(ring.episodes.iter().sum::<u64>() <= r.completed, "more episodes than receives");
    assert!(conns.iter().all(|c| c.episodes <= MAX_EPISODES));
}

fuzz_target!(|bytes: &[u8]| {
    let mut u = Unstructured::new(bytes);
    let made_here = u32::from(bytes.len().is_multiple_of(2));
    let mut ring = Ring { tgid: 1, tid: 2, made_here, ..Ring::default() };
    let mut conns = [0u8, 1, 2].map(|side| Conn { side, episodes: MAX_EPISODES - 2, ..Conn::default() });
    let mut done = Done::default();
    while !u.is_empty() && step(&mut u, &mut ring, &mut conns, &mut done).is_ok() {
        check(&ring, &conns, &done);
    }
    check(&ring, &conns, &done);
});
