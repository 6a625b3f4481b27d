//! Roles of threads, and the accounts that their time goes to.

use super::Kind::{Account, Role};
use super::Part::{Costs, Good, Looks, Measured, Says};
use super::Topic;

/// The roles (contract, DESIGN §3). They come from what a thread did, never from its name.
pub const ROLES: [Topic; 8] = [
    Topic {
        kind: Role,
        name: "acceptor",
        what: "Accepts connections and receives from none.",
        parts: &[
            (Looks, "Asleep in accept (wait_accept), or in a readiness call over listeners."),
            (Good, "In front of workers that are bound to connections."),
            (Costs, "One thread; it is a bottleneck only at thousands of new connections a second."),
            (Measured, "It called accept, or slept in it, and had no episode on the server side."),
        ],
    },
    Topic {
        kind: Role,
        name: "reactor",
        what: "Waits on several peers and receives from them.",
        parts: &[
            (
                Looks,
                "Asleep in wait_ready (or wait_completion, or polling), then receives that do not sleep.",
            ),
            (Good, "Many connections on one thread."),
            (Costs, "Whatever blocks in it delays all of them."),
            (
                Measured,
                "More episodes of a loop (wide, polled, signalled, completed) than alone, and it waits itself.",
            ),
        ],
    },
    Topic {
        kind: Role,
        name: "connection-worker",
        what: "Receives from one connection at a time.",
        parts: &[
            (Looks, "Asleep in the receive (wait_data), or in a readiness call over that connection."),
            (Good, "Plain code, one request after another."),
            (Costs, "One thread or process for each connection that is open at a time."),
            (Measured, "As many episodes that slept, or were narrow, as those of a loop, or more."),
        ],
    },
    Topic {
        kind: Role,
        name: "pool-worker",
        what: "Receives what others waited for.",
        parts: &[
            (
                Looks,
                "Asleep in wait_futex between requests; receives end after_ready, but it calls no readiness call.",
            ),
            (Good, "Work that is long or blocks, away from the loop."),
            (Costs, "A hand-over for each request."),
            (
                Measured,
                "Episodes of a loop in a thread that never waits for readiness, signals or completions.",
            ),
        ],
    },
    Topic {
        kind: Role,
        name: "supervisor",
        what: "The first thread of a process that serves nobody, above processes that do.",
        parts: &[
            (Looks, "Asleep in wait4, sigsuspend or a readiness call without peers."),
            (Good, "Restarts workers that died."),
            (Costs, "Nothing to speak of."),
            (Measured, "Its process served no connection, another one of the target did."),
        ],
    },
    Topic {
        kind: Role,
        name: "background",
        what: "Works, but serves no connection.",
        parts: &[
            (Looks, "Timers, garbage collection, writers of logs, threads of a runtime."),
            (Good, "Whatever must not delay requests."),
            (Costs, "Its CPU time: see its ledger."),
            (Measured, "Had events in the window, and none of the other roles fits."),
        ],
    },
    Topic {
        kind: Role,
        name: "idle",
        what: "Did nothing in the window.",
        parts: &[
            (Looks, "One sleep from the beginning to the end of the window, mostly in wait_futex (≥)."),
            (Good, "Spare workers of a pool."),
            (Costs, "Its stack."),
            (Measured, "No event of it was seen, and it was not on a CPU; /proc says what it sleeps in."),
        ],
    },
    Topic {
        kind: Role,
        name: "kernel-io",
        what: "A thread that the kernel runs for the target's io_uring: io-wq or SQPOLL.",
        parts: &[
            (Looks, "Names that begin with iou-; no calls of its own."),
            (Good, "Requests that would block the submitter; submission without calls (SQPOLL)."),
            (Costs, "CPU time that top shows as the target's; SQPOLL spins."),
            (Measured, "The kernel says so when it is made (task_newtask, PF_IO_WORKER)."),
        ],
    },
];

/// An account: what it is, what much of it says, how it is measured.
macro_rules! account {
    ($name:literal, $what:literal, $says:literal, $measured:literal $(,)?) => {
        Topic { kind: Account, name: $name, what: $what, parts: &[(Says, $says), (Measured, $measured)] }
    };
}

