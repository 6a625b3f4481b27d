//! How sure a verdict is, what it stands on, what was found, and what was lost.

use super::Kind::{Confidence, Ending, Evidence, Handover, Loss, Side, Spread, Tier};
use super::Part::{Act, Measured, Says};
use super::Topic;

/// A topic of one sentence.
macro_rules! short {
    ($kind:ident, $name:literal, $what:literal) => {
        Topic { kind: $kind, name: $name, what: $what, parts: &[] }
    };
    ($kind:ident, $name:literal, $what:literal, $($part:ident: $text:literal),+) => {
        Topic { kind: $kind, name: $name, what: $what, parts: &[$(($part, $text)),+] }
    };
}

/// How sure (contract, DESIGN §4).
pub const CONFIDENCES: [Topic; 3] = [
    short!(Confidence, "high", "Behaviour and structure agree, enough of both was seen, and nothing was lost.",
        Measured: "≥ 30 decided episodes, Wilson 95 % lower bound ≥ 0.80, ≥ 3 connections, undecided episodes and unknown \
                   time each < 5 %, no losses that touch it, canary exact, tier full."),
    short!(Confidence, "medium", "The share is as clear, but one of the conditions of high fails.",
        Act: "The evidence marked ✗ says which condition; mostly more load or a longer window settles it."),
    short!(Confidence, "low", "The winner is ahead, but so few waits were seen that the bound is below 0.80.",
        Act: "Measure longer, or under load."),
];

/// Evidence (`evidence[].code`).
pub const EVIDENCE: [Topic; 39] = [
    short!(Evidence, "episodes", "Wilson 95 % lower bound of the winner's share of the decided episodes."),
    short!(Evidence, "episodes-enough", "How many episodes were decided; high needs 30."),
    short!(
        Evidence,
        "width-one",
        "Share of readiness waits over exactly one peer: emulated blocking needs 95 %."
    ),
    short!(Evidence, "width-many", "Readiness waits over two or more peers, or a listener and a peer."),
    short!(
        Evidence,
        "connections",
        "Connections with an episode; below 3 the width of a wait tells nothing."
    ),
    short!(
        Evidence,
        "asked",
        "Share of connections asked as the model asks: by calls that may wait, or that may not."
    ),
    short!(
        Evidence,
        "sleeping-waits",
        "Sleeping readiness waits for each polled episode: who sleeps is no poller."
    ),
    short!(Evidence, "signals", "Signals of I/O, delivered or dequeued."),
    short!(
        Evidence,
        "io-uring",
        "Rings used, and how their receives were done: at once, after a wait of the kernel, by io-wq."
    ),
    short!(
        Evidence,
        "storage-requests",
        "Wilson 95 % lower bound of the winner's share of reads and writes of files."
    ),
    short!(Evidence, "storage-submitted", "Requests on files through io_uring, io_submit or POSIX aio."),
    short!(Evidence, "no-episodes", "No wait for data was decided in the window."),
    short!(
        Evidence,
        "one-peer-few-connections",
        "Waits over one peer on fewer than 3 connections: a loop with one client, \
        and a thread with its only connection, look alike."
    ),
    short!(Evidence, "o-async", "Sockets have O_ASYNC, and the hook that sees signals is missing."),
    short!(Evidence, "no-model-carries", "No model has 80 % of the decided episodes."),
    short!(Evidence, "canary-unseen", "The probes did not see the known receives: nothing can be said."),
    short!(
        Evidence,
        "undecided",
        "Share of episodes that decide nothing, mostly of unknown width; high needs < 5 %."
    ),
    short!(Evidence, "unknown-time", "Share of the threads' time that was not observed; high needs < 5 %."),
    short!(Evidence, "losses", "Losses for each event; high needs less than one in 10,000."),
    short!(Evidence, "threads-missed", "Threads of the target without a record; high needs none."),
    short!(
        Evidence,
        "hooks",
        "Hooks that are not there, without which one of the models cannot be seen; high needs none."
    ),
    short!(
        Evidence,
        "watched",
        "In a tier that sees only waits that slept: the connections are in epoll sets."
    ),
    short!(Evidence, "tier", "Measured in a tier below full, which sees less: at most medium."),
    short!(Evidence, "canary", "The canary was not exact: counts cannot be trusted to the last one."),
    short!(Evidence, "client-side", "No server side was seen: what the target asks others decided."),
    short!(Evidence, "loops", "Threads that served their connections in loops, or their share."),
    short!(
        Evidence,
        "fed",
        "Share of a loop's episodes that ended in threads that never wait: workers that it feeds."
    ),
    short!(
        Evidence,
        "handovers",
        "Share of connections that several threads received from: a shared poller."
    ),
    short!(
        Evidence,
        "workers",
        "Threads or processes that served one connection at a time, or that work beside a loop."
    ),
    short!(Evidence, "idle-acceptors", "Workers that wait in accept at once: a pool."),
    short!(
        Evidence,
        "listener",
        "Who holds the listener: workers (a pool) or only a parent (per connection)."
    ),
    short!(Evidence, "no-network", "No receive, accept or listener was seen: not a server."),
    short!(
        Evidence,
        "idle-loops",
        "Further threads or processes that sleep in a readiness call and served nobody."
    ),
    short!(
        Evidence,
        "nobody-accepts",
        "Nobody else waits for the next connection: workers must take it themselves."
    ),
    short!(Evidence, "unwatched", "No connection was seen in an epoll set, and nobody waited over several."),
    short!(
        Evidence,
        "sampled",
        "Tier proc: share of the samples over connections that show what the model does, with the thread that shows it most.",
        Says: "Where threads sleep, not how their waits end: at most medium."
    ),
    short!(Evidence, "sampled-nothing", "Tier proc: no sample showed a sleep over a connection of the server side.",
        Act: "Send requests meanwhile; or tier full, which sees what running threads ask."),
    short!(Evidence, "sampled-denied", "Tier proc: share of the threads whose call in flight may not be read.",
        Act: "Run trace as the target's user, as root, or with CAP_SYS_PTRACE; kernel.yama.ptrace_scope above 0 forbids it \
              to users."),
    short!(Evidence, "immediate", "Receives found their data there: too few waits to judge by."),
];

