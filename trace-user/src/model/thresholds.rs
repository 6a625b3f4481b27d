//! Every threshold of the model, each with the observation that set it.

/// Share of decided episodes from which a model carries the verdict; below it is `mixed` (DESIGN §2). 142 real server
/// configurations lie either above 0.95 or below 0.7.
pub const WINNER_SHARE: f64 = 0.80;

/// Decided episodes for `high` (DESIGN §4): with 30 of 30 the Wilson bound is 0.89, with 27 of 30 it is 0.74.
pub const HIGH_EPISODES: u64 = 30;

/// Wilson 95 % lower bound of the winner's share for `high` (DESIGN §4). Reached from 16 episodes of 16 on.
pub const HIGH_LOWER_BOUND: f64 = 0.80;

/// How far ahead of the next model the winner must be for `low` (DESIGN §4).
pub const LOW_LEAD: f64 = 2.0;

/// Undecided episodes, and `unknown` time, above which `high` is out of reach (DESIGN §4).
pub const UNDECIDED_SHARE: f64 = 0.05;

/// Share of waits over exactly one peer from which that is a pattern and not a moment (DESIGN §2): an epoll server with
/// 50 connections that come one after the other waits on one peer in less than 2 % of its waits.
pub const NARROW_SHARE: f64 = 0.95;

/// Connections that must have been seen before a width separates models (DESIGN §2 and §4): with one connection an epoll
/// loop whose listener is elsewhere and a private `poll` look alike.
pub const WIDTH_CONNECTIONS: u64 = 3;

/// Sleeping readiness waits per polled episode below which polling is the model (DESIGN §2); who spins and then sleeps
/// is multiplexing.
pub const SPIN_THEN_SLEEP: f64 = 0.05;

/// Share of episodes that ended while polling from which a multiplexing loop is said to spin before it sleeps.
pub const SPIN_FINDING: f64 = 0.20;

/// Readiness calls that found nothing and did not sleep, for each receive with data, from which a loop is said to spin.
/// Of 40 multiplexing servers of the truth suite under load none is above 0.5 (a loop with callbacks pending asks so,
/// too); the fixture asks up to 200 times before it sleeps.
pub const SPIN_ASKS: f64 = 5.0;

/// Workers that were born for their connection, or that served a second one, from which a pool and a thread or process
/// per connection are told apart at `high` (DESIGN §4).
pub const SEPARATING_WORKERS: u64 = 3;

/// Changes of a connection's receiving thread from which it goes back and forth. Fewer are a chain, as from who accepts to who
/// logs in to who serves: sshd has 2. Where threads share connections, each has hundreds in 2.5 s under load.
pub const BACK_AND_FORTH: u32 = 3;

/// Share of connections that went back and forth between threads, from which threads share them. In the truth suite it is all of the connections of Apache event, gunicorn's threads, Go, Java's
/// asynchronous channels, tokio and the textbook's reactor with a pool, at one connection and at many, and none of the others'.
pub const SHARED_CONNECTIONS: f64 = 0.2;

/// Share of loop episodes that ended in threads which never wait themselves, from which they are workers of a loop. In the
/// truth suite it is 1.0 where a loop feeds a pool, 0.74 where it feeds threads and receives, too (redis with I/O threads),
/// and 0 elsewhere.
pub const FED_SHARE: f64 = 0.1;

/// Share of looping workers that served one connection each, from which each connection has its own. In the truth suite under
/// load it is 1.0 for socat, ncat, sshd and FTP with threads, and at most 0.5 for loops over 10 connections or more that
/// share none.
pub const DEDICATED_SHARE: f64 = 0.8;

/// Share of undecided waits above which the others are too few to speak for all. Of the truth suite's measurements in tier
/// full, apache-event with one connection has more (0.999, one wait decided), and the next 0.43; in tier sched, socat and ncat
/// with a program behind pipes have 1.0.
pub const MOSTLY_UNDECIDED: f64 = 0.5;

