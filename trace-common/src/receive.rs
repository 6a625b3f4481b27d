//! Receives and accepts: counters, and what the end of a receive means.
//!
//! Identities, tested: `calls = with_data + eof + eagain + interrupted + failed` and
//! `with_data = slept + after_ready + polled + signalled + completed + immediate`.

use crate::account::Account;
use crate::bounded;
use crate::call::{EAGAIN, EINTR, flag as call_flag};
use crate::conn::{Conn, Cover, ENDINGS, Ending, SIDES, Side};
use crate::handover::{HANDOVERS, Handover};
use crate::loss::Sink;
use crate::syscall::{NR_RECVFROM, NR_RECVMMSG};
use crate::thread::{Thread, flag};
use crate::timeline::Entry;

/// `MSG_PEEK`, `include/linux/socket.h`.
pub const MSG_PEEK: u32 = 0x2;
/// `MSG_DONTWAIT`; effective also for `O_NONBLOCK` files.
pub const MSG_DONTWAIT: u32 = 0x40;
/// `MSG_ERRQUEUE`.
pub const MSG_ERRQUEUE: u32 = 0x2000;

/// Buffers from this size on can be too small; a shorter one is a header that is asked for by its length. read (0) and
/// recvfrom (45) have it as their third argument; that of readv (19) is a number of buffers, which stays below.
pub const FILLABLE: u64 = 512;

/// Receives of one thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(schemars::JsonSchema, serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct Receives {
    /// Logical calls.
    pub calls: u64,
    /// … that returned bytes (or a datagram).
    pub with_data: u64,
    /// … that returned end of file.
    pub eof: u64,
    /// … that found nothing and did not wait.
    pub eagain: u64,
    /// … that a signal ended.
    pub interrupted: u64,
    /// … that failed otherwise.
    pub failed: u64,
    /// Bytes received, without peeks.
    pub bytes: u64,
    /// With data, after a sleep in the call.
    pub slept: u64,
    /// With data, after a readiness call.
    pub after_ready: u64,
    /// With data, after repeated empty asks.
    pub polled: u64,
    /// With data, after a signal.
    pub signalled: u64,
    /// With data, by a completion.
    pub completed: u64,
    /// With data that was there before anybody waited.
    pub immediate: u64,
    /// With data and without a copy event: `copy` holds all on-CPU time since the last sleep.
    pub copy_bounded: u64,
    /// Without a phase 2: splice, zero-copy.
    pub zero_copy: u64,
}

impl Receives {
    /// None.
    pub const ZERO: Receives = Receives {
        calls: 0,
        with_data: 0,
        eof: 0,
        eagain: 0,
        interrupted: 0,
        failed: 0,
        bytes: 0,
        slept: 0,
        after_ready: 0,
        polled: 0,
        signalled: 0,
        completed: 0,
        immediate: 0,
        copy_bounded: 0,
        zero_copy: 0,
    };

    /// Adds `other` (host side).
    pub fn add(&mut self, other: &Receives) {
        self.calls += other.calls;
        self.with_data += other.with_data;
        self.eof += other.eof;
        self.eagain += other.eagain;
        self.interrupted += other.interrupted;
        self.failed += other.failed;
        self.bytes += other.bytes;
        self.slept += other.slept;
        self.after_ready += other.after_ready;
        self.polled += other.polled;
        self.signalled += other.signalled;
        self.completed += other.completed;
        self.immediate += other.immediate;
        self.copy_bounded += other.copy_bounded;
        self.zero_copy += other.zero_copy;
    }
}

/// Accepts of one thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(schemars::JsonSchema, serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct Accepts {
    /// Logical calls.
    pub calls: u64,
    /// … that returned a connection.
    pub accepted: u64,
    /// … that found none and did not wait.
    pub eagain: u64,
    /// … that slept.
    pub slept: u64,
}

impl Accepts {
    /// None.
    pub const ZERO: Accepts = Accepts { calls: 0, accepted: 0, eagain: 0, slept: 0 };

    /// Adds `other` (host side).
    pub fn add(&mut self, other: &Accepts) {
        self.calls += other.calls;
        self.accepted += other.accepted;
        self.eagain += other.eagain;
        self.slept += other.slept;
    }
}

/// The end of one receive call on a socket.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveEnd {
    /// When.
    pub now: u64,
    /// Result of the call.
    pub ret: i64,
    /// Effective message flags.
    pub msg_flags: u32,
    /// Whether the socket keeps message boundaries (an empty message is not end of file).
    pub datagram: bool,
    /// The readiness event that covers this connection, if any.
    pub cover: Cover,
}

/// Accounts the end of the receive in flight.
#[inline(always)]
pub fn finish(t: &mut Thread, conn: Option<&mut Conn>, end: ReceiveEnd, sink: &mut impl Sink) {
    t.receives.calls += 1;
    t.receive_nr = u64::from(t.call.nr);
    t.receive_fd = t.call.args[0] as u32;
    let side = conn.as_ref().map_or(Side::Other, |c| c.side());
    t.receive_side = side as u32;
    let s = bounded::<SIDES>(side as usize);
    t.wait_by_side[s] = t.wait_by_side[s].wrapping_add(t.call.wait_ns);
    if t.call.wait_ns > 0
        && let Some(conn) = &conn
    {
        sink.mark(Entry::waited(t, conn.sk, end.now));
    }
    let with_data = end.ret > 0 || (end.ret == 0 && end.datagram);
    if with_data {
        data(t, conn, end, side, sink);
        return;
    }
    match end.ret {
        0 => t.receives.eof += 1,
        EAGAIN => t.receives.eagain += 1,
        EINTR => t.receives.interrupted += 1,
        _ => t.receives.failed += 1,
    }
    let Some(conn) = conn else { return };
    conn.note_wait(t.call.wait_ns);
    if end.ret == 0 {
        conn.closed(sink);
        t.forget_received(t.call.args[0]);
    }
    // A receive that slept until its time limit is no empty ask.
    let asked = !t.call.has(call_flag::SLEPT) && end.msg_flags & MSG_ERRQUEUE == 0;
    if end.ret == EAGAIN && asked {
        conn.empty_ask(end.now, end.cover, t.ready.slept_end_at);
    }
}