/// Loss counters (`loss`).
pub const LOSSES: [Topic; 24] = [
    short!(Loss, "exit_without_enter", "System calls that ended and were not seen to begin."),
    short!(Loss, "enter_without_exit", "System calls that began while another had not ended."),
    short!(
        Loss,
        "clock_backwards",
        "Events stamped before the one they follow; their time is booked nowhere."
    ),
    short!(Loss, "slots_exhausted", "Threads that were born when no record was free.", Act: "Measure fewer processes."),
    short!(Loss, "map_full", "A map had no room: connections or requests beyond the table.",
        Act: "A shorter window, or a target with fewer connections."),
    short!(Loss, "ring_full", "Receives that --calls had no room for.", Act: "A smaller --calls."),
    short!(Loss, "timeline_dropped", "Spans that the timeline lacks: beyond --timeline-limit, or they came too fast.",
        Says: "No verdict depends on it; the tracks of the timeline do not add up to the ledgers, see --timeline-limit."),
    short!(
        Loss,
        "recursion_missed",
        "Runs of a probe that the kernel skipped because it was active on that CPU."
    ),
    short!(Loss, "nested", "Runs that gave up because another probe was writing that thread's record."),
    short!(
        Loss,
        "compat_calls",
        "32-bit and x32 calls: their numbers mean other calls, and they are not classified."
    ),
    short!(Loss, "torn_reads", "Records that were being written in all three tries to read them."),
    short!(Loss, "user_faults", "Memory of the target (the array of a poll) that could not be read."),
    short!(Loss, "threads_missed", "Threads of the target without a record at the end."),
    short!(
        Loss,
        "lost_wakeups",
        "Sleeps whose end was not seen: their time on the run queue is in the sleep."
    ),
    short!(Loss, "missed_switches", "Arrivals on a CPU that were not seen: that time is unknown."),
    short!(
        Loss,
        "wide_scans_cut",
        "poll and select over more than 1,024 descriptors that returned: the rest was not \
        looked at."
    ),
    short!(Loss, "completed_unmatched", "Completions of the target's rings whose request is not known."),
    short!(Loss, "generation_dropped", "Rings with counts whose place in memory another ring took."),
    short!(Loss, "early_wakeups", "No loss: wake-ups that were traced before the switch that they end.",
        Says: "Put right: the sleep ends at once."),
    short!(Loss, "recovered_wakeups", "No loss: wake-ups taken from the scheduler's own stamp."),
    short!(Loss, "recovered_switches", "No loss: arrivals on a CPU taken from the scheduler's own stamps."),
    short!(Loss, "connections_seen", "No loss: connections first seen in the window."),
    short!(
        Loss,
        "connections_folded",
        "No loss: connections whose record gave way to another one's, and that were added to \
        their peer's."
    ),
    short!(Loss, "connections_evicted", "Connections that peers and turns lack, since there was no room for them.",
        Says: "No verdict depends on it."),
];

