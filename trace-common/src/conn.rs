//! Connections, and the episodes that name an I/O model.
//!
//! An *episode* is one answer to "nothing is there": it begins when a thread comes to wait for a connection and ends
//! with the first byte received on it. The way it ends names it.

use crate::loss::Sink;
use crate::ready::Width;
use crate::thread::Thread;
use crate::timeline::Note;
use crate::turn::Turn;

/// Number of sides, a power of two for the verifier.
pub const SIDES: usize = 8;
/// Number of endings, likewise.
pub const ENDINGS: usize = 8;
/// Episodes counted per connection, so that one hot connection cannot decide.
pub const MAX_EPISODES: u32 = 1000;

/// Which end of a connection the target holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "user",
    derive(schemars::JsonSchema, serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[repr(u8)]
pub enum Side {
    /// Anything else.
    Other = 0,
    /// Accepted, or its local port is one of the target's listeners.
    Server = 1,
    /// The target connected it.
    Client = 2,
    /// Both ends are in the target.
    Local = 3,
    /// A datagram socket.
    Datagram = 4,
}

impl Side {
    /// All sides, in the order of their discriminants.
    pub const ALL: [Side; 5] = [Side::Other, Side::Server, Side::Client, Side::Local, Side::Datagram];

    /// Index into arrays of [`SIDES`].
    #[inline(always)]
    pub const fn index(self) -> usize {
        self as usize & (SIDES - 1)
    }

    /// The side with this discriminant.
    #[inline(always)]
    pub const fn from_u8(value: u8) -> Side {
        match value {
            1 => Side::Server,
            2 => Side::Client,
            3 => Side::Local,
            4 => Side::Datagram,
            _ => Side::Other,
        }
    }
}

/// How an episode ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ending {
    /// The receive itself slept.
    Slept = 0,
    /// After a readiness wait over several peers.
    ReadyWide = 1,
    /// After a readiness wait over exactly one peer.
    ReadyNarrow = 2,
    /// After a readiness wait whose width is not known.
    ReadyUnknown = 3,
    /// After an empty ask that followed an empty ask.
    Polled = 4,
    /// After a signal that announced it.
    Signalled = 5,
    /// There was no episode: the data was there.
    Immediate = 7,
}

impl Ending {
    /// Index into arrays of [`ENDINGS`].
    #[inline(always)]
    pub const fn index(self) -> usize {
        self as usize & (ENDINGS - 1)
    }
}

/// The last readiness event that covers a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Cover {
    /// When the readiness call returned; 0 for none.
    pub at: u64,
    /// [`Width`] of that wait.
    pub width: u8,
    /// Non-zero if it came at the end of repeated empty readiness calls.
    pub polled: u8,
    /// Non-zero if it was a signal.
    pub signalled: u8,
    /// Padding.
    pub reserved: [u8; 5],
}

impl Cover {
    /// No readiness event.
    pub const NONE: Cover =
        Cover { at: 0, width: Width::Unknown as u8, polled: 0, signalled: 0, reserved: [0; 5] };

    /// A signal at `at`.
    #[inline(always)]
    pub const fn signal(at: u64) -> Cover {
        Cover { at, signalled: 1, ..Cover::NONE }
    }

    /// The later of two events.
    #[inline(always)]
    pub fn later(self, other: Cover) -> Cover {
        if other.at > self.at { other } else { self }
    }
}

/// Facts about a connection, as bits of [`Conn::flags`].
pub mod flag {
    /// It was seen to be accepted.
    pub const ACCEPTED: u8 = 1;
    /// It was asked without waiting (`MSG_DONTWAIT` or `O_NONBLOCK`).
    pub const ASKED_NONBLOCKING: u8 = 2;
    /// It was asked by a call that may wait.
    pub const ASKED_BLOCKING: u8 = 4;
    /// It was seen in an epoll set.
    pub const IN_EPOLL: u8 = 8;
    /// Its file has `O_ASYNC`: its owner asked to be told by a signal.
    pub const O_ASYNC: u8 = 16;
}

