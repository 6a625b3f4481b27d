//! Adding up what a group of threads did on some sides of its connections.

use trace_common::conn::Side;
use trace_common::uring::Ways;

use super::thresholds::{
    HIGH_EPISODES, IMMEDIATE_RECEIVES, NARROW_SHARE, UNDECIDED_SHARE, WIDTH_CONNECTIONS, WINNER_SHARE,
};
use super::verdict::IoModel;
use crate::snapshot::{Connection, Episodes, Thread};

/// What a group of threads did on some sides.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Episodes that slept in the receive.
    pub slept: u64,
    /// … after a wait over several peers, or over one peer by a thread that mostly waits over several.
    pub wide: u64,
    /// … after a wait over exactly one peer, by threads whose pattern that is.
    pub narrow: u64,
    /// … after a wait of unknown width.
    pub undecided: u64,
    /// … after repeated empty asks.
    pub polled: u64,
    /// … by a signal.
    pub signalled: u64,
    /// … by a completion.
    pub completed: u64,
    /// Connections with an episode.
    pub connections: u64,
    /// Connections with a narrow episode.
    pub narrow_connections: u64,
    /// Narrow episodes on datagram sockets.
    pub narrow_datagrams: u64,
    /// Sleeping readiness waits of the threads concerned.
    pub ready_slept: u64,
    /// Waits over one peer, and over several, of the threads concerned.
    pub waits_one: u64,
    /// See `waits_one`.
    pub waits_many: u64,
    /// Calls by family: select, poll, epoll, io_uring.
    pub by_call: [u64; 4],
    /// Names of the receive calls, with how many threads use each.
    pub receive_calls: Vec<(String, u64)>,
    /// Time lived, and `unknown` time, of the threads concerned.
    pub lived_ns: u64,
    /// See `lived_ns`.
    pub unknown_ns: u64,
    /// Events of the threads concerned, for the share of losses.
    pub events: u64,
    /// Empty asks.
    pub eagain: u64,
    /// Connections asked without waiting, by a call that may wait, and in an epoll set.
    pub asked_nonblocking: u64,
    /// See `asked_nonblocking`.
    pub asked_blocking: u64,
    /// See `asked_nonblocking`.
    pub in_epoll: u64,
    /// Connections whose owner asked to be told by a signal.
    pub o_async: u64,
    /// Connections on these sides in the table.
    pub listed: u64,
    /// io_urings of the threads concerned, and the receives they completed.
    pub rings: u64,
    /// See `rings`.
    pub ring_receives: Ways,
    /// Signals of I/O to the threads concerned: those that named a descriptor, and those that did not.
    pub fd_signals: u64,
    /// See `fd_signals`.
    pub sigio_signals: u64,
    /// Receives that found data, by threads that wait for nobody on another side.
    pub immediate: u64,
    /// Waits over several peers, and io_urings, of any thread, also of those that receive nothing.
    pub all_waits_many: u64,
    /// Waits of any thread whose width is not known: they may have been over several peers.
    pub all_waits_unknown: u64,
    /// See `all_waits_many`.
    pub all_rings: u64,
}

impl Tally {
    /// Adds up some threads, and connections on `sides`.
    pub fn of(threads: &[&Thread], connections: &[&Connection], sides: &[Side]) -> Tally {
        let mut tally = Tally::default();
        let group = Waits::of(threads);
        for thread in threads {
            tally.add_thread(thread, sides, &group);
        }
        // In a pool, others wait than those who receive.
        if tally.waits_one + tally.waits_many == 0 {
            (tally.waits_one, tally.waits_many, tally.by_call) = (group.one, group.many, group.by_call);
            tally.ready_slept = group.slept;
        }
        tally.all_waits_many = group.many;
        tally.all_waits_unknown = group.unknown;
        tally.all_rings = threads.iter().map(|t| t.announced.rings).sum();
        // The thread that a signal interrupts need not be the one that receives.
        for thread in threads {
            tally.fd_signals += thread.announced.fd_signals;
            tally.sigio_signals += thread.announced.sigio_signals;
        }
        for connection in connections.iter().filter(|c| sides.contains(&c.side)) {
            tally.listed += 1;
            tally.asked_nonblocking += u64::from(connection.asked_nonblocking);
            tally.asked_blocking += u64::from(connection.asked_blocking);
            tally.in_epoll += u64::from(connection.in_epoll);
            tally.o_async += u64::from(connection.o_async);
        }
        tally
    }

    fn add_thread(&mut self, thread: &Thread, sides: &[Side], group: &Waits) {
        let elsewhere = |(side, e): (&Side, &Episodes)| !sides.contains(side) && *e != Episodes::default();
        if !thread.episodes.iter().any(elsewhere) {
            self.immediate += thread.receives.immediate;
            self.add_call(thread);
        }
        let mut sum = Episodes::default();
        for side in sides {
            let Some(episodes) = thread.episodes.get(side) else { continue };
            sum.add(episodes);
            if *side == Side::Datagram {
                self.narrow_datagrams += episodes.ready_narrow;
            }
        }
        let concerned = sum.slept
            + sum.ready_wide
            + sum.ready_narrow
            + sum.ready_unknown
            + sum.polled
            + sum.signalled
            + sum.completed;
        if concerned == 0 {
            return;
        }
        if thread.episodes.iter().any(elsewhere) {
            self.add_call(thread);
        }
        let own = Waits::of(&[thread]);
        self.add_episodes(&sum, if own.one + own.many > 0 { &own } else { group });
        self.add_waits(thread);
    }

