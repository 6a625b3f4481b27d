//! How an accepted connection came to the thread that serves it.

use crate::conn::Conn;
use crate::thread::Thread;

/// Number of ways, a power of two for the verifier.
pub const HANDOVERS: usize = 8;

/// The way from accept to the first receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum Handover {
    /// Its accept was not seen: it is older than the window.
    Unseen = 0,
    /// The thread that accepted it receives from it.
    SameThread = 1,
    /// A process born after the accept: fork after accept.
    Fork = 2,
    /// A thread of the accepting process, born after the accept.
    NewThread = 3,
    /// An older thread of the accepting process: a queue, or a shared poller.
    Queue = 4,
    /// An older thread of another process, which must have been given the descriptor.
    PassedDescriptor = 5,
}

impl Handover {
    /// All ways, in the order of their discriminants.
    pub const ALL: [Handover; 6] = [
        Handover::Unseen,
        Handover::SameThread,
        Handover::Fork,
        Handover::NewThread,
        Handover::Queue,
        Handover::PassedDescriptor,
    ];

    /// How `conn` came to `t`, which receives from it for the first time.
    #[inline(always)]
    pub fn of(conn: &Conn, t: &Thread) -> Handover {
        if conn.accepted_by == 0 {
            return Handover::Unseen;
        }
        if conn.accepted_by == t.tid {
            return Handover::SameThread;
        }
        let born_after = t.born_at >= conn.accepted_at;
        match (conn.accepted_in == t.tgid, born_after) {
            (true, true) => Handover::NewThread,
            (true, false) => Handover::Queue,
            (false, true) => Handover::Fork,
            (false, false) => Handover::PassedDescriptor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn birth_and_process_tell_how_a_connection_was_handed_over() {
        let conn = Conn { accepted_by: 5, accepted_in: 4, accepted_at: 100, ..Conn::default() };
        let by = |tid, tgid, born_at| Handover::of(&conn, &Thread { born_at, ..Thread::unseen(tid, tgid) });
        assert_eq!(by(5, 4, 0), Handover::SameThread);
        assert_eq!(by(6, 4, 0), Handover::Queue);
        assert_eq!(by(6, 4, 101), Handover::NewThread);
        assert_eq!(by(9, 9, 101), Handover::Fork);
        assert_eq!(by(9, 9, 50), Handover::PassedDescriptor);
        assert_eq!(Handover::of(&Conn::default(), &Thread::unseen(6, 4)), Handover::Unseen);
    }
}