/// A connection, or another socket that is received from.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Conn {
    /// `struct sock *`, which it is found by.
    pub sk: u64,
    /// Last receive with data (or the time it was accepted or first seen).
    pub last_data_at: u64,
    /// Last empty ask.
    pub last_empty_at: u64,
    /// Last readiness event by poll or select.
    pub ready: Cover,
    /// Epoll instance it was last seen in.
    pub ep: u64,
    /// Sleeps for data on it.
    pub waits: u64,
    /// Their time.
    pub wait_ns: u64,
    /// Receives with data.
    pub receives: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Episodes counted.
    pub episodes: u32,
    /// Process that received last.
    pub tgid: u32,
    /// Thread that received last.
    pub tid: u32,
    /// How often the receiving thread changed.
    pub handovers: u32,
    /// The exchange in progress.
    pub turn: Turn,
    /// Replies that the target waited for, on the client side.
    pub replies: u64,
    /// From the end of the last send to the first byte, ns, over all replies.
    pub reply_ns: u64,
    /// When it was accepted; 0 if that was not seen.
    pub accepted_at: u64,
    /// Thread that accepted it; 0 if that was not seen.
    pub accepted_by: u32,
    /// Process of that thread.
    pub accepted_in: u32,
    /// Sends that moved bytes, in the window.
    pub sends: u64,
    /// Remote address (IPv4 in the first four bytes).
    pub remote: [u8; 16],
    /// Local port, host order.
    pub local_port: u16,
    /// Remote port, host order.
    pub remote_port: u16,
    /// Address family.
    pub family: u8,
    /// `SOCK_*` type.
    pub sock_type: u8,
    /// [`Side`].
    pub side: u8,
    /// See [`flag`].
    pub flags: u8,
    /// Non-zero: the last empty ask followed another, with at most a nap between.
    pub polled: u8,
    /// Non-zero once a narrow episode was counted.
    pub narrow: u8,
    /// Non-zero: `ep` is the set that it is in, as of the last look; see [`Conn::is_set_known`].
    pub set_known: u8,
    /// Padding.
    pub reserved: [u8; 5],
}

/// Receives between two looks at which epoll sets a connection is in; `EPOLL_CTL_DEL` makes one due at once.
const LOOK_EVERY: u64 = 16;

impl Conn {
    /// The side.
    #[inline(always)]
    pub fn side(&self) -> Side {
        Side::from_u8(self.side)
    }

    /// Whether the epoll set that it is in need not be looked for.
    #[inline(always)]
    pub fn is_set_known(&self) -> bool {
        self.set_known != 0 && !self.receives.is_multiple_of(LOOK_EVERY)
    }

    /// Whether another episode of it may count.
    #[inline(always)]
    pub fn may_count(&self) -> bool {
        self.episodes < MAX_EPISODES
    }

    /// A send that moved bytes, from `entered` to `now`.
    #[inline(always)]
    pub fn sent(&mut self, entered: u64, now: u64) {
        self.sends += 1;
        self.turn.sent(entered, now);
    }

    /// Whether thread `tid` received a request here that nobody has answered yet.
    #[inline(always)]
    pub fn awaits_answer_of(&self, tid: u32) -> bool {
        self.tid == tid && self.turn.began_at != 0 && !self.turn.is_answered()
    }

    /// The same by thread `t`, to the connection behind `sk`.
    #[inline(always)]
    pub fn sent_by(&mut self, t: &mut Thread, sk: u64, now: u64) {
        let answers =
            matches!(self.side(), Side::Server) && self.turn.began_at != 0 && !self.turn.is_answered();
        if answers {
            let count = if self.tid != t.tid {
                &mut t.answers.handed
            } else if t.received.sk == sk {
                &mut t.answers.followed
            } else {
                &mut t.answers.interleaved
            };
            *count += 1;
        }
        self.sent(t.call.entered_at, now);
    }

