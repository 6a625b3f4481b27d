//! Readiness waits: select, poll, epoll.

use crate::bounded;
use crate::call::flag as call_flag;
use crate::conn::Cover;
use crate::syscall::CallClass;
use crate::thread::Thread;

/// How many peers a wait is over. A *peer* is a connected or listening socket or a tty; wake-up descriptors (eventfd,
/// timerfd, signalfd, inotify, silent pipes, sockets whose other end is in the target) are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum Width {
    /// Not measured.
    Unknown = 0,
    /// Wake-up descriptors only.
    None = 1,
    /// Listeners only: an interruptible accept.
    Listeners = 2,
    /// Exactly one peer.
    One = 3,
    /// Exactly one unconnected datagram socket: one descriptor, many peers.
    Datagram = 4,
    /// At least two peers, or a listener and a peer.
    Many = 5,
}

/// Number of widths, a power of two for the verifier.
pub const WIDTHS: usize = 8;

impl Width {
    /// The width with this discriminant.
    #[inline(always)]
    pub const fn from_u8(value: u8) -> Width {
        match value {
            1 => Width::None,
            2 => Width::Listeners,
            3 => Width::One,
            4 => Width::Datagram,
            5 => Width::Many,
            _ => Width::Unknown,
        }
    }
}

/// What one descriptor adds to the width of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Member {
    /// A wake-up.
    Wakeup = 0,
    /// A connected socket or a tty.
    Peer = 1,
    /// A listening socket.
    Listener = 2,
    /// An unconnected datagram socket.
    Datagram = 3,
    /// A pipe that bytes went through, where calls are not traced: a peer, or a wake-up of its own process.
    Undecided = 4,
}

impl Member {
    /// The member with this discriminant; [`Member::Wakeup`] for any other value.
    #[inline(always)]
    pub const fn from_u8(value: u8) -> Member {
        match value {
            1 => Member::Peer,
            2 => Member::Listener,
            3 => Member::Datagram,
            4 => Member::Undecided,
            _ => Member::Wakeup,
        }
    }
}

/// What was seen so far in one wait, as bits.
///
/// No counters, and no branch on a bit: the verifier follows a scan step by step until a step ends as one before it did.
/// Counters never do, so that it walked through as many steps as a scan may have, 118,000 of the 147,000 instructions that
/// it looked at in all of `sys_enter` (6.18).
#[derive(Clone, Copy, Debug, Default)]
pub struct Census {
    seen: u32,
}

/// Bits of [`Census::seen`]; the lower ones are `1 << Member`.
const SECOND: u32 = 5;

impl Census {
    /// Nothing seen.
    pub const EMPTY: Census = Census { seen: 0 };

    /// Counts one descriptor; returns whether the width is settled.
    #[inline(always)]
    pub fn add(&mut self, member: Member) -> bool {
        let new = 1 << member as u32;
        let second = connected(self.seen) & connected(new);
        self.seen |= new | second << SECOND;
        self.is_many()
    }

    #[inline(always)]
    fn is_many(self) -> bool {
        let beside_listener = connected(self.seen) & self.seen >> Member::Listener as u32;
        (self.seen >> SECOND | beside_listener) & 1 != 0
    }

    #[inline(always)]
    fn has(self, member: Member) -> bool {
        self.seen >> member as u32 & 1 != 0
    }

    /// The width. `complete` says whether all descriptors were looked at.
    #[inline(always)]
    pub fn width(self, complete: bool) -> Width {
        if self.is_many() {
            Width::Many
        } else if !complete || self.has(Member::Undecided) {
            Width::Unknown
        } else if self.has(Member::Peer) {
            Width::One
        } else if self.has(Member::Datagram) {
            Width::Datagram
        } else if self.has(Member::Listener) {
            Width::Listeners
        } else {
            Width::None
        }
    }
}

/// 1 if there is one with a peer of its own, or many, among what was seen, else 0.
#[inline(always)]
fn connected(seen: u32) -> u32 {
    (seen >> Member::Peer as u32 | seen >> Member::Datagram as u32) & 1
}

/// Readiness waits of one thread, those without descriptors left out.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Ready {
    /// Calls.
    pub calls: u64,
    /// … that slept.
    pub slept: u64,
    /// … that returned descriptors.
    pub returned: u64,
    /// … that returned nothing and did not sleep: empty asks.
    pub empty: u64,
    /// Descriptors returned.
    pub events: u64,
    /// End of the last sleeping wait.
    pub slept_end_at: u64,
    /// End of the last sleeping poll or select, where calls are not traced.
    pub polled_at: u64,
    /// Last return of a wait over more descriptors than are looked at.
    pub cut_at: u64,
    /// Waits that slept or returned, by [`Width`].
    pub by_width: [u64; WIDTHS],
    /// Calls by family: select, poll, epoll, and one that stays unused.
    pub by_call: [u64; 4],
    /// `struct eventpoll *` of that call, if it was one of epoll.
    pub ep: u64,
    /// The last event of that set that this thread was told of.
    pub told: Cover,
    /// Arguments of the call whose width was measured last.
    pub measured_args: [u64; 2],
    /// Calls since then.
    pub since_measured: u32,
    /// Empty readiness calls in a row, without a sleep or other useful work between.
    pub empty_streak: u32,
    /// [`Width`] as measured last.
    pub width: u8,
    /// Non-zero: that set had no descriptors.
    pub bare: u8,
    /// Padding.
    pub reserved: [u8; 6],
}