/// Receives without a wait that tell as much as [`HIGH_EPISODES`] do, as long as nobody waits over their connections. In
/// the truth suite, servers that fork or accept for each request have 230 to 19,000, and up to 12 that waited.
pub const IMMEDIATE_RECEIVES: u64 = 30;

/// Share of a process's CPU time that threads other than its only loop spend, from which they may be its workers. In the
/// truth suite under load, helpers spend up to 0.05 (V8) and 0.53 (a JVM that compiles), pools 0.32 to 0.77.
pub const WORKER_CPU: f64 = 0.25;

/// Sleeps of such threads for each receive with data, from which they are: who is handed requests sleeps between them. In
/// the truth suite under load, pools have 4.7 and 28, a JVM's helpers 0.3, V8's 0.01.
pub const WORKER_SLEEPS: f64 = 1.0;

/// Gini coefficient from which work counts as unevenly spread: two workers that do 65 % and 35 % of it have 0.15, four of
/// which one does nothing have 0.25. A convention, not a measurement.
pub const UNEVEN: f64 = 0.15;

/// Receives per second below which such sleeps say nothing: a JVM's helpers sleep 110 times a second of their own accord.
pub const WORKER_RECEIVES_PER_SECOND: f64 = 200.0;

/// Losses per event below which they touch no verdict. On a machine whose supervisor hides its threads from tracing one
/// system-call exit in a million was not seen.
pub const LOSS_TOLERANCE: f64 = 1e-4;

/// Empty asks per second of a thread from which polling is said to burn a CPU: a nap of 1 ms gives at most 1,000.
pub const BURNING_ASKS_PER_SECOND: f64 = 10_000.0;

/// Share of the time between its waits that a reactor sleeps elsewhere, from which that is a finding. Of 38
/// configurations with loops in the truth suite under load, those have long sleeps there whose threads park in a futex.
pub const BLOCKED_LOOP: f64 = 0.05;

/// … and the longest of these sleeps, ns: shorter ones are locks that are held for a moment.
pub const BLOCKED_SLEEP_NS: u64 = 1_000_000;

/// Events (waits that returned, receives) below which a share of them is chance.
pub const ROUSED: u64 = 100;

/// Share of waits that returned descriptors and moved nothing on, from which that is a finding. Not enough by
/// itself: in the truth suite under load, servers that read pipes or wait for children have up to 0.55.
pub const HERD: f64 = 0.2;

/// Events for each wait that returned below which there is one; of busy loops in the truth suite none is below 1.85, and a
/// redis with 20 fast clients had 1.22.
pub const ONE_EVENT: f64 = 1.05;

/// Waits a second from which a loop is loaded: at 1 µs each they take 1 % of a CPU.
pub const ONE_EVENT_RATE: f64 = 10_000.0;

/// Share of a loop's time on a CPU from which it is busy.
pub const BUSY_LOOP: f64 = 0.5;

/// Share of receives with data that filled their buffer, from which buffers are small. A convention.
pub const FILLED: f64 = 0.5;

/// Gini coefficient of receives from which workers are out of balance: 0.25 if one of four does nothing. nginx with 4
/// workers and 20 long-lived connections, which is not worth a finding, had 0.20.
pub const UNBALANCED: f64 = 0.22;

/// Share of their time that workers are runnable without a CPU, from which they are starved (if it is also more than they
/// wait for data): two clients and a server that spin on two CPUs have 0.33 each. A convention.
pub const STARVED: f64 = 0.25;

/// Workers alive at once from which one for each connection is too many.
pub const MANY_WORKERS: u64 = 1_000;

/// Replies of one address below which they are chance.
pub const UPSTREAM_REPLIES: u64 = 30;

/// Time of these replies for the time of building all answers, from which workers wait for that address.
pub const UPSTREAM_SHARE: f64 = 0.5;

/// Share of answers that can be followed by thread id, from which that is said to work: who traces so may miss one request
/// in a hundred. A convention.
pub const FOLLOWED: f64 = 0.99;

/// Quantile of the normal distribution for a two-sided 95 % interval.
pub const Z95: f64 = 1.959_963_985;
