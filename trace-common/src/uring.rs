//! io_uring: the ring is the unit.
//!
//! A completion is posted by whichever context finishes the request: the submitter's task work, an io-wq worker, the
//! SQPOLL thread, a kworker. It is therefore booked to the ring and never to the current thread; user space adds each
//! ring to the thread that owns it.
//!
//! One writer per field here means one lock per field: a completion queue has one writer at a time (`completion_lock`, or
//! `uring_lock` where the ring has a single issuer), and the event is inside that section (`io_fill_cqe_req` and
//! `io_fill_cqe_aux`, io_uring/io_uring.c of 6.1 to 6.18); submissions are under `uring_lock`.

use crate::bounded;
use crate::call::{EAGAIN, EINTR};
use crate::conn::{Conn, SIDES};
use crate::loss::Sink;
use crate::ready::{WIDTHS, Width};
use crate::receive::{Accepts, Receives};
use crate::syscall::FileKind;

/// `IORING_OP_POLL_ADD`, `include/uapi/linux/io_uring.h`, as the other numbers here.
pub const OP_POLL_ADD: u8 = 6;
/// `IORING_CQE_F_MORE`: further completions of the same request will follow.
pub const CQE_MORE: u32 = 1 << 1;
/// `IORING_CQE_F_NOTIF`: the buffer of a zero-copy send is free again; no completion of its own.
pub const CQE_NOTIFICATION: u32 = 1 << 3;
/// `-ECANCELED`.
const ECANCELED: i64 = -125;

/// What a request does, as far as the model is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// Anything else.
    Other = 0,
    /// A receive on a socket.
    Receive = 1,
    /// An accept.
    Accept = 2,
    /// A send on a socket.
    Send = 3,
    /// A readiness request.
    Poll = 4,
    /// A read or write of a file.
    Storage = 5,
}

/// What opcode `opcode` does on a file of kind `kind`.
#[inline(always)]
pub const fn op_of(opcode: u8, kind: FileKind) -> Op {
    match opcode {
        // READV READ_FIXED READ READ_MULTISHOT READV_FIXED
        1 | 4 | 22 | 49 | 60 => match kind {
            FileKind::Socket => Op::Receive,
            FileKind::File => Op::Storage,
            _ => Op::Other,
        },
        // WRITEV WRITE_FIXED WRITE WRITEV_FIXED
        2 | 5 | 23 | 61 => match kind {
            FileKind::Socket => Op::Send,
            FileKind::File => Op::Storage,
            _ => Op::Other,
        },
        10 | 27 | 58 => Op::Receive,  // RECVMSG RECV RECV_ZC
        9 | 26 | 47 | 48 => Op::Send, // SENDMSG SEND SEND_ZC SENDMSG_ZC
        13 => Op::Accept,
        OP_POLL_ADD => Op::Poll,
        _ => Op::Other,
    }
}

/// How a request came to be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Way {
    /// At its submission, or by the device.
    Inline = 0,
    /// After the kernel had to wait for readiness.
    Armed = 1,
    /// By an io-wq worker.
    Queued = 2,
}

/// Completions by [`Way`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(schemars::JsonSchema, serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct Ways {
    /// See [`Way::Inline`].
    pub inline: u64,
    /// See [`Way::Armed`].
    pub armed: u64,
    /// See [`Way::Queued`].
    pub queued: u64,
}

impl Ways {
    #[inline(always)]
    fn count(&mut self, way: Way) {
        match way {
            Way::Inline => add(&mut self.inline, 1),
            Way::Armed => add(&mut self.armed, 1),
            Way::Queued => add(&mut self.queued, 1),
        }
    }

    /// All of them (host side).
    pub const fn total(&self) -> u64 {
        self.inline + self.armed + self.queued
    }

    /// Adds `other` (host side).
    pub fn add(&mut self, other: &Ways) {
        self.inline += other.inline;
        self.armed += other.armed;
        self.queued += other.queued;
    }
}

