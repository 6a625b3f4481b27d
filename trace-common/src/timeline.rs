//! The timeline: what the probes tell, beside the sums, of each booking and each turn while `--timeline` is on.
//!
//! An [`Entry`] of an account is the very booking that [`crate::ledger::book`] makes, so the entries of a thread add up
//! to its ledger, account by account. What a ledger is told later to have been something else, an entry tells as well.

use crate::account::Account;
use crate::conn::Conn;
use crate::thread::Thread;

/// What an entry tells that is no booking of a thread; those have the discriminant of their [`Account`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Note {
    /// The last `to - from` ns that the thread booked to `kernel` were `copy`.
    Copied = 32,
    /// What the thread slept for data between `from` and `to` it did on this connection.
    Waited = 33,
    /// First part of a turn on this connection: receiving the request. The two others follow it.
    Receive = 34,
    /// Second part: building the answer.
    Build = 35,
    /// Third part: sending it.
    Send = 36,
    /// On the client side: from the end of a send to the first byte of the reply.
    Reply = 37,
    /// A connection has a record from now on. Family and side stand in the second and third byte of `what`, the remote
    /// address in `from` and `to` (its bytes in order), the remote port in `tid`.
    Opened = 38,
}

/// One entry, as it goes through the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Entry {
    /// Begin, `CLOCK_MONOTONIC`, ns.
    pub from: u64,
    /// End.
    pub to: u64,
    /// Connection: `struct sock *`; 0 for bookings.
    pub key: u64,
    /// Thread id.
    pub tid: u32,
    /// Process id.
    pub tgid: u32,
    /// [`Account`] or [`Note`].
    pub what: u32,
    /// Padding.
    pub reserved: u32,
}

impl Entry {
    /// A booking of `t` from its clock to `until`.
    #[inline(always)]
    pub fn booked(t: &Thread, account: Account, until: u64) -> Entry {
        Entry {
            from: t.clock,
            to: until,
            key: 0,
            tid: t.tid,
            tgid: t.tgid,
            what: account as u32,
            reserved: 0,
        }
    }

    /// What `t` has booked to `kernel` since `from` was `copy`.
    #[inline(always)]
    pub fn copied(t: &Thread, nanos: u64) -> Entry {
        let from = t.clock.wrapping_sub(nanos);
        Entry { from, what: Note::Copied as u32, ..Entry::booked(t, Account::Copy, t.clock) }
    }

    /// What `t` slept for data in its call it did on the connection behind `key`.
    #[inline(always)]
    pub fn waited(t: &Thread, key: u64, now: u64) -> Entry {
        Entry {
            from: t.call.entered_at,
            key,
            what: Note::Waited as u32,
            ..Entry::booked(t, Account::WaitData, now)
        }
    }

    /// Something happened on `conn`.
    #[inline(always)]
    pub fn on(conn: &Conn, note: Note, from: u64, to: u64) -> Entry {
        Entry { from, to, key: conn.sk, tid: conn.tid, tgid: conn.tgid, what: note as u32, reserved: 0 }
    }

    /// `conn` has a record from now on.
    #[inline(always)]
    pub fn opened(conn: &Conn) -> Entry {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = conn.remote;
        Entry {
            from: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            to: u64::from_le_bytes([i, j, k, l, m, n, o, p]),
            key: conn.sk,
            tid: u32::from(conn.remote_port),
            tgid: 0,
            what: Note::Opened as u32 | u32::from(conn.family) << 8 | u32::from(conn.side) << 16,
            reserved: 0,
        }
    }

    /// Thread and process in one word.
    #[inline(always)]
    pub const fn who(&self) -> u64 {
        (self.tid as u64) << 32 | self.tgid as u64
    }

    /// Whether it tells nothing: a booking of no time.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.what < Note::Copied as u32 && self.from == self.to
    }

    /// What [`Entry::opened`] told of a connection; `None` of any other entry (host side).
    pub fn connection(&self) -> Option<Conn> {
        if self.what & 0xff != Note::Opened as u32 {
            return None;
        }
        let mut remote = [0; 16];
        remote[..8].copy_from_slice(&self.from.to_le_bytes());
        remote[8..].copy_from_slice(&self.to.to_le_bytes());
        Some(Conn {
            remote,
            remote_port: self.tid as u16,
            family: (self.what >> 8) as u8,
            side: (self.what >> 16) as u8,
            sk: self.key,
            ..Conn::default()
        })
    }
}

/// The entries on what happened to `conn`: of an answered turn ([`Note::Receive`]) all three parts, of a reply the time up
/// to `until`, of a connection with a new record its address.
#[inline(always)]
pub fn tell(conn: &Conn, note: u32, until: u64, mut mark: impl FnMut(Entry)) {
    let turn = &conn.turn;
    if note == Note::Opened as u32 {
        mark(Entry::opened(conn));
    } else if note == Note::Reply as u32 {
        mark(Entry::on(conn, Note::Reply, turn.sent_at, until));
    } else {
        mark(Entry::on(conn, Note::Receive, turn.began_at, turn.received_at));
        mark(Entry::on(conn, Note::Build, turn.received_at, turn.sent_from));
        mark(Entry::on(conn, Note::Send, turn.sent_from, turn.sent_at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::Side;

    #[test]
    fn what_is_told_of_a_connection_is_read_again() {
        let remote = core::array::from_fn(|i| i as u8 + 200);
        let conn = Conn {
            sk: 7,
            remote,
            remote_port: 65_535,
            family: 10,
            side: Side::Client as u8,
            ..Conn::default()
        };
        let entry = Entry::opened(&conn);
        let read = entry.connection().expect("a connection");
        assert_eq!((read.sk, read.remote, read.remote_port), (7, remote, 65_535));
        assert_eq!((read.family, read.side()), (10, Side::Client));
        assert!(!entry.is_empty() && !Entry { from: 0, to: 0, ..entry }.is_empty());
        assert!(Entry::on(&conn, Note::Reply, 1, 2).connection().is_none());
    }
}
