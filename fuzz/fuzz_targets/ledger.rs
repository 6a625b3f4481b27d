//! The state machine of a thread under any events in any order at any time: after each of them what the property tests
//! demand of it must hold (`trace-common/tests/support/replay.rs`), the conservation of time first of all.
#![no_main]

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use trace_common::account::Account;
use trace_common::ledger::{Off, Registers, Seed, Stamps};

// The replay of the property tests, as it is; they use more of it.
#[allow(dead_code, reason = "see above")]
#[path = "../../trace-common/tests/support/event.rs"]
mod event;
#[allow(dead_code, reason = "see above")]
#[path = "../../trace-common/tests/support/replay.rs"]
mod replay;
#[path = "../../trace-common/tests/support/sink.rs"]
mod sink;

use event::{Event, Traced};
use replay::{Recovery, Replay};

/// Start of the window, and the distance of the scheduler's clock, by these names for the replay.
const START: u64 = 1_000_000;
const SKEW: u64 = 777;

/// Calls of every class, and one that does not exist.
const CALLS: [u32; 16] = [0, 1, 7, 15, 19, 23, 45, 47, 56, 202, 208, 219, 232, 288, 299, 426];

/// Mostly a little later than before, now and then any time.
fn time(u: &mut Unstructured<'_>, last: u64) -> Result<u64> {
    Ok(match u8::arbitrary(u)? {
        0..=199 => last.saturating_add(u16::arbitrary(u)?.into()),
        200..=229 => last.saturating_add(u32::arbitrary(u)?.into()),
        230..=239 => last.saturating_sub(u16::arbitrary(u)?.into()),
        240..=249 => START.saturating_add(u64::arbitrary(u)? >> 16),
        _ => u64::arbitrary(u)?,
    })
}

fn registers(u: &mut Unstructured<'_>) -> Result<Registers> {
    let nr = match u8::arbitrary(u)? {
        known @ 0..=219 => CALLS[usize::from(known) % CALLS.len()],
        220..=249 => u16::arbitrary(u)?.into(),
        _ => u32::arbitrary(u)?,
    };
    let bits = u8::arbitrary(u)?;
    Ok(Registers { nr, args: [0, 1, 2, 3].map(|i| u64::from(bits >> i & 1)) })
}

fn call(u: &mut Unstructured<'_>) -> Result<Registers> {
    if bool::arbitrary(u)? { registers(u) } else { Ok(Registers::NONE) }
}

fn account(u: &mut Unstructured<'_>) -> Result<Account> {
    Ok(Account::ALL[usize::from(u8::arbitrary(u)?) % Account::ALL.len()])
}

fn some_event(u: &mut Unstructured<'_>, last: u64) -> Result<Event> {
    Ok(match u8::arbitrary(u)? % 23 {
        0..=3 => Event::Enter(registers(u)?),
        4..=7 => {
            let result = match u8::arbitrary(u)? {
                0..=99 => i64::from(i8::arbitrary(u)?),
                100..=199 => -512 - i64::from(u8::arbitrary(u)? % 5),
                _ => i64::arbitrary(u)?,
            };
            Event::Exit(registers(u)?, result)
        }
        8..=10 => Event::FirstByte(registers(u)?),
        11 => Event::RingCopied,
        12 => Event::WorkDone,
        13..=14 => Event::Out(Off::Asleep(account(u)?), call(u)?),
        15 => Event::Out(Off::Preempted, call(u)?),
        16..=18 => Event::In(Seed { call: call(u)?, account: account(u)? }),
        19..=21 => Event::Wake(time(u, last)?),
        _ => Event::Die,
    })
}

fn stamps(u: &mut Unstructured<'_>, at: u64) -> Result<Stamps> {
    if bool::arbitrary(u)? {
        let near = at.saturating_sub(SKEW).saturating_sub(u8::arbitrary(u)?.into());
        return Ok(Stamps { last_arrival: near, last_queued: 0, run_delay: u16::arbitrary(u)?.into() });
    }
    let mut stamp = || time(u, at);
    Ok(Stamps { last_arrival: stamp()?, last_queued: stamp()?, run_delay: stamp()? })
}

fn recovery(u: &mut Unstructured<'_>) -> Result<Recovery> {
    Ok(match u8::arbitrary(u)? % 4 {
        0 => Recovery::Off,
        1 | 2 => Recovery::True,
        _ => Recovery::Garbage(vec![
            (stamps(u, START)?, u16::arbitrary(u)?.into()),
            (stamps(u, START)?, u64::arbitrary(u)?),
        ]),
    })
}

/// Replays what the bytes say until they end.
fn story(u: &mut Unstructured<'_>) -> Result<()> {
    let mut replay = Replay::new(recovery(u)?);
    let (close, asleep) = (bool::arbitrary(u)?, Option::<bool>::arbitrary(u)?);
    let mut last = START;
    let mut told = Ok(());
    let mut born = false;
    while !u.is_empty() {
        let next = time(u, last).and_then(|at| Ok((at.max(START), some_event(u, last)?, stamps(u, at)?)));
        let (at, mut event, stamps) = match next {
            Ok(next) => next,
            Err(e) => {
                told = Err(e);
                break;
            }
        };
        // A birth, if any, comes first: it makes the record.
        if !std::mem::replace(&mut born, true) && matches!(event, Event::WorkDone) {
            event = Event::Birth { kernel_io: stamps.run_delay & 1 != 0 };
        }
        last = last.max(at);
        replay.feed(&Traced { at, event, stamps });
    }
    if close {
        replay.close(last, asleep);
    }
    told
}

fuzz_target!(|bytes: &[u8]| {
    // Bytes that end early end the story.
    let _ = story(&mut Unstructured::new(bytes));
});