/// One ring.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Ring {
    /// Process that owns it.
    pub tgid: u32,
    /// Thread that owns it: its maker, or who was first seen to submit.
    pub tid: u32,
    /// `IORING_SETUP_*` flags; 0 if it was not seen to be made.
    pub setup: u32,
    /// Non-zero if it was seen to be made, so that all of its requests were seen.
    pub made_here: u32,
    /// When it was made; 0 if that was before the window or not seen.
    pub made_at: u64,
    /// Readiness requests that began to wait: on peers, and on listeners.
    pub polls_begun: [u64; 2],
    /// … and ended.
    pub polls_ended: [u64; 2],
    /// Requests submitted.
    pub submitted: u64,
    /// Completions of receives on sockets.
    pub receives: Receives,
    /// … by the way they took.
    pub receive_ways: Ways,
    /// Completions of accepts.
    pub accepts: Accepts,
    /// Completions of sends that moved bytes.
    pub sends: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Completions of readiness requests, by the [`Width`] of the set of those waiting.
    pub polls: [u64; WIDTHS],
    /// Completions of reads and writes of files.
    pub storage: u64,
    /// Their bytes.
    pub storage_bytes: u64,
    /// … by the way they took.
    pub storage_ways: Ways,
    /// Other completions.
    pub other: u64,
    /// Episodes by side, at most 1000 a connection.
    pub episodes: [u64; SIDES],
    /// Connections whose first episode ended here, by side.
    pub connections: [u64; SIDES],
}

#[inline(always)]
fn add(counter: &mut u64, n: u64) {
    *counter = counter.wrapping_add(n);
}

/// The completion of a receive.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// When.
    pub now: u64,
    /// Its result: bytes, or a negative errno.
    pub result: i64,
    /// How it was completed.
    pub way: Way,
    /// Whether the socket keeps message boundaries.
    pub datagram: bool,
}

impl Ring {
    /// A request was submitted.
    #[inline(always)]
    pub fn submitted(&mut self) {
        add(&mut self.submitted, 1);
    }

    /// A readiness request begins to wait, on a listener or on a peer.
    #[inline(always)]
    pub fn poll_begun(&mut self, on_listener: bool) {
        add(&mut self.polls_begun[bounded::<2>(usize::from(on_listener))], 1);
    }

    /// It waits no longer.
    #[inline(always)]
    pub fn poll_ended(&mut self, on_listener: bool) {
        add(&mut self.polls_ended[bounded::<2>(usize::from(on_listener))], 1);
    }

    /// A receive was completed.
    #[inline(always)]
    pub fn received(&mut self, conn: Option<&mut Conn>, done: Received, sink: &mut impl Sink) {
        add(&mut self.receives.calls, 1);
        self.receive_ways.count(done.way);
        if done.result < 0 || (done.result == 0 && !done.datagram) {
            if let (0, Some(conn)) = (done.result, conn) {
                conn.closed(sink);
            }
            match done.result {
                0 => add(&mut self.receives.eof, 1),
                EAGAIN => add(&mut self.receives.eagain, 1),
                EINTR | ECANCELED => add(&mut self.receives.interrupted, 1),
                _ => add(&mut self.receives.failed, 1),
            }
            return;
        }
        add(&mut self.receives.with_data, 1);
        add(&mut self.receives.completed, 1);
        add(&mut self.receives.bytes, done.result as u64);
        let Some(conn) = conn else { return };
        let first = conn.episodes == 0;
        let counts = conn.may_count();
        conn.tgid = self.tgid;
        conn.received(done.now, done.now, done.result as u64, self.tid, sink);
        if !counts {
            return;
        }
        conn.episodes += 1;
        let side = bounded::<SIDES>(conn.side as usize);
        add(&mut self.episodes[side], 1);
        if first {
            add(&mut self.connections[side], 1);
        }
    }

    /// An accept was completed.
    #[inline(always)]
    pub fn accepted(&mut self, result: i64) {
        add(&mut self.accepts.calls, 1);
        match result {
            0.. => add(&mut self.accepts.accepted, 1),
            EAGAIN => add(&mut self.accepts.eagain, 1),
            _ => {}
        }
    }

    /// A send was completed.
    #[inline(always)]
    pub fn sent(&mut self, result: i64) {
        if result > 0 {
            add(&mut self.sends, 1);
            add(&mut self.sent_bytes, result as u64);
        }
    }

    /// A read or write of a file was completed.
    #[inline(always)]
    pub fn stored(&mut self, result: i64, way: Way) {
        add(&mut self.storage, 1);
        self.storage_ways.count(way);
        if result > 0 {
            add(&mut self.storage_bytes, result as u64);
        }
    }

    /// Any other request was completed.
    #[inline(always)]
    pub fn finished(&mut self) {
        add(&mut self.other, 1);
    }

    /// A readiness request was completed; returns the width of the set of those that waited. `counted` says whether this
    /// one was counted by [`Ring::poll_begun`], and not yet by [`Ring::poll_ended`].
    ///
    /// One peer is said only of rings whose requests were all seen: of others there may be more.
    #[inline(always)]
    pub fn polled(&mut self, counted: bool, on_listener: bool) -> Width {
        let waiting = |on: usize| self.polls_begun[on].wrapping_sub(self.polls_ended[on]);
        let (peers, listeners) = (waiting(0), waiting(1));
        let width = if !counted {
            Width::Unknown
        } else if peers >= 2 || (peers == 1 && listeners >= 1) {
            Width::Many
        } else if self.made_here == 0 {
            Width::Unknown
        } else if on_listener {
            Width::Listeners
        } else {
            Width::One
        };
        let i = bounded::<WIDTHS>(width as usize);
        add(&mut self.polls[i], 1);
        width
    }
}