    /// The first byte came after something was sent.
    #[inline(always)]
    fn replied(&mut self, from: u64, sink: &mut impl Sink) {
        if self.turn.sent_at != 0 {
            self.replies += 1;
            self.reply_ns = self.reply_ns.wrapping_add(from.saturating_sub(self.turn.sent_at));
            sink.mark_conn(self, Note::Reply, from);
            self.turn.sent_at = 0;
        }
    }

    /// Whatever follows an answer ends its turn.
    #[inline(always)]
    fn end_turn(&self, sink: &mut impl Sink) {
        sink.turn(self.turn.spent());
        sink.mark_conn(self, Note::Receive, self.turn.sent_at);
    }

    /// No more data will come: whoever has answered is done.
    #[inline(always)]
    pub fn closed(&mut self, sink: &mut impl Sink) {
        if matches!(self.side(), Side::Server) && self.turn.is_answered() {
            self.end_turn(sink);
            self.turn = Turn::NONE;
        }
    }

    /// A sleep for data of `nanos` (0 for none).
    #[inline(always)]
    pub fn note_wait(&mut self, nanos: u64) {
        if nanos > 0 {
            self.waits += 1;
            self.wait_ns = self.wait_ns.wrapping_add(nanos);
        }
    }

    /// How an episode ends that a receive with data ends now.
    #[inline(always)]
    pub fn ending(&self, slept: bool, cover: Cover) -> Ending {
        if slept {
            return Ending::Slept;
        }
        if cover.at > self.last_data_at {
            let asked_since = self.polled != 0 && self.last_empty_at > cover.at;
            if asked_since || cover.polled != 0 {
                return Ending::Polled;
            }
            if cover.signalled != 0 {
                return Ending::Signalled;
            }
            return match Width::from_u8(cover.width) {
                Width::Many => Ending::ReadyWide,
                Width::One | Width::Datagram => Ending::ReadyNarrow,
                Width::None | Width::Listeners | Width::Unknown => Ending::ReadyUnknown,
            };
        }
        if self.polled != 0 { Ending::Polled } else { Ending::Immediate }
    }

    /// An empty ask at `now`. It is polling if it follows an empty ask with no readiness event or sleeping readiness
    /// wait of the same thread (`slept_end_at`) between; a nap does not count as one.
    #[inline(always)]
    pub fn empty_ask(&mut self, now: u64, cover: Cover, slept_end_at: u64) {
        let asked_before = self.last_empty_at > self.last_data_at;
        let waited_between = cover.at > self.last_empty_at || slept_end_at > self.last_empty_at;
        self.polled = u8::from(asked_before && !waited_between);
        self.last_empty_at = now;
    }

    /// A receive with data, the first byte of it at `from`, ended at `now`.
    #[inline(always)]
    pub fn received(&mut self, from: u64, now: u64, bytes: u64, tid: u32, sink: &mut impl Sink) {
        match self.side() {
            Side::Server => {
                if self.turn.is_answered() {
                    self.end_turn(sink);
                }
                self.turn.received(from, now);
            }
            Side::Client => self.replied(from, sink),
            _ => {}
        }
        self.last_data_at = now;
        self.polled = 0;
        self.receives += 1;
        self.bytes = self.bytes.wrapping_add(bytes);
        if self.tid != tid {
            if self.tid != 0 {
                self.handovers += 1;
            }
            self.tid = tid;
        }
    }
}

/// What connections of one peer came to that have no record any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Peer {
    /// Connections.
    pub connections: u64,
    /// Sleeps for data on them.
    pub waits: u64,
    /// Their time, ns.
    pub wait_ns: u64,
    /// Receives with data.
    pub receives: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Replies that the target waited for.
    pub replies: u64,
    /// Their time, ns.
    pub reply_ns: u64,
}

impl Peer {
    /// Adds what came of one connection.
    #[inline(always)]
    pub fn add(&mut self, conn: &Conn) {
        self.connections += 1;
        self.waits = self.waits.wrapping_add(conn.waits);
        self.wait_ns = self.wait_ns.wrapping_add(conn.wait_ns);
        self.receives = self.receives.wrapping_add(conn.receives);
        self.bytes = self.bytes.wrapping_add(conn.bytes);
        self.replies = self.replies.wrapping_add(conn.replies);
        self.reply_ns = self.reply_ns.wrapping_add(conn.reply_ns);
    }
}

