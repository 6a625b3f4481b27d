//! Turns: what one exchange on a connection costs on the server's side, and how long a client waits for its answer.
//!
//! A *turn* (DESIGN §7) is one exchange on a server-side connection: *receive* from its first received byte to the end
//! of the last receive before the first send, *build* from there to the first send, *send* to the end of the last one
//! before the next receive. On the client side the same events are read the other way round: a *reply* takes from the
//! end of the last send to the first byte that is received after it.

/// The exchange in progress on one connection; times in ns, 0 for what has not happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Turn {
    /// Its first byte was received.
    pub began_at: u64,
    /// The last receive before the first send ended.
    pub received_at: u64,
    /// The first send began.
    pub sent_from: u64,
    /// The last send ended; on the client side also one that no receive preceded.
    pub sent_at: u64,
}

/// A finished turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Receiving the request.
    pub receive_ns: u64,
    /// From there to the first send.
    pub build_ns: u64,
    /// From the beginning of the first send to the end of the last.
    pub send_ns: u64,
}

impl Spent {
    /// One part of it, ns.
    #[inline(always)]
    pub const fn of(&self, part: Part) -> u64 {
        match part {
            Part::Receive => self.receive_ns,
            Part::Build => self.build_ns,
            Part::Send => self.send_ns,
            Part::Service => self.service_ns(),
        }
    }

    /// The whole: service time.
    #[inline(always)]
    pub const fn service_ns(&self) -> u64 {
        self.receive_ns.wrapping_add(self.build_ns).wrapping_add(self.send_ns)
    }
}

impl Turn {
    /// None in progress.
    pub const NONE: Turn = Turn { began_at: 0, received_at: 0, sent_from: 0, sent_at: 0 };

    /// Data was received, its first byte at `from` and its end at `now`. A turn that is answered has ended before it.
    #[inline(always)]
    pub fn received(&mut self, from: u64, now: u64) {
        if self.began_at == 0 || self.is_answered() {
            *self = Turn { began_at: from, ..Turn::NONE };
        }
        self.received_at = now;
    }

    /// A send that moved bytes, from `entered` to `now`. Several threads may send on one connection: what began before
    /// the request was there is no answer to it, and is taken to begin with it.
    #[inline(always)]
    pub fn sent(&mut self, entered: u64, now: u64) {
        if self.began_at != 0 && self.sent_from == 0 {
            self.sent_from = if entered > self.received_at { entered } else { self.received_at };
        }
        self.sent_at = now;
    }

    /// Whether something was sent after something was received.
    #[inline(always)]
    pub const fn is_answered(&self) -> bool {
        self.began_at != 0 && self.sent_from != 0
    }

    /// The figures of a turn that is answered; whatever follows ends it.
    #[inline(always)]
    pub fn spent(&self) -> Spent {
        Spent {
            receive_ns: self.received_at.saturating_sub(self.began_at),
            build_ns: self.sent_from.saturating_sub(self.received_at),
            send_ns: self.sent_at.saturating_sub(self.sent_from),
        }
    }
}

/// Who answers a request, as seen by whoever wants to follow it by its thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct Answers {
    /// The thread that received it, with nothing received from another connection in between.
    pub followed: u64,
    /// The thread that received it, after it received from other connections.
    pub interleaved: u64,
    /// Another thread.
    pub handed: u64,
}

impl Answers {
    /// None.
    pub const ZERO: Answers = Answers { followed: 0, interleaved: 0, handed: 0 };

    /// Adds others (host side).
    pub fn add(&mut self, other: &Answers) {
        let Answers { followed, interleaved, handed } = other;
        self.followed += followed;
        self.interleaved += interleaved;
        self.handed += handed;
    }
}

/// What a turn is made of, and the whole of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[repr(u32)]
pub enum Part {
    /// Receiving the request.
    Receive = 0,
    /// Building the answer.
    Build = 1,
    /// Sending it.
    Send = 2,
    /// The whole.
    Service = 3,
}

/// Number of parts.
pub const PARTS: usize = 4;

impl Part {
    /// All parts.
    pub const ALL: [Part; PARTS] = [Part::Receive, Part::Build, Part::Send, Part::Service];
}

/// Turns of all connections, one set a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct Turns {
    /// How many ended.
    pub count: u64,
    /// Sum of [`Spent::receive_ns`].
    pub receive_ns: u64,
    /// Sum of [`Spent::build_ns`].
    pub build_ns: u64,
    /// Sum of [`Spent::send_ns`].
    pub send_ns: u64,
}

impl Turns {
    /// Adds one.
    #[inline(always)]
    pub fn add(&mut self, spent: Spent) {
        self.count += 1;
        self.receive_ns = self.receive_ns.wrapping_add(spent.receive_ns);
        self.build_ns = self.build_ns.wrapping_add(spent.build_ns);
        self.send_ns = self.send_ns.wrapping_add(spent.send_ns);
    }

    /// Adds others (host side).
    pub fn merge(&mut self, other: &Turns) {
        let Turns { count, receive_ns, build_ns, send_ns } = other;
        self.count += count;
        self.receive_ns += receive_ns;
        self.build_ns += build_ns;
        self.send_ns += send_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_split_where_the_request_is_whole_and_where_the_answer_begins() {
        let mut turn = Turn::NONE;
        turn.received(10, 12);
        turn.received(20, 23);
        turn.sent(30, 31);
        turn.sent(40, 45);
        assert!(turn.is_answered());
        assert_eq!(turn.spent(), Spent { receive_ns: 13, build_ns: 7, send_ns: 15 });
        assert_eq!(turn.spent().service_ns(), 35);
        turn.received(50, 51);
        assert_eq!(turn, Turn { began_at: 50, received_at: 51, ..Turn::NONE });
    }

    #[test]
    fn a_greeting_that_no_request_preceded_is_no_answer() {
        let mut turn = Turn::NONE;
        turn.sent(5, 6);
        assert!(!turn.is_answered());
        turn.received(10, 11);
        assert!(!turn.is_answered());
        turn.sent(8, 14);
        assert_eq!(
            turn.spent(),
            Spent { receive_ns: 1, build_ns: 0, send_ns: 3 },
            "it began before the request"
        );
    }
}