/// What is kept of a multishot request, whose completions name none.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Multishot {
    /// `struct sock *` that it works on, 0 while unknown.
    pub sk: u64,
    /// Opcode.
    pub opcode: u8,
    /// Non-zero once the kernel waited for readiness on its behalf.
    pub armed: u8,
    /// Its [`mark`]s.
    pub marks: u8,
    /// Padding.
    pub reserved: [u8; 5],
}

/// Which request a [`Multishot`] is: ring and `user_data`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RequestKey {
    /// `struct io_ring_ctx *`.
    pub ctx: u64,
    /// What the program gave it as a name.
    pub user_data: u64,
}

/// Marks of a request in flight, as bits.
pub mod mark {
    /// It is counted by [`super::Ring::poll_begun`].
    pub const POLL: u32 = 1;
    /// It was handed to io-wq.
    pub const QUEUED: u32 = 2;
    /// What it waits for is a listener.
    pub const LISTENER: u32 = 4;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::Side;
    use crate::loss::Nowhere;

    fn done(result: i64) -> Received {
        Received { now: 5, result, way: Way::Armed, datagram: false }
    }

    #[test]
    fn each_completion_of_a_receive_is_one_call_and_keeps_the_identities() {
        let mut ring = Ring { tgid: 1, tid: 2, ..Ring::default() };
        let mut conn = Conn { side: Side::Server as u8, ..Conn::default() };
        for result in [10, 20, 0, -11, -125, -104] {
            ring.received(Some(&mut conn), done(result), &mut Nowhere);
        }
        let r = ring.receives;
        assert_eq!((r.calls, r.with_data, r.eof, r.eagain, r.interrupted, r.failed), (6, 2, 1, 1, 1, 1));
        assert_eq!((r.completed, r.bytes), (2, 30));
        assert_eq!(ring.receive_ways, Ways { inline: 0, armed: 6, queued: 0 });
        assert_eq!((ring.episodes[Side::Server.index()], ring.connections[Side::Server.index()]), (2, 1));
        assert_eq!((conn.tgid, conn.tid, conn.bytes), (1, 2, 30));
    }

    #[test]
    fn one_hot_connection_cannot_decide() {
        let mut ring = Ring { tgid: 1, tid: 2, ..Ring::default() };
        let mut conn = Conn::default();
        for _ in 0..2 * crate::conn::MAX_EPISODES {
            ring.received(Some(&mut conn), done(1), &mut Nowhere);
        }
        assert_eq!(ring.episodes.iter().sum::<u64>(), u64::from(crate::conn::MAX_EPISODES));
        assert_eq!(ring.receives.completed, 2 * u64::from(crate::conn::MAX_EPISODES));
    }

    #[test]
    fn an_empty_datagram_is_data() {
        let mut ring = Ring { tgid: 1, tid: 2, ..Ring::default() };
        ring.received(None, Received { datagram: true, ..done(0) }, &mut Nowhere);
        assert_eq!((ring.receives.with_data, ring.receives.eof), (1, 0));
    }

    #[test]
    fn one_peer_is_claimed_only_of_a_ring_that_was_seen_from_the_start() {
        let mut ring = Ring { tgid: 1, tid: 2, ..Ring::default() };
        ring.poll_begun(false);
        assert_eq!(ring.polled(true, false), Width::Unknown);
        ring.made_here = 1;
        assert_eq!(ring.polled(true, false), Width::One);
        assert_eq!(ring.polled(false, false), Width::Unknown);
        ring.poll_begun(true);
        assert_eq!(ring.polled(true, true), Width::Many, "a listener and a peer");
        ring.poll_ended(false);
        ring.poll_begun(true);
        assert_eq!(ring.polled(true, true), Width::Listeners);
    }

    #[test]
    fn a_read_is_a_receive_only_on_a_socket() {
        assert_eq!(op_of(22, FileKind::Socket), Op::Receive);
        assert_eq!(op_of(22, FileKind::File), Op::Storage);
        assert_eq!(op_of(22, FileKind::EventFd), Op::Other);
        assert_eq!(op_of(27, FileKind::Unknown), Op::Receive);
        assert_eq!(op_of(29, FileKind::Epoll), Op::Other, "uvloop's epoll_ctl");
    }
}