/// Whom connections have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PeerKey {
    /// Remote address, as in [`Conn::remote`].
    pub remote: [u8; 16],
    /// Remote port on the client side; 0 else, since the port of a client says nothing.
    pub port: u16,
    /// Address family.
    pub family: u8,
    /// [`Side`].
    pub side: u8,
}

impl PeerKey {
    /// That of `conn`.
    #[inline(always)]
    pub fn of(conn: &Conn) -> PeerKey {
        let anonymous = matches!(conn.side(), Side::Server | Side::Local);
        PeerKey {
            remote: conn.remote,
            port: if anonymous { 0 } else { conn.remote_port },
            family: conn.family,
            side: conn.side,
        }
    }
}

/// A pipe, as far as it was seen to be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Pipe {
    /// Process that last wrote a few bytes to it.
    pub writer: u32,
    /// Non-zero once it delivered bytes to another process than that.
    pub delivers: u32,
}

/// Writes of at most so many bytes may be wake-ups: an eventfd's worth.
pub const WAKEUP_BYTES: i64 = 8;

/// An epoll instance.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Epoll {
    /// The last wait on it that returned descriptors.
    pub ready: Cover,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Nowhere;

    fn cover(at: u64, width: Width) -> Cover {
        Cover { at, width: width as u8, ..Cover::NONE }
    }

    #[test]
    fn data_after_a_readiness_event_is_after_ready_once() {
        let mut conn = Conn::default();
        let event = cover(10, Width::Many);
        assert_eq!(conn.ending(false, event), Ending::ReadyWide);
        conn.received(11, 11, 1, 7, &mut Nowhere);
        assert_eq!(conn.ending(false, event), Ending::Immediate, "the event was used up");
    }

    #[test]
    fn one_empty_ask_before_a_wait_is_no_polling() {
        let mut conn = Conn::default();
        conn.received(1, 1, 1, 7, &mut Nowhere);
        conn.empty_ask(2, Cover::NONE, 0);
        assert_eq!(conn.ending(false, cover(5, Width::Many)), Ending::ReadyWide);
        assert_eq!(conn.ending(false, Cover::NONE), Ending::Immediate);
    }

    #[test]
    fn two_empty_asks_in_a_row_are_polling_unless_a_wait_lies_between() {
        let mut conn = Conn::default();
        conn.empty_ask(2, Cover::NONE, 0);
        conn.empty_ask(4, Cover::NONE, 0);
        assert_eq!(conn.ending(false, Cover::NONE), Ending::Polled);
        conn.empty_ask(6, Cover::NONE, 5);
        assert_eq!(conn.ending(false, Cover::NONE), Ending::Immediate, "a readiness wait slept between");
    }

    #[test]
    fn a_signal_ends_an_episode_once_and_what_comes_later_ends_the_next() {
        let mut conn = Conn::default();
        assert_eq!(conn.ending(false, Cover::signal(10)), Ending::Signalled);
        conn.received(11, 11, 1, 7, &mut Nowhere);
        assert_eq!(conn.ending(false, Cover::signal(10)), Ending::Immediate, "the handler drains the socket");
        conn.empty_ask(12, Cover::signal(10), 0);
        conn.empty_ask(21, Cover::signal(20), 0);
        assert_eq!(conn.ending(false, Cover::signal(30)), Ending::Signalled, "a signal came too late once");
        let both = Cover::signal(30).later(cover(40, Width::Many));
        assert_eq!(conn.ending(false, both), Ending::ReadyWide);
    }

    #[test]
    fn who_spins_and_then_sleeps_is_multiplexing() {
        let mut conn = Conn::default();
        conn.empty_ask(2, Cover::NONE, 0);
        conn.empty_ask(3, Cover::NONE, 0);
        assert_eq!(conn.ending(false, cover(9, Width::Many)), Ending::ReadyWide);
    }
}
