//! Findings (`findings[].code`): each has its thresholds in `model/thresholds.rs`.

use super::Kind::Finding;
use super::Part::{Act, Costs, Good, Looks, Measured};
use super::Topic;

/// A finding.
macro_rules! finding {
    ($name:literal, $what:literal, looks: $looks:literal, good: $good:literal, costs: $costs:literal,
     measured: $measured:literal, act: $act:literal $(,)?) => {
        Topic {
            kind: Finding,
            name: $name,
            what: $what,
            parts: &[(Looks, $looks), (Good, $good), (Costs, $costs), (Measured, $measured), (Act, $act)],
        }
    };
}

/// All of them.
pub const FINDINGS: [Topic; 11] = [
    finding!(
        "spins-before-sleep",
        "A multiplexing loop asks in vain several times before it sleeps.",
        looks: "Readiness calls with time limit 0 that return nothing; user and kernel time while little comes.",
        good: "Busy polling on purpose: it buys latency with CPU time.",
        costs: "CPU time while the server is idle.",
        measured: "≥ 20 % of receives with data ended while polling, or ≥ 5 readiness calls that found nothing and did not \
                   sleep for each.",
        act: "Look for a busy-poll setting.",
    ),
    finding!(
        "polling-burns-cpu",
        "Polling keeps a CPU busy.",
        looks: "A nonblocking server whose thread is on a CPU all the time.",
        good: "Only where latency of microseconds is worth a CPU.",
        costs: "A whole CPU, whatever comes.",
        measured: "A thread asked in vain ≥ 10,000 times a second; a nap of 1 ms gives at most 1,000.",
        act: "Wait for readiness (epoll), or nap between rounds.",
    ),
    finding!(
        "idle",
        "No data was received in the window.",
        looks: "0 receives with data.",
        good: "Idle is not bad: its peers had nothing to ask.",
        costs: "The verdict: without episodes it is inconclusive.",
        measured: "The sum of receives with data over all threads; not said of programs that work on files.",
        act: "Attach under load.",
    ),
    finding!(
        "blocking-call-in-reactor",
        "A loop sleeps outside its wait, and all its connections wait with it.",
        looks: "A reactor with time in wait_disk, wait_futex, wait_send or wait_data; its longest sleep and the call of it \
                stand in event_loop.",
        good: "Never under load; once at the start of a program it is no harm.",
        costs: "The sleep's length as latency of every connection of the loop.",
        measured: "A reactor that slept ≥ 5 % of the time between its waits, at least once for ≥ 1 ms, the longest time not in \
                   a futex: there a pool's idle threads sleep, too.",
        act: "Hand that call to a pool of threads, or make it non-blocking and wait for it in the loop.",
    ),
    finding!(
        "wakeups-without-work",
        "Waits return, and there is nothing left to do: a thundering herd.",
        looks: "Several loops on one listener; accepts that find no connection.",
        good: "A few of them are normal: timers and wake-ups from other threads move on something else.",
        costs: "A switch and two calls for each waiter and connection.",
        measured: "≥ 20 % of ≥ 100 waits that returned descriptors were followed by no receive, accept, send, write, waking \
                   of a thread or removal of a descriptor; and half as many accepts found no connection. Threads with \
                   io_urings are left out.",
        act: "EPOLLEXCLUSIVE, or a listener for each (SO_REUSEPORT).",
    ),
    finding!(
        "one-event-per-wakeup",
        "A busy loop asks again for each single event.",
        looks: "As many events as waits, many thousand a second, on a busy CPU.",
        good: "With few connections there is nothing to gain.",
        costs: "One readiness call for each event instead of one for many.",
        measured: "A reactor that is on a CPU for ≥ half of its time, with ≥ 10,000 waits a second and < 1.05 events each.",
        act: "Ask for more events at once (maxevents above 1).",
    ),
    finding!(
        "receive-buffers-filled",
        "Receives fill their buffers: what came does not fit into one.",
        looks: "Receives that return exactly as many bytes as they had room for, one after another.",
        good: "Messages that have just that size, or a buffer that is small to bound memory.",
        costs: "More calls for the same bytes.",
        measured: "≥ half of ≥ 100 receives with data filled a buffer of at least 512 bytes, on stream sockets.",
        act: "A larger buffer.",
    ),
    finding!(
        "workers-unbalanced",
        "Some workers do much more than others.",
        looks: "Receives and CPU time gather in few of the workers; balance says by how much and what spreads them.",
        good: "Under a load that one worker can carry it is no harm, and caches stay warm.",
        costs: "Latency of those whose worker is busy, while others are idle.",
        measured: "A Gini coefficient of ≥ 0.22 over the workers' receives with data, of which there are ≥ 100 for each; not \
                   where each connection has a worker of its own.",
        act: "A listener for each worker (SO_REUSEPORT) spreads connections; long-lived ones stay where they are.",
    ),
    finding!(
        "cpu-starved",
        "Those who serve wait longer for a CPU than for work.",
        looks: "runqueue and preempted above all waits together.",
        good: "Never, but in a test that fills the machine on purpose.",
        costs: "The time in the queue, as latency of every request.",
        measured: "The time of those who serve in runqueue and preempted is more than that in wait_data, wait_ready, \
                   wait_accept and wait_completion, and ≥ 25 % of their lives.",
        act: "More CPUs, fewer runnable threads, or a larger share for this service (cpu.weight, cpu.max).",
    ),
    finding!(
        "thousand-workers",
        "More than a thousand connections have a worker of their own.",
        looks: "Thread or process per connection, with ≥ 1,000 workers alive.",
        good: "Where isolation is worth it, or all of them are busy.",
        costs: "A stack and a place in the scheduler for each.",
        measured: "Workers alive at the end of the window, of a server model per connection.",
        act: "A loop serves idle connections for nothing.",
    ),
    finding!(
        "workers-wait-for-upstream",
        "Answers take as long as one other server takes to reply.",
        looks: "peers on the client side with a large reply_ns; build_ns of the turns is hardly more.",
        good: "A proxy does nothing else.",
        costs: "Workers that only wait: more of them wait more.",
        measured: "≥ 30 replies of one address took ≥ half of the time in which all answers were built.",
        act: "Look there first: attach trace to it, too.",
    ),
];
