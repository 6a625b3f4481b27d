//! A fixture traced over its whole work, so that the two accounts of it must agree.

use fixtures::load::{Pattern, Summary};
use fixtures::{Mode, record};

use super::machine::{is_guest, pinned};
use super::programs::{load, serve, words};
use super::report::{Receives, Report};
use super::tracer::Tracer;

/// Both ways to see a receive: the kernel's own event, and the descriptor at the end of the call (all that kernels before
/// 6.3 offer; guests take the way that their kernel has).
pub fn both_ways(test: impl Fn(&str)) {
    test("");
    if !is_guest() {
        println!("… and by descriptor");
        test("--by-descriptor");
    }
}

/// What to observe; arguments are separated by blanks.
#[derive(Clone, Copy)]
pub struct Workload<'a> {
    pub mode: Mode,
    /// `--connections N` lets a server end by itself; it is then kept (`--linger`), so that its threads can be checked.
    pub server: &'a str,
    pub pattern: Pattern,
    pub clients: &'a str,
    pub tracer: &'a str,
    /// Keeps the clients on this CPU.
    pub clients_on: Option<usize>,
}

/// The two accounts of it.
pub struct Observed {
    pub fixture: record::Report,
    pub clients: Summary,
    pub trace: Report,
}

impl Workload<'_> {
    /// Attaches to the server, drives it, closes the window, and checks that calls and bytes agree.
    pub fn observe(self, way: &str) -> Observed {
        let ends_by_itself = self.server.contains("--connections") || self.mode == Mode::UdpSizes;
        let mut server =
            serve(self.mode, &format!("{}{}", self.server, if ends_by_itself { " --linger" } else { "" }));
        let tracer = Tracer::attach(server.pid(), &words(&format!("{} {way}", self.tracer)));
        let clients = match self.clients_on {
            Some(cpu) => pinned(cpu, || load(self.pattern, &server, self.clients)),
            None => load(self.pattern, &server, self.clients),
        };
        let clients = clients.wait().unwrap();
        assert_eq!((clients.failures, &clients.error), (0, &None), "{clients:?}");
        let (fixture, trace) = if ends_by_itself {
            let fixture = server.report().unwrap();
            (fixture, tracer.interrupt())
        } else {
            let trace = tracer.interrupt();
            (server.end().unwrap(), trace)
        };
        let observed = Observed { fixture, clients, trace };
        observed.agree();
        observed
    }
}

impl Observed {
    /// Calls by result, bytes and accepted connections are equal.
    fn agree(&self) {
        let record::Receives { mut calls, with_data, eof, eagain, mut interrupted, failed, bytes } =
            self.fixture.totals.receives;
        // The receive in which a server that does not end by itself is asked to end: after the window.
        calls -= interrupted;
        interrupted = 0;
        let seen = self.trace.receives();
        let wanted = Receives { calls, with_data, eof, eagain, interrupted, failed, bytes, ..seen };
        assert_eq!(seen, wanted, "trace (left) and the fixture (right) do not agree: {:?}", self.trace.loss);
        // A lesser tier sees accepts that slept only.
        if self.trace.tool.tier == "full" {
            assert_eq!(self.trace.accepted(), self.fixture.totals.accepts.accepted);
        }
    }

    /// Signals and completions are as many as the fixture's own.
    pub fn told_as_often_as_it_says(&self) {
        let (own, seen) = (self.fixture.totals, self.main());
        let signals = seen.announced.fd_signals + seen.announced.sigio_signals;
        assert_eq!(signals, own.signals.by_io, "signals of I/O: {:?} {:?}", seen.announced, own.signals);
        let completed = if seen.announced.receives.total() > 0 { own.receives.with_data } else { 0 };
        assert_eq!(seen.receives.completed, completed, "{:?}", seen.receives);
        assert_eq!(seen.announced.polls, own.ring.polls, "readiness requests: {:?}", own.ring);
        assert_eq!(seen.storage.ring.total(), own.storage.completed, "{:?} {:?}", seen.storage, own.storage);
    }

    /// The thread that serves.
    pub fn main(&self) -> &super::report::Thread {
        self.trace.thread(self.fixture.tid)
    }
}