#[inline(always)]
fn data(t: &mut Thread, conn: Option<&mut Conn>, end: ReceiveEnd, side: Side, sink: &mut impl Sink) {
    t.receives.with_data += 1;
    t.ready.empty_streak = 0;
    let asked = t.call.args[2];
    if t.call.nr <= NR_RECVFROM && !end.datagram && asked >= FILLABLE && end.ret as u64 == asked {
        t.filled += 1;
    }
    let peek = end.msg_flags & (MSG_PEEK | MSG_ERRQUEUE) != 0;
    let bytes = if t.call.nr == NR_RECVMMSG { t.call.bytes } else { end.ret as u64 };
    if !peek {
        t.receives.bytes = t.receives.bytes.wrapping_add(bytes);
    }
    bound_copy(t, sink);
    if t.call.has(call_flag::COPIED) || t.flags & flag::UNSPLIT == 0 {
        sink.observe(Account::Copy, t.call.copy_ns);
    }
    let slept = t.call.has(call_flag::SLEPT);
    let ending = match conn {
        Some(conn) if !peek => {
            conn.note_wait(t.call.wait_ns);
            let ending = conn.ending(slept, end.cover);
            note_served(t, conn, side);
            t.note_received(t.call.sk, t.call.args[0]);
            conn.received(end.now.wrapping_sub(t.call.copy_ns), end.now, bytes, t.tid, sink);
            count_episode(t, conn, ending, side);
            ending
        }
        // A peek leaves the data there; if it slept it was the wait all the same, and the read after it finds data.
        Some(conn) if slept => {
            conn.note_wait(t.call.wait_ns);
            count_episode(t, conn, Ending::Slept, side);
            Ending::Slept
        }
        _ if slept => Ending::Slept,
        _ => Ending::Immediate,
    };
    match ending {
        Ending::Slept => t.receives.slept += 1,
        Ending::ReadyWide | Ending::ReadyNarrow | Ending::ReadyUnknown => t.receives.after_ready += 1,
        Ending::Polled => t.receives.polled += 1,
        Ending::Signalled => t.receives.signalled += 1,
        Ending::Immediate => t.receives.immediate += 1,
    }
}

/// Without a copy event, phase 2 is bounded from above by the on-CPU time since the last sleep or the entry; where calls
/// are not traced, it is not known at all.
#[inline(always)]
fn bound_copy(t: &mut Thread, sink: &mut impl Sink) {
    if t.call.has(call_flag::COPIED) {
        return;
    }
    if t.flags & flag::UNSPLIT != 0 {
        t.receives.copy_bounded += 1;
        return;
    }
    let nanos = t.call.kernel_ns;
    let kernel = Account::Kernel.index();
    if nanos > t.ledger[kernel] {
        return;
    }
    t.ledger[kernel] -= nanos;
    let copy = Account::Copy.index();
    t.ledger[copy] = t.ledger[copy].wrapping_add(nanos);
    sink.mark(Entry::copied(t, nanos));
    t.call.copy_ns = nanos;
    t.call.kernel_ns = 0;
    t.receives.copy_bounded += 1;
}

/// Who receives first from a connection serves it.
#[inline(always)]
fn note_served(t: &mut Thread, conn: &Conn, side: Side) {
    if conn.receives == 0 && matches!(side, Side::Server) {
        let way = bounded::<HANDOVERS>(Handover::of(conn, t) as usize);
        t.served[way] = t.served[way].wrapping_add(1);
    }
}

#[inline(always)]
fn count_episode(t: &mut Thread, conn: &mut Conn, ending: Ending, side: Side) {
    if matches!(ending, Ending::Immediate) || !conn.may_count() {
        return;
    }
    let s = bounded::<SIDES>(side as usize);
    if conn.episodes == 0 {
        t.connections[s] += 1;
    }
    if matches!(ending, Ending::ReadyNarrow) && conn.narrow == 0 {
        conn.narrow = 1;
        t.narrow_connections[s] += 1;
    }
    conn.episodes += 1;
    let e = bounded::<ENDINGS>(ending as usize);
    t.episodes[s][e] = t.episodes[s][e].wrapping_add(1);
}

/// A receive that left with ERESTART and did not continue was interrupted.
#[inline(always)]
pub fn interrupted(t: &mut Thread) {
    if t.call.has(call_flag::RECEIVED) {
        t.receives.calls += 1;
        t.receives.interrupted += 1;
        let known = t.receive_fd == t.call.args[0] as u32;
        let s = if known { bounded::<SIDES>(t.receive_side as usize) } else { Side::Other as usize };
        t.wait_by_side[s] = t.wait_by_side[s].wrapping_add(t.call.wait_ns);
    }
}

/// Accounts the end of the accept in flight.
#[inline(always)]
pub fn accepted(t: &mut Thread, ret: i64) {
    t.accepts.calls += 1;
    if ret >= 0 {
        t.accepts.accepted += 1;
        t.ready.empty_streak = 0;
    } else if ret == EAGAIN {
        t.accepts.eagain += 1;
    }
    if t.call.has(call_flag::SLEPT) {
        t.accepts.slept += 1;
    }
}
