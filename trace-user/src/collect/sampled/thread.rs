//! One thread as samples see it: what it was seen in, and its ledger.

use std::collections::{BTreeMap, BTreeSet};

use trace_common::account::Account;
use trace_common::conn::Side;
use trace_common::thread::Thread as Record;

use super::super::convert::{self, Span};
use super::waits::{Look, Wait};
use crate::kernel::proc::{Proc, Stat};
use crate::snapshot::{InFlight, Schedstat, Seen, Thread, ThreadSamples, is_sampled};

/// Ticks of CPU time from which their split between user mode and kernel is taken for that of the whole: 5 % of it is
/// half a tick.
const SPLIT_TICKS: u64 = 10;
/// Different sockets that are told apart in one kind of wait.
const MAX_SOCKETS: usize = 1_000;

/// The kernel's own counts of a thread at one time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Run time and delay; `None` where the kernel counts none.
    pub schedstat: Option<Schedstat>,
    user_ticks: u64,
    kernel_ticks: u64,
    switches: Option<(u64, u64)>,
}

impl Counts {
    /// Reads them, where `stat` was just read.
    pub fn read(proc: &Proc, pid: u32, tid: u32, stat: &Stat) -> Counts {
        Counts {
            schedstat: proc.schedstat(pid, tid),
            user_ticks: stat.user_ticks,
            kernel_ticks: stat.kernel_ticks,
            switches: proc.switches(pid, tid),
        }
    }
}

/// A thread under observation.
pub struct Watched {
    /// Its process.
    pub pid: u32,
    /// When it began, in clock ticks since boot.
    pub start_ticks: u64,
    comm: String,
    kernel_io: bool,
    born: bool,
    /// When it was first seen, ns.
    first: u64,
    /// When it was last seen.
    last: u64,
    before: Counts,
    /// When its counts were read last.
    pub counted_at: u64,
    after: Counts,
    samples: u64,
    runnable: u64,
    /// Samples whose call could be read, or a function in place of it.
    pub told: u64,
    /// Samples that a function in place of the call stood for.
    pub by_function: u64,
    seen: BTreeMap<Wait, Sum>,
    /// What the last sample showed it to sleep in; `None` if it did not.
    now: Option<Wait>,
}

#[derive(Default)]
struct Sum {
    samples: u64,
    ns: u64,
    peers: u64,
    sockets: BTreeSet<u64>,
}

impl Watched {
    /// Begins to watch a thread at `now`; `born`: it is younger than the window.
    pub fn new(pid: u32, stat: &Stat, counts: Counts, born: bool, now: u64) -> Watched {
        Watched {
            pid,
            start_ticks: stat.start_ticks,
            comm: stat.comm.clone(),
            kernel_io: stat.is_kernel_io(),
            born,
            first: now,
            last: now,
            before: if born {
                Counts {
                    schedstat: counts.schedstat.map(|_| NOTHING),
                    switches: Some((0, 0)),
                    ..Counts::default()
                }
            } else {
                counts
            },
            counted_at: now,
            after: counts,
            samples: 0,
            runnable: 0,
            told: 0,
            by_function: 0,
            seen: BTreeMap::new(),
            now: None,
        }
    }

    /// Whether it was asleep in some sample and none told in which call.
    pub fn is_denied(&self) -> bool {
        self.samples > self.runnable && self.told == self.by_function
    }

    /// Its name by now.
    pub fn rename(&mut self, comm: &str) {
        if self.comm != comm {
            comm.clone_into(&mut self.comm);
        }
    }

    /// Its counts at `now`.
    pub fn count(&mut self, counts: Counts, now: u64) {
        self.after = counts;
        self.counted_at = now;
        self.last = self.last.max(now);
    }

    /// A sample at `now`; the time since the one before it goes to what this one shows.
    pub fn sample(&mut self, look: Option<Look>, now: u64) {
        let since = now.saturating_sub(self.last);
        self.last = now;
        self.samples += 1;
        let Some(Look { wait, peers, socket }) = look else {
            self.runnable += 1;
            self.now = None;
            return;
        };
        let sum = self.seen.entry(wait.clone()).or_default();
        sum.samples += 1;
        sum.ns += since;
        sum.peers = sum.peers.max(peers);
        if sum.sockets.len() < MAX_SOCKETS {
            sum.sockets.extend(socket);
        }
        self.now = Some(wait);
    }