/// Waits of a thread whose width is measured each time before sampling starts.
const MEASURE_FIRST: u64 = 64;
/// Sampling period of a wait over several peers: it rarely shrinks.
const MEASURE_WIDE_EVERY: u32 = 64;
/// Sampling period of any other wait: one more peer changes what it means.
const MEASURE_NARROW_EVERY: u32 = 4;

impl Ready {
    /// None.
    pub const ZERO: Ready = Ready {
        calls: 0,
        slept: 0,
        returned: 0,
        empty: 0,
        events: 0,
        slept_end_at: 0,
        polled_at: 0,
        cut_at: 0,
        by_width: [0; WIDTHS],
        by_call: [0; 4],
        ep: 0,
        told: Cover::NONE,
        measured_args: [0; 2],
        since_measured: 0,
        empty_streak: 0,
        width: Width::Unknown as u8,
        bare: 0,
        reserved: [0; 6],
    };

    /// Whether the width of a wait with these arguments is to be measured now.
    #[inline(always)]
    pub fn measure_due(&mut self, args: [u64; 2]) -> bool {
        let same = args[0] == self.measured_args[0] && args[1] == self.measured_args[1];
        self.since_measured += 1;
        let every = if self.width == Width::Many as u8 { MEASURE_WIDE_EVERY } else { MEASURE_NARROW_EVERY };
        if same && self.calls >= MEASURE_FIRST && self.since_measured < every {
            return false;
        }
        self.measured_args = args;
        self.since_measured = 0;
        true
    }
}

/// Accounts the end of the readiness call in flight, and returns the event to mark the returned descriptors with, if
/// there are any.
#[inline(always)]
pub fn finish(t: &mut Thread, now: u64, ret: i64) -> Option<Cover> {
    if t.call.has(call_flag::NO_DESCRIPTORS) {
        return None;
    }
    let slept = t.call.has(call_flag::SLEPT);
    let ready = &mut t.ready;
    ready.calls += 1;
    let family = bounded::<4>(usize::from(t.call.class.wrapping_sub(CallClass::Select as u8)));
    ready.by_call[family] = ready.by_call[family].wrapping_add(1);
    if slept {
        ready.slept += 1;
        ready.slept_end_at = now;
        ready.empty_streak = 0;
    }
    if slept || ret > 0 {
        let w = bounded::<WIDTHS>(usize::from(ready.width));
        ready.by_width[w] = ready.by_width[w].wrapping_add(1);
    }
    if ret == 0 && !slept {
        ready.empty += 1;
        ready.empty_streak = ready.empty_streak.saturating_add(1);
    }
    if ret <= 0 {
        return None;
    }
    ready.returned += 1;
    ready.events = ready.events.wrapping_add(ret as u64);
    let polled = !slept && ready.empty_streak >= 2;
    ready.empty_streak = 0;
    Some(Cover { at: now, width: ready.width, polled: u8::from(polled), ..Cover::NONE })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn width(members: &[Member]) -> Width {
        let mut census = Census::EMPTY;
        for m in members {
            census.add(*m);
        }
        census.width(true)
    }

    #[test]
    fn the_width_of_a_wait_decides_not_its_call() {
        use Member::*;
        assert_eq!(width(&[]), Width::None);
        assert_eq!(width(&[Wakeup, Wakeup]), Width::None);
        assert_eq!(width(&[Listener, Listener]), Width::Listeners);
        assert_eq!(width(&[Wakeup, Peer, Wakeup]), Width::One, "PostgreSQL: a client, a latch, a death pipe");
        assert_eq!(width(&[Listener, Peer]), Width::Many);
        assert_eq!(width(&[Peer, Peer]), Width::Many);
        assert_eq!(width(&[Datagram]), Width::Datagram);
        assert_eq!(width(&[Datagram, Listener]), Width::Many);
    }

    #[test]
    fn a_pipe_that_may_be_a_peer_leaves_the_width_open() {
        use Member::*;
        assert_eq!(width(&[Peer, Undecided]), Width::Unknown);
        assert_eq!(width(&[Peer, Undecided, Peer]), Width::Many);
    }

    #[test]
    fn a_scan_that_was_cut_short_does_not_claim_one_peer() {
        let mut census = Census::EMPTY;
        census.add(Member::Peer);
        assert_eq!(census.width(false), Width::Unknown);
    }
}