    fn add_episodes(&mut self, sum: &Episodes, waits: &Waits) {
        self.slept += sum.slept;
        self.wide += sum.ready_wide;
        self.undecided += sum.ready_unknown;
        if waits.is_narrow() {
            self.narrow += sum.ready_narrow;
            self.narrow_connections += sum.narrow_connections;
        } else {
            self.wide += sum.ready_narrow;
        }
        self.polled += sum.polled;
        self.signalled += sum.signalled;
        self.completed += sum.completed;
        self.connections += sum.connections;
    }

    fn add_waits(&mut self, thread: &Thread) {
        self.ready_slept += thread.readiness.slept;
        self.waits_one += thread.readiness.width_one + thread.readiness.width_datagram;
        self.waits_many += thread.readiness.width_many;
        for (sum, calls) in self.by_call.iter_mut().zip(thread.readiness.by_call) {
            *sum += calls;
        }
        self.rings += thread.announced.rings;
        self.ring_receives.add(&thread.announced.receives);
        self.lived_ns += thread.lived_ns;
        self.unknown_ns += thread.unseen_ns();
        self.eagain += thread.receives.eagain;
        self.events +=
            thread.sleeps + thread.preemptions + 2 * (thread.receives.calls + thread.readiness.calls);
    }

    fn add_call(&mut self, thread: &Thread) {
        if let Some(name) = &thread.receive_syscall {
            match self.receive_calls.iter_mut().find(|(n, _)| n == name) {
                Some((_, threads)) => *threads += thread.count,
                None => self.receive_calls.push((name.clone(), thread.count)),
            }
        }
    }

    /// Episodes of the model.
    pub fn episodes(&self, model: IoModel) -> u64 {
        match model {
            IoModel::Blocking => self.slept + self.narrow,
            IoModel::Nonblocking => self.polled,
            IoModel::Multiplexing => self.wide,
            IoModel::SignalDriven => self.signalled,
            IoModel::Asynchronous => self.completed,
            IoModel::Mixed | IoModel::Inconclusive => 0,
        }
    }

    /// Episodes that name a model.
    pub fn decided(&self) -> u64 {
        self.slept + self.narrow + self.polled + self.wide + self.signalled + self.completed
    }

    /// Whether so many receives found their data at once that to wait for it is the exception, on connections that were
    /// asked by calls that may wait and that nobody waits for in another way.
    pub fn never_waited(&self) -> bool {
        let others = self.polled + self.wide + self.signalled + self.completed + self.undecided;
        let asked = share(self.asked_blocking, self.listed) >= WINNER_SHARE;
        let watched =
            self.all_waits_many + self.all_waits_unknown + self.all_rings + self.in_epoll + self.o_async;
        self.immediate >= IMMEDIATE_RECEIVES
            && self.listed >= WIDTH_CONNECTIONS
            && self.decided() < HIGH_EPISODES
            && asked
            && others + watched == 0
    }

    /// Whether so many receives found their data at once that to wait for it is the exception, while others wait over several
    /// peers, or the connections are in epoll sets.
    pub fn watched(&self) -> bool {
        let sets = share(self.in_epoll, self.listed) >= WINNER_SHARE && self.asked_nonblocking > 0;
        self.immediate >= IMMEDIATE_RECEIVES
            && self.listed >= WIDTH_CONNECTIONS
            && share(self.decided(), self.immediate) < UNDECIDED_SHARE
            && self.eagain <= self.immediate
            && (self.all_waits_many >= HIGH_EPISODES || sets)
    }

    /// Share of waits over exactly one peer, among those over any.
    pub fn narrow_share(&self) -> f64 {
        share(self.waits_one, self.waits_one + self.waits_many)
    }
}

/// Readiness waits of some threads.
#[derive(Clone, Copy, Debug, Default)]
struct Waits {
    one: u64,
    many: u64,
    unknown: u64,
    slept: u64,
    by_call: [u64; 4],
}

impl Waits {
    fn of(threads: &[&Thread]) -> Waits {
        let mut waits = Waits::default();
        for thread in threads {
            let r = &thread.readiness;
            waits.one += r.width_one + r.width_datagram;
            waits.many += r.width_many;
            waits.unknown += r.width_unknown;
            waits.slept += r.slept;
            for (sum, calls) in waits.by_call.iter_mut().zip(r.by_call) {
                *sum += calls;
            }
        }
        waits
    }

    /// Whether waiting on exactly one peer is the pattern.
    fn is_narrow(&self) -> bool {
        share(self.one, self.one + self.many) >= NARROW_SHARE
    }
}

/// `part / whole`; 0 for an empty whole.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