/// The accounts of the time ledger (contract, DESIGN §5), in their order.
pub const ACCOUNTS: [Topic; 17] = [
    account!(
        "wait_accept",
        "Asleep in accept: nobody wants to connect.",
        "Idle: the peers have nothing to ask.",
        "From the switch away in accept or accept4 to the wake-up.",
    ),
    account!(
        "wait_data",
        "Asleep in a receive on a socket, pipe, FIFO or tty: phase 1 of a blocking read.",
        "On the server side idle; on the client side (wait_data_by_side.client_ns) somebody else is slow.",
        "From the switch away in the receive to the wake-up, by the side of the connection that it then received from.",
    ),
    account!(
        "wait_ready",
        "Asleep in select, poll or epoll with a descriptor at least, or reading an eventfd, signalfd, inotify.",
        "Idle of a loop.",
        "From the switch away in the readiness call to the wake-up.",
    ),
    account!(
        "wait_completion",
        "Asleep in io_uring_enter, io_getevents, io_pgetevents.",
        "Idle of a completion loop, or a slow disk.",
        "From the switch away in that call to the wake-up.",
    ),
    account!(
        "wait_signal",
        "Asleep in pause, sigsuspend, sigtimedwait.",
        "Idle of a signal-driven program, or of a supervisor.",
        "From the switch away in that call to the wake-up.",
    ),
    account!(
        "wait_send",
        "Asleep in a send, sendfile or connect call, or in a write to a socket, pipe or tty.",
        "The peer reads too slowly, or a connection is being made.",
        "From the switch away in that call to the wake-up.",
    ),
    account!(
        "wait_futex",
        "Asleep in futex: a lock, a condition, an idle pool thread, a join; the kernel cannot tell which.",
        "Much of it in idle workers is normal; in threads that serve connections look for a lock.",
        "From the switch away in futex to the wake-up.",
    ),
    account!(
        "wait_timer",
        "Asleep in nanosleep, in a timerfd read, in a readiness call without descriptors.",
        "Naps of a polling loop, or work that is done once a second.",
        "From the switch away in that call to the wake-up.",
    ),
    account!(
        "wait_disk",
        "Asleep in a call on a file or block device, or with in_iowait elsewhere.",
        "In a loop it holds up every connection.",
        "From the switch away to the wake-up; the call's file, or in_iowait, says that it is the disk.",
    ),
    account!(
        "wait_other",
        "Any other sleep: wait4, vfork, a page fault, a socket lock.",
        "Supervisors wait for children here; elsewhere look at in_flight.",
        "Sleeps that fit no other account, and uninterruptible ones inside a receive without in_iowait.",
    ),
    account!(
        "stopped",
        "Stopped, traced or frozen.",
        "Somebody debugs it, or its control group is frozen. trace run books here what it held the command itself.",
        "The state bits at the switch away from the CPU.",
    ),
    account!(
        "runqueue",
        "Runnable after a wake-up, or newly born, and not yet running.",
        "Above the waits themselves the machine has too few CPUs for its load.",
        "From the wake-up to the switch-in. The stamp is some µs before the scheduler's own: larger than its delay.",
    ),
    account!(
        "preempted",
        "Runnable, pushed off its CPU.",
        "Others want this CPU.",
        "From a switch away while runnable to the switch-in.",
    ),
    account!(
        "copy",
        "On a CPU in a receive, from the first copied byte on: phase 2.",
        "Grows with the bytes. ≤ is an upper bound; below the floor it is the probes' own time.",
        "From skb_copy_datagram_iovec to the end of the receive; where that event is absent (copy_bounded), all on-CPU \
         time of the receive.",
    ),
    account!(
        "kernel",
        "On a CPU in any other part of a system call, or in a ring's task work outside one.",
        "Sending is mostly here, and the way into and out of each call.",
        "On-CPU time inside calls that is not copy.",
    ),
    account!(
        "user",
        "On a CPU outside system calls: the program itself.",
        "Building responses; in a loop that polls, polling.",
        "On-CPU time outside calls. Interrupts lie inside user, kernel and copy.",
    ),
    account!(
        "unknown",
        "Not observed.",
        "5 % of it keeps a verdict below high.",
        "Time between events that do not fit each other: a switch that was hidden from tracing and could not be recovered.",
    ),
];