    /// What the samples showed.
    pub fn samples(&self, tid: u32) -> ThreadSamples {
        let seen = |(wait, sum): (&Wait, &Sum)| Seen {
            syscall: wait.syscall.clone(),
            account: wait.account,
            side: wait.side,
            width: wait.width,
            samples: sum.samples,
            peers: sum.peers,
            sockets: sum.sockets.len() as u64,
        };
        let mut seen: Vec<Seen> = self.seen.iter().map(seen).collect();
        seen.sort_by_key(|s| std::cmp::Reverse(s.samples));
        ThreadSamples { tid, samples: self.samples, runnable: self.runnable, seen }
    }

    /// Its data: the scheduler's counts are exact; what is left of its life was asleep, and is shared out as the samples
    /// show. `end`: it lived until then; else until it was seen last.
    pub fn thread(&self, tid: u32, end: Option<u64>) -> Thread {
        let span = Span { start: self.first, end: end.unwrap_or(self.last).max(self.first) };
        let lived = span.end - span.start;
        let mut thread = convert::thread(&Record::unseen(tid, self.pid), self.comm.clone(), span);
        thread.alive = end.is_some();
        thread.born = self.born;
        thread.kernel_io = self.kernel_io;
        thread.schedstat = self.schedstat();
        // A newborn ran before it was first seen.
        let run_ns = thread.schedstat.map_or(0, |s| s.run_ns).min(lived);
        let delay_ns = thread.schedstat.map_or(0, |s| s.delay_ns).min(lived - run_ns);
        let asleep = if thread.schedstat.is_some() { lived - run_ns - delay_ns } else { lived };
        let mut ledger: BTreeMap<Account, u64> =
            Account::ALL.into_iter().filter(|a| is_sampled(*a)).map(|a| (a, 0)).collect();
        match self.split(run_ns) {
            Some((user, kernel)) => ledger.extend([(Account::User, user), (Account::Kernel, kernel)]),
            None => thread.unsplit_ns = run_ns,
        }
        ledger.insert(Account::Runqueue, delay_ns);
        let weights: Vec<(&Wait, u64)> = self.seen.iter().map(|(wait, sum)| (wait, sum.ns)).collect();
        for ((wait, _), ns) in weights.iter().zip(share_out(asleep, weights.iter().map(|w| w.1))) {
            *ledger.entry(wait.account).or_default() += ns;
            if let (Account::WaitData, side) = (wait.account, wait.side.unwrap_or(Side::Other)) {
                *thread.wait_data_by_side.entry(side).or_default() += ns;
            }
        }
        let known: u64 = ledger.values().sum();
        ledger.insert(Account::Unknown, ledger[&Account::Unknown] + lived.saturating_sub(known));
        thread.ledger = ledger;
        let switches = self.before.switches.zip(self.after.switches);
        if let Some(((slept, pushed), (sleeps, preemptions))) = switches {
            thread.sleeps = sleeps.saturating_sub(slept);
            thread.preemptions = preemptions.saturating_sub(pushed);
        }
        // Who was switched in never is in one sleep; of others the last sample is all that is certain.
        thread.silent = switches.is_some() && thread.sleeps + thread.preemptions == 0;
        let since = if thread.silent { self.first } else { self.last };
        thread.in_flight = end.and(self.now.as_ref()).map(|wait| InFlight {
            syscall: wait.syscall.clone(),
            account: wait.account,
            since_ns: span.end.saturating_sub(since),
            before_attach: thread.silent && !self.born,
        });
        thread
    }

    fn schedstat(&self) -> Option<Schedstat> {
        let (before, after) = (self.before.schedstat?, self.after.schedstat?);
        Some(Schedstat {
            run_ns: after.run_ns.saturating_sub(before.run_ns),
            delay_ns: after.delay_ns.saturating_sub(before.delay_ns),
        })
    }

    /// Run time in user mode and in the kernel: by the ticks of the window, or where these are few by those of the whole
    /// life; `None` where there are too few of either.
    fn split(&self, run_ns: u64) -> Option<(u64, u64)> {
        let (before, after) = (&self.before, &self.after);
        let of_window = (
            after.user_ticks.saturating_sub(before.user_ticks),
            after.kernel_ticks.saturating_sub(before.kernel_ticks),
        );
        let of_life = (after.user_ticks, after.kernel_ticks);
        let (user, kernel) = [of_window, of_life].into_iter().find(|(u, k)| u + k >= SPLIT_TICKS)?;
        let user = (u128::from(run_ns) * u128::from(user) / u128::from(user + kernel)) as u64;
        Some((user, run_ns - user))
    }
}