/// What a measurement hooks into (`tool.tier`, `--tier`).
pub const TIERS: [Topic; 4] = [
    short!(Tier, "full", "All hooks: every system call of the target, every switch of its threads.",
        Says: "Everything in the report is measured."),
    short!(Tier, "sched", "No hooks on the entry and the exit of system calls, on wake-ups and on copies: no call on the machine pays for it.",
        Says: "No user, kernel and copy time apart, no calls that did not sleep; a verdict is at most medium."),
    short!(Tier, "proc", "No hooks: samples of /proc, for whoever may not load any. What takes probes is null.",
        Measured: "CPU and run queue from schedstat, exact; sleeps shared out by some 100 samples a second.",
        Act: "sudo trace attach --tier full; trace doctor says what keeps it from being loaded."),
    short!(Tier, "auto", "The best tier that this kernel and these rights allow; with --max-overhead it goes down when it \
        costs more than that: full, sched, detached.",
        Says: "tool.steps and the notes say why it is what it is."),
];

/// Which end of a connection the target holds.
pub const SIDES: [Topic; 5] = [
    short!(Side, "server", "Accepted, or on one of the target's listening ports: verdicts are decided here.",
        Says: "Waiting on it is idle: the peer has nothing to ask."),
    short!(Side, "client", "Connected by the target; reported as upstream.",
        Says: "Waiting on it is somebody else being slow: a database, another service."),
    short!(Side, "local", "Both ends are in the target: messages of its own, which decide nothing."),
    short!(
        Side,
        "datagram",
        "A datagram socket: one descriptor with many peers. Decides together with server."
    ),
    short!(Side, "other", "Anything else, such as pipes and ttys."),
];

/// How an episode, or the lack of one, ends in a receive with data (`receives`, contract, DESIGN §2).
pub const ENDINGS: [Topic; 6] = [
    short!(Ending, "slept", "The receive itself slept before its first byte.", Says: "Speaks for blocking."),
    short!(Ending, "after_ready", "A readiness wait that covers the connection returned before.",
        Says: "Over several peers it speaks for multiplexing, over one for blocking (emulated)."),
    short!(Ending, "polled", "An empty ask followed an empty ask.", Says: "Speaks for nonblocking."),
    short!(Ending, "signalled", "A signal that covers the connection came before.", Says: "Speaks for signal-driven."),
    short!(Ending, "completed", "A receive that was submitted to a ring is done.", Says: "Speaks for asynchronous."),
    short!(Ending, "immediate", "The data was there before anybody waited.", Says: "No episode: decides nothing."),
];

/// How a connection came to the thread that serves it (`handovers`).
pub const HANDOVERS: [Topic; 6] = [
    short!(Handover, "unseen", "Its accept was not seen: it is older than the window."),
    short!(Handover, "same_thread", "The thread that accepted it receives from it.",
        Says: "What follows requests by thread id works for it."),
    short!(Handover, "fork", "A process that was born after the accept: one per connection."),
    short!(Handover, "new_thread", "A thread of the accepting process that was born after the accept."),
    short!(Handover, "queue", "An older thread of the accepting process: a queue, or a shared poller.",
        Says: "What follows requests by thread id loses them here."),
    short!(
        Handover,
        "passed_descriptor",
        "An older thread of another process, which must have been given the descriptor."
    ),
];

/// What decides which worker gets a connection (`balance.spread`).
pub const SPREADS: [Topic; 5] = [
    short!(Spread, "shared-listener", "Several workers accept from one listener: whoever is awake first gets it.",
        Says: "Idle workers that were awake last are cold, so few of them may do most of the work."),
    short!(Spread, "reuseport", "Several listeners on one port (SO_REUSEPORT): the kernel chooses by a hash of the addresses.",
        Says: "Even for many connections, not for few; long-lived ones stay where they are."),
    short!(Spread, "acceptor", "One accepts and hands over to older threads: its queue, or its choice."),
    short!(Spread, "per-connection", "One accepts, and a thread or process is born for each connection."),
    short!(Spread, "unseen", "Nobody accepted in the window."),
];
