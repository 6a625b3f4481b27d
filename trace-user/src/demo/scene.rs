//! The fixtures of the demo, in the order of the textbook.

use std::time::Duration;

use fixtures::Mode;
use fixtures::load::{Pattern, Spec};
use trace_common::account::Account;

/// One fixture with its load and the model it is built to have.
pub struct Scene {
    /// Name in the table.
    pub name: &'static str,
    /// What the server does.
    pub mode: Mode,
    /// Further arguments of the server.
    pub args: &'static [&'static str],
    /// Clients.
    pub connections: usize,
    /// How they behave.
    pub pattern: Pattern,
    /// The model.
    pub expected: &'static str,
    /// Its qualifier.
    pub qualifier: Option<&'static str>,
    /// The account that phase 1 goes to; none where nobody sleeps.
    pub waits: Option<Account>,
    /// When the model is a good choice.
    pub choice: &'static str,
}

impl Scene {
    /// The load for a server on `port`.
    pub fn load(&self, port: u16) -> Spec {
        let mut spec = Spec::new(self.pattern, port);
        spec.connections = self.connections;
        spec.think = Duration::from_millis(20);
        spec
    }
}

const PLAIN: Scene = Scene {
    name: "",
    mode: Mode::Blocking,
    args: &[],
    connections: 4,
    pattern: Pattern::PingPong,
    expected: "blocking",
    qualifier: None,
    waits: Some(Account::WaitData),
    choice: "",
};

/// All scenes.
pub const SCENES: [Scene; 13] = [
    Scene { name: "blocking", choice: "few connections, simple code: one thread for each", ..PLAIN },
    Scene {
        name: "poll-one",
        mode: Mode::PollOne,
        pattern: Pattern::InTurn,
        connections: 200,
        qualifier: Some("emulated"),
        waits: Some(Account::WaitReady),
        choice: "blocking with a time limit or a second event",
        ..PLAIN
    },
    Scene {
        name: "nonblocking",
        mode: Mode::Nonblocking,
        expected: "nonblocking",
        waits: None,
        choice: "latency at any price: a CPU is spent on asking",
        ..PLAIN
    },
    Scene {
        name: "nonblocking-nap",
        mode: Mode::NonblockingNap,
        expected: "nonblocking",
        waits: Some(Account::WaitTimer),
        choice: "polling beside other work; the nap bounds the latency",
        ..PLAIN
    },
    Scene {
        name: "select",
        mode: Mode::Select,
        expected: "multiplexing",
        waits: Some(Account::WaitReady),
        choice: "portable, below 1,024 descriptors",
        ..PLAIN
    },
    Scene {
        name: "poll",
        mode: Mode::Poll,
        expected: "multiplexing",
        waits: Some(Account::WaitReady),
        choice: "portable, up to hundreds of connections",
        ..PLAIN
    },
    Scene {
        name: "epoll",
        mode: Mode::Epoll,
        connections: 50,
        expected: "multiplexing",
        waits: Some(Account::WaitReady),
        choice: "many connections in one thread",
        ..PLAIN
    },
    Scene {
        name: "epoll-et",
        mode: Mode::EpollEt,
        expected: "multiplexing",
        waits: Some(Account::WaitReady),
        choice: "fewer wake-ups; every read goes on until EAGAIN",
        ..PLAIN
    },
    Scene {
        name: "udp",
        mode: Mode::Udp,
        pattern: Pattern::Udp,
        connections: 3,
        choice: "one socket, many peers, one receive each",
        ..PLAIN
    },
    Scene {
        name: "sigio-udp",
        mode: Mode::SigioUdp,
        pattern: Pattern::Udp,
        connections: 3,
        expected: "signal-driven",
        waits: Some(Account::WaitSignal),
        choice: "datagrams that interrupt other work; little code can run there",
        ..PLAIN
    },
    Scene {
        name: "setsig-tcp",
        mode: Mode::SetsigTcp,
        expected: "signal-driven",
        waits: Some(Account::WaitSignal),
        choice: "signals that name their descriptor; epoll does it better",
        ..PLAIN
    },
    Scene {
        name: "uring",
        mode: Mode::Uring,
        expected: "asynchronous",
        waits: Some(Account::WaitCompletion),
        choice: "the kernel waits and copies; one call submits and reaps many",
        ..PLAIN
    },
    Scene {
        name: "uring-multishot",
        mode: Mode::UringMultishot,
        expected: "asynchronous",
        waits: Some(Account::WaitCompletion),
        choice: "as uring, one request for all receives of a connection",
        ..PLAIN
    },
];

/// The figures of the textbook: for each model the scene that stands for it, and what its caller does in phase 1.
pub const FIGURES: [(&str, &str, &str); 5] = [
    ("blocking", "blocking", "asleep in the receive"),
    ("nonblocking", "nonblocking", "asking again and again"),
    ("multiplexing", "epoll", "asleep in epoll_wait"),
    ("signal-driven", "sigio-udp", "asleep until a signal, or at other work"),
    ("asynchronous", "uring", "asleep until a completion, or at other work"),
];
