//! The fixtures, and the model that each is built to have.

use fixtures::Mode;
use fixtures::load::Pattern;

use super::observe::{Observed, Workload};
use super::report::IoModel;

/// A fixture, and the model it is built to have.
pub struct Built {
    pub mode: Mode,
    pub model: &'static str,
    pub qualifier: Option<&'static str>,
    pub mechanism: Option<&'static str>,
}

const fn built(mode: Mode, model: &'static str) -> Built {
    Built { mode, model, qualifier: None, mechanism: None }
}

const fn by(mechanism: &'static str, built: Built) -> Built {
    Built { mechanism: Some(mechanism), ..built }
}

const fn multiplexing(mode: Mode, mechanism: &'static str) -> Built {
    by(mechanism, built(mode, "multiplexing"))
}

/// Servers of connections and datagrams.
pub const FIXTURES: [Built; 20] = [
    built(Mode::Blocking, "blocking"),
    built(Mode::BlockingIterative, "blocking"),
    Built { qualifier: Some("emulated"), ..built(Mode::PollOne, "blocking") },
    built(Mode::Nonblocking, "nonblocking"),
    built(Mode::NonblockingNap, "nonblocking"),
    multiplexing(Mode::Select, "select"),
    multiplexing(Mode::Poll, "poll"),
    multiplexing(Mode::Epoll, "epoll"),
    multiplexing(Mode::EpollEt, "epoll"),
    built(Mode::Udp, "blocking"),
    by("SIGIO", built(Mode::SigioUdp, "signal-driven")),
    by("F_SETSIG", built(Mode::SetsigTcp, "signal-driven")),
    by("F_SETSIG", built(Mode::SetsigWait, "signal-driven")),
    by("io_uring", built(Mode::Uring, "asynchronous")),
    by("io_uring", built(Mode::UringSqpoll, "asynchronous")),
    by("io_uring", built(Mode::UringMultishot, "asynchronous")),
    // Traps: what looks like another model.
    multiplexing(Mode::UringPoll, "io_uring"),
    multiplexing(Mode::UringFiles, "epoll"),
    multiplexing(Mode::TtyAsync, "epoll"),
    multiplexing(Mode::SpinEpoll, "epoll"),
];

/// Readers of files, with the greatest confidence that their verdict may have.
pub const FILES: [(Built, &str); 3] = [
    (by("libaio", built(Mode::Libaio, "asynchronous")), "high"),
    (by("posix-aio", built(Mode::PosixAio, "asynchronous")), "medium"),
    (by("pread64", built(Mode::PsyncFiles, "blocking")), "high"),
];

impl Built {
    /// Whether its model rests on hooks whose arguments differ between kernels: what guests test of the models.
    pub fn depends_on_the_kernel(&self) -> bool {
        matches!(self.model, "signal-driven" | "asynchronous")
            || matches!(self.mode, Mode::UringPoll | Mode::UringFiles | Mode::TtyAsync)
    }

    /// Who serves one connection at a time gets one after another.
    fn in_turn(&self) -> bool {
        matches!(self.mode, Mode::BlockingIterative | Mode::PollOne)
    }

    fn is_udp(&self) -> bool {
        matches!(self.mode, Mode::Udp | Mode::SigioUdp)
    }

    /// Whether one descriptor that it waits for by a readiness call could mean two models.
    pub fn waits_for_readiness(&self) -> bool {
        self.mode == Mode::PollOne || self.model == "multiplexing"
    }

    pub fn under_load(&self, connections: u32, way: &str) -> Observed {
        let pattern = match self.mode {
            _ if self.is_udp() => Pattern::Udp,
            _ if self.in_turn() => Pattern::InTurn,
            _ => Pattern::PingPong,
        };
        let requests = if self.in_turn() { 60 / connections } else { 60 };
        let server = if self.is_udp() { String::new() } else { format!("--connections {connections}") };
        println!("{} with {connections} connections", self.mode.name());
        let clients = format!("--connections {connections} --requests {requests} --think 10");
        Workload {
            mode: self.mode,
            server: &server,
            pattern,
            clients: &clients,
            tracer: "",
            clients_on: None,
        }
        .observe(way)
    }

    /// The verdict may be missing, but not wrong.
    pub fn is_not_wrong(&self, verdict: &IoModel) {
        let name = &*verdict.name;
        println!("{}: {name} {:?}", self.mode.name(), verdict.confidence);
        assert!(name == self.model || name == "inconclusive", "{}: {verdict:#?}", self.mode.name());
    }
}

pub fn is_surely(verdict: &IoModel, model: &str, qualifier: Option<&str>) {
    let said = (&*verdict.name, verdict.qualifier.as_deref(), verdict.confidence.as_deref());
    assert_eq!(said, (model, qualifier, Some("high")), "{verdict:#?}");
}
