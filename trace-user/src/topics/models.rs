//! I/O models, server models, and what qualifies them.

use super::Kind::{IoModel, Qualifier, ServerModel};
use super::Part::{Costs, Good, Looks, Measured};
use super::Topic;

/// The I/O models (contract, DESIGN §2).
pub const IO: [Topic; 7] = [
    Topic {
        kind: IoModel,
        name: "blocking",
        what: "The caller sleeps inside the receive until data is there, and returns with it. The caller is blocking, the \
               callee synchronous.",
        parts: &[
            (
                Looks,
                "Threads asleep in read or recv (wait_data), mostly one connection each; receives end as slept.",
            ),
            (
                Good,
                "Few connections, or work per request that is long compared with a switch; the simplest code.",
            ),
            (
                Costs,
                "A thread (or process) for every connection that waits: its stack, and two switches per wait.",
            ),
            (
                Measured,
                "Share of episodes that ended as slept, or after a readiness wait over exactly one peer \
                        (emulated); ≥ 80 % for the verdict. Structure: the connections are asked by calls that may wait.",
            ),
        ],
    },
    Topic {
        kind: IoModel,
        name: "nonblocking",
        what: "The caller asks again and again, with at most a nap between. The caller is non-blocking, the callee \
               synchronous.",
        parts: &[
            (
                Looks,
                "Many empty asks (eagain) for each receive with data; hardly a sleep in a readiness call; a CPU kept \
                     busy, or naps (wait_timer).",
            ),
            (
                Good,
                "Latency of microseconds on a CPU set aside for it; or a program whose loop runs all the time anyway.",
            ),
            (Costs, "A whole CPU while nothing comes; with naps, their length as latency."),
            (
                Measured,
                "An empty ask followed by another empty ask is polled; ≥ 80 % of the episodes, and sleeping \
                        readiness waits for < 5 % of them. EAGAIN alone proves nothing: most reactors see it, too.",
            ),
        ],
    },
    Topic {
        kind: IoModel,
        name: "multiplexing",
        what: "The caller sleeps in select, poll or epoll over several descriptors, and then receives from those that are \
               ready. The caller is blocking (in the readiness call), the callee synchronous.",
        parts: &[
            (
                Looks,
                "Few threads asleep in wait_ready; receives end as after_ready and do not sleep themselves.",
            ),
            (Good, "Many connections of which few are busy: one thread serves thousands."),
            (
                Costs,
                "One more call per wake-up; a handler that blocks or computes holds up every other connection.",
            ),
            (
                Measured,
                "Share of episodes after a readiness wait over ≥ 2 peers, or a listener and a peer; ≥ 3 connections, \
                        or the width tells nothing. A wait over one peer counts as blocking (emulated).",
            ),
        ],
    },
    Topic {
        kind: IoModel,
        name: "signal-driven",
        what: "The caller does something else until SIGIO, or a signal chosen with F_SETSIG, tells it that a socket is \
               ready. The caller is non-blocking, the callee synchronous.",
        parts: &[
            (
                Looks,
                "Sockets with O_ASYNC; receives follow signals; sleeps in sigwait or pause (wait_signal), or none.",
            ),
            (Good, "Datagrams at a low rate beside a computation that cannot be turned into a loop."),
            (
                Costs,
                "A signal per event, queues that overflow, and handlers in which little is allowed; SIGIO does not say \
                     which descriptor.",
            ),
            (
                Measured,
                "Share of episodes that a signal ended whose si_code proves its origin (F_SETSIG 1 to 6, SIGIO 0x80) \
                        and that covers the connection. O_ASYNC without such signals proves nothing.",
            ),
        ],
    },
    Topic {
        kind: IoModel,
        name: "asynchronous",
        what: "The caller hands over a buffer and is told when the copy into it is done: the only model whose callee is \
               asynchronous. The caller is non-blocking.",
        parts: &[
            (
                Looks,
                "Rings (io_uring) with receives that complete; or, for files, io_submit and POSIX aio; sleeps in \
                     wait_completion, if any.",
            ),
            (
                Good,
                "High rates of small requests, where one call submits many; files beside sockets in one loop.",
            ),
            (
                Costs,
                "Buffers that are lent while a request waits; newer kernels; more to get wrong on cancellation.",
            ),
            (
                Measured,
                "Share of episodes that ended as completed. A ring in sight proves nothing: used for POLL_ADD only \
                        it is multiplexing, used for files only it says nothing of the network.",
            ),
        ],
    },
    Topic {
        kind: IoModel,
        name: "mixed",
        what: "Several models, none of which carries 80 % of the episodes; the report gives the shares.",
        parts: &[
            (
                Looks,
                "Two populations of threads, or one thread that polls some sockets and blocks on others.",
            ),
            (Good, "Nothing by itself: look at the processes and threads, which have models of their own."),
            (Costs, "What its parts cost."),
            (
                Measured,
                "≥ 30 decided episodes, and the first has less than 80 % of them. Always medium confidence.",
            ),
        ],
    },
    Topic {
        kind: IoModel,
        name: "inconclusive",
        what: "Not enough was seen, or what was seen contradicts itself, or two models fit. No fault of the server.",
        parts: &[
            (Looks, "No or few episodes; fewer than three connections; the reason stands in the evidence."),
            (Good, "An idle server is inconclusive, and idle is not bad."),
            (Costs, "Another measurement: attach under the load that the report asks for (settle)."),
            (
                Measured,
                "No decided episode; narrow waits of fewer than 3 connections; a canary that was not seen; a winner \
                        below 80 % with fewer than 30 episodes.",
            ),
        ],
    },
];