const NOTHING: Schedstat = Schedstat { run_ns: 0, delay_ns: 0 };

/// Shares `total` out by `weights`, to the last nanosecond; nothing where there is no weight.
fn share_out(total: u64, weights: impl Iterator<Item = u64> + Clone) -> Vec<u64> {
    let sum: u128 = weights.clone().map(u128::from).sum();
    if sum == 0 {
        return weights.map(|_| 0).collect();
    }
    let (mut before, mut given) = (0, 0);
    let mut shares = Vec::new();
    for weight in weights {
        before += u128::from(weight);
        let upto = (u128::from(total) * before / sum) as u64;
        shares.push(upto - given);
        given = upto;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(user: u64, kernel: u64) -> Stat {
        Stat {
            comm: "x".into(),
            state: 'S',
            ppid: 1,
            flags: 0,
            user_ticks: user,
            kernel_ticks: kernel,
            threads: 1,
            start_ticks: 0,
        }
    }

    fn counts(run_ns: u64, delay_ns: u64, ticks: (u64, u64)) -> Counts {
        let schedstat = Some(Schedstat { run_ns, delay_ns });
        Counts { schedstat, user_ticks: ticks.0, kernel_ticks: ticks.1, switches: Some((run_ns, 0)) }
    }

    fn look(account: Account, side: Option<Side>) -> Option<Look> {
        let wait = Wait { syscall: Some("recvfrom".into()), account, side, width: None };
        Some(Look { wait, peers: 0, socket: Some(7) })
    }

    #[test]
    fn what_is_left_of_a_life_is_shared_out_as_the_samples_show() {
        let mut watched = Watched::new(1, &stat(0, 0), counts(50, 5, (0, 0)), false, 1_000);
        watched.sample(look(Account::WaitData, Some(Side::Client)), 1_300);
        watched.sample(None, 1_400);
        watched.sample(look(Account::WaitFutex, None), 1_500);
        watched.count(counts(250, 45, (30, 10)), 1_500);
        let thread = watched.thread(2, Some(2_000));
        assert_eq!(thread.ledger.values().sum::<u64>(), thread.lived_ns);
        assert_eq!(thread.lived_ns, 1_000);
        let ns = |account| thread.ledger[&account];
        assert_eq!((ns(Account::User), ns(Account::Kernel), ns(Account::Runqueue)), (150, 50, 40));
        // 760 of sleep, seen 3 to 1.
        assert_eq!((ns(Account::WaitData), ns(Account::WaitFutex)), (570, 190));
        assert_eq!(thread.wait_data_by_side[&Side::Client], 570);
        assert_eq!(ns(Account::Unknown), 0);
        let samples = watched.samples(2);
        assert_eq!((samples.samples, samples.runnable, samples.seen.len()), (3, 1, 2));
        assert_eq!(thread.in_flight.map(|f| (f.since_ns, f.before_attach)), Some((500, false)));
    }

    #[test]
    fn time_that_no_sample_explains_is_unknown() {
        let watched = Watched::new(1, &stat(0, 0), counts(50, 0, (1, 0)), false, 0);
        let mut watched = watched;
        watched.count(counts(150, 0, (3, 0)), 1_000);
        let thread = watched.thread(2, Some(1_000));
        assert_eq!((thread.unsplit_ns, thread.on_cpu_ns()), (100, 100));
        // 100 on a CPU in too few ticks to split, and 900 asleep of which no sample was taken.
        assert_eq!(thread.ledger[&Account::Unknown], 1_000);
    }

    #[test]
    fn a_newborn_cannot_have_run_longer_than_it_was_seen() {
        let mut watched = Watched::new(1, &stat(0, 0), counts(500, 0, (20, 0)), true, 1_000);
        watched.count(counts(900, 300, (40, 0)), 1_100);
        let thread = watched.thread(2, None);
        assert_eq!((thread.lived_ns, thread.ledger.values().sum::<u64>()), (100, 100));
        assert!(thread.born && !thread.alive);
    }

    #[test]
    fn shares_add_up() {
        assert_eq!(share_out(10, [1, 1, 1].into_iter()), [3, 3, 4]);
        assert_eq!(share_out(10, [0, 0].into_iter()), [0, 0]);
    }
}