/// What stands behind a model's name.
pub const QUALIFIERS: [Topic; 3] = [
    Topic {
        kind: Qualifier,
        name: "emulated",
        what: "Blocking, but by a readiness call over exactly one peer before each receive: the thread can do nothing else \
               meanwhile.",
        parts: &[
            (
                Looks,
                "poll or epoll_wait, each time for the same connection (Apache prefork, MariaDB, PostgreSQL).",
            ),
            (Good, "A time limit on the wait, or a wake-up descriptor beside the connection."),
            (Costs, "One more call per request than blocking."),
            (Measured, "≥ 95 % of the thread's waits are over one peer, on ≥ 3 connections."),
        ],
    },
    Topic {
        kind: Qualifier,
        name: "storage",
        what: "There is no network to judge by: the verdict is that on reads and writes of files.",
        parts: &[(
            Measured,
            "Calls that slept for the disk, against completions of io_uring, io_submit and POSIX aio.",
        )],
    },
    Topic {
        kind: Qualifier,
        name: "shared-poller",
        what: "Threads of a runtime share one readiness descriptor, and whoever is free takes what comes (Go, BEAM, tokio).",
        parts: &[(Measured, "More than a fifth of the connections were received from by several threads.")],
    },
];

/// The server models (contract, DESIGN §3).
pub const SERVER: [Topic; 11] = [
    Topic {
        kind: ServerModel,
        name: "iterative",
        what: "One thread serves one connection at a time, from its beginning to its end.",
        parts: &[
            (Looks, "One thread that accepts and receives; further clients wait in the listener's queue."),
            (Good, "Requests so short that a queue is no harm; datagram services (DNS, time)."),
            (Costs, "One slow client stops everybody."),
            (
                Measured,
                "One thread received from all connections, one after another; or one datagram socket and one thread.",
            ),
        ],
    },
    Topic {
        kind: ServerModel,
        name: "thread-per-connection",
        what: "A thread is started for every connection and ends with it.",
        parts: &[
            (
                Looks,
                "An acceptor, and as many connection workers as connections; threads are born after accepts.",
            ),
            (Good, "Up to some hundred connections that live long; plain blocking code."),
            (Costs, "A stack and a switch per connection; births at the rate of connections."),
            (Measured, "≥ 3 births after accepts, and workers that served one connection each."),
        ],
    },
    Topic {
        kind: ServerModel,
        name: "process-per-connection",
        what: "A process is forked for every connection and ends with it (inetd, sshd, PostgreSQL).",
        parts: &[
            (Looks, "A parent that holds the listener, and children that closed it."),
            (Good, "Isolation: a crash or a leak costs one connection; privileges can be dropped for each."),
            (
                Costs,
                "A fork per connection; memory per process; no shared state but what is shared on purpose.",
            ),
            (
                Measured,
                "≥ 3 processes born after accepts; or a parent that holds the listener and workers that do not.",
            ),
        ],
    },
    Topic {
        kind: ServerModel,
        name: "thread-pool",
        what: "Threads that exist before, each bound to one connection at a time, and then to the next.",
        parts: &[
            (Looks, "More workers than connections, the rest idle in wait_futex or wait_accept."),
            (Good, "Blocking code at a bounded cost; short connections."),
            (Costs, "As many connections at once as threads: slow clients starve the others."),
            (
                Measured,
                "≥ 3 workers that served a second connection, or idle workers beyond the connections.",
            ),
        ],
    },
    Topic {
        kind: ServerModel,
        name: "process-pool",
        what: "Processes forked before (prefork), each bound to one connection at a time.",
        parts: &[
            (Looks, "Workers that hold the listener and accept for themselves; a supervisor above them."),
            (
                Good,
                "Code that is not safe for threads; interpreters with one lock; a crash costs one worker.",
            ),
            (Costs, "Memory per worker; as many connections at once as workers."),
            (Measured, "Processes that accept for themselves or served a second connection."),
        ],
    },
    Topic {
        kind: ServerModel,
        name: "single-reactor",
        what: "One thread serves many connections in a loop, whichever way it is told that they are ready.",
        parts: &[
            (Looks, "One reactor, everything else idle (redis, Node.js)."),
            (Good, "Short requests on shared state without locks."),
            (Costs, "One CPU at most; whatever blocks or computes in the loop delays every connection."),
            (Measured, "One thread had the episodes of all connections, and ended them as a loop does."),
        ],
    },
    Topic {
        kind: ServerModel,
        name: "reactor-with-workers",
        what: "A loop that waits and hands work to a pool; also runtimes whose threads share one poller (shared-poller).",
        parts: &[
            (
                Looks,
                "Threads that receive what others waited for, or that wake between requests and use CPU time.",
            ),
            (Good, "Requests that compute or block beside many idle connections."),
            (Costs, "A hand-over for each request: two switches, and a queue to be balanced."),
            (
                Measured,
                "Episodes that ended in threads that never wait themselves, connections received from by several \
                        threads, or CPU time and sleeps of threads beside the only loop.",
            ),
        ],
    },
    Topic {
        kind: ServerModel,
        name: "multi-reactor",
        what: "Several loops, each with connections of its own: one per thread (memcached) or per process (nginx).",
        parts: &[
            (Looks, "Several reactors of the same kind; count and units say how many of what."),
            (Good, "All CPUs for many connections, without locks between the loops."),
            (
                Costs,
                "Connections are spread when they are accepted, not by their load: loops can be out of balance.",
            ),
            (
                Measured,
                "Several threads had episodes as a loop has them, and few connections changed their thread.",
            ),
        ],
    },
    Topic {
        kind: ServerModel,
        name: "proactor",
        what: "A loop over completions: it is told what has been done, not what could be done.",
        parts: &[
            (Looks, "A thread in io_uring_enter (wait_completion), receives completed by its ring."),
            (Good, "As for asynchronous I/O: high rates, files and sockets in one loop."),
            (Costs, "Buffers lent to the kernel; cancellation."),
            (Measured, "The loops' episodes ended mostly as completed."),
        ],
    },
    Topic {
        kind: ServerModel,
        name: "none",
        what: "No server: it received from no connection, and reads and writes files, or nothing.",
        parts: &[
            (Looks, "No network in the window."),
            (Good, "Tools that work on files."),
            (Costs, "Nothing."),
            (Measured, "No receive, no accept and no listener, but a verdict on files."),
        ],
    },
    Topic {
        kind: ServerModel,
        name: "inconclusive",
        what: "Too few connections, or threads without a birth, a death or a second connection in the window: per \
               connection and pool look alike then, and both are named.",
        parts: &[
            (Looks, "Long-lived connections, or hardly any."),
            (Good, "Nothing is wrong with the server."),
            (Costs, "Another measurement, with connections that come and go in the window."),
            (Measured, "The alternatives are named in the report, with the evidence that is missing."),
        ],
    },
];
