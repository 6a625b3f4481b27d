//! Feeds events to the state machine the way the probes do, and checks after each what must always hold.

use trace_common::account::Account;
use trace_common::call::flag as call_flag;
use trace_common::conn::{Conn, Cover};
use trace_common::ledger::{self, Ended, Seed, Stamps};
use trace_common::loss::Loss;
use trace_common::ready;
use trace_common::receive::{self, ReceiveEnd};
use trace_common::syscall::CallClass;
use trace_common::thread::{Sched, Thread};

use super::event::{Event, Traced};
use super::sink::Noted;
use super::{SKEW, START};

impl Noted {
    pub fn lost(&self, loss: Loss) -> u64 {
        self.losses.counts[loss as usize]
    }

    /// Counters of time or calls that went unobserved, without those that only say what was made up for.
    pub fn real_losses(&self) -> u64 {
        let notes =
            [Loss::EarlyWakeups, Loss::RecoveredWakeups, Loss::RecoveredSwitches].map(|l| self.lost(l));
        self.losses.counts.iter().sum::<u64>() - notes.iter().sum::<u64>()
    }
}

/// A logical call that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallEnd {
    pub at: u64,
    pub class: CallClass,
    pub wait_ns: u64,
    pub copy_ns: u64,
    pub slept: bool,
    pub copied: bool,
}

/// What the event after a missed switch-in knows of the kernel's stamps.
#[derive(Clone, Debug)]
pub enum Recovery {
    /// Nothing.
    Off,
    /// Everything.
    True,
    /// These, in turn.
    Garbage(Vec<(Stamps, u64)>),
}

/// A replay in progress.
pub struct Replay {
    pub thread: Thread,
    pub noted: Noted,
    pub calls: u64,
    pub ended: Vec<CallEnd>,
    conn: Conn,
    recovery: Recovery,
    turn: usize,
    origin: u64,
    latest: u64,
}

impl Replay {
    pub fn new(recovery: Recovery) -> Replay {
        Replay {
            thread: Thread::unseen(7, 7),
            noted: Noted::nothing(),
            calls: 0,
            ended: Vec::new(),
            conn: Conn::default(),
            recovery,
            turn: 0,
            origin: START,
            latest: START,
        }
    }

    /// Replays `events`.
    pub fn of(events: &[Traced], recovery: Recovery) -> Replay {
        let mut replay = Replay::new(recovery);
        for traced in events {
            replay.feed(traced);
        }
        replay
    }

    /// One event, after what the probes do before it; then the invariants.
    pub fn feed(&mut self, traced: &Traced) {
        self.turn += 1;
        self.latest = self.latest.max(traced.at);
        if traced.event.is_own() && self.thread.sched() != Sched::Running {
            self.arrive(traced);
        }
        self.apply(traced);
        self.check();
    }

    /// What remains in progress at `end`.
    pub fn close(&mut self, end: u64, asleep: Option<bool>) {
        self.latest = self.latest.max(end);
        ledger::close(&mut self.thread, end, asleep, &mut self.noted);
        self.check();
    }

    pub fn account(&self, account: Account) -> u64 {
        self.thread.ledger[account.index()]
    }

    fn stamps(&self, traced: &Traced) -> (Stamps, u64) {
        match &self.recovery {
            Recovery::Off => (Stamps::default(), 0),
            Recovery::True => (traced.stamps, SKEW),
            Recovery::Garbage(stamps) => stamps[self.turn % stamps.len()],
        }
    }

    fn arrive(&mut self, traced: &Traced) {
        let (stamps, offset) = self.stamps(traced);
        let call = traced.event.registers();
        let seed = Seed { call, account: Account::WaitOther };
        let t = &mut self.thread;
        ledger::arrive_unseen(t, START, traced.at, stamps, offset, seed, &mut self.noted);
    }

    fn apply(&mut self, traced: &Traced) {
        let (stamps, offset) = self.stamps(traced);
        let (now, t, sink) = (traced.at, &mut self.thread, &mut self.noted);
        match traced.event {
            Event::Birth { kernel_io } => {
                self.origin = now;
                ledger::birth(t, now, kernel_io);
            }
            Event::Enter(regs) => self.calls += u64::from(ledger::enter(t, START, now, regs, sink)),
            Event::Exit(regs, ret) => {
                if t.call.active_class().may_receive() {
                    t.call.flags |= call_flag::RECEIVED; // as `sock_recv_length` would
                }
                if let Ended::Call(class) = ledger::exit(t, START, now, regs, ret, sink) {
                    self.end_call(class, ret, now);
                }
                ledger::leave(&mut self.thread);
            }
            Event::FirstByte(regs) => ledger::first_byte(t, START, now, regs, sink),
            Event::RingCopied => ledger::ring_copied(t, now, sink),
            Event::WorkDone => ledger::work_done(t, now, sink),
            Event::Out(off, seed) => ledger::switch_out(t, START, now, off, seed, stamps, sink),
            Event::In(seed) => {
                let seed = if t.sched() == Sched::Unseen { seed } else { Seed::NONE };
                let queued_at = Stamps::in_our_clock(stamps.last_queued, t, offset);
                ledger::switch_in(t, START, now, seed, queued_at, sink);
            }
            Event::Wake(stamp) => t.woken_at = stamp,
            Event::Die => ledger::die(t, START, now, sink),
        }
    }

    fn end_call(&mut self, class: CallClass, ret: i64, now: u64) {
        let t = &mut self.thread;
        if class.may_receive() {
            let end = ReceiveEnd { now, ret, msg_flags: 0, datagram: false, cover: Cover::NONE };
            receive::finish(t, Some(&mut self.conn), end, &mut self.noted);
        } else if class.is_ready() {
            ready::finish(t, now, ret);
        } else if class == CallClass::Accept {
            receive::accepted(t, ret);
        }
        self.ended.push(CallEnd {
            at: now,
            class,
            wait_ns: t.call.wait_ns,
            copy_ns: t.call.copy_ns,
            slept: t.call.has(call_flag::SLEPT),
            copied: t.call.has(call_flag::COPIED),
        });
    }

    /// What holds after every event, in whatever order and at whatever times they come.
    fn check(&self) {
        let t = &self.thread;
        let total = ledger::total(t);
        if t.sched() == Sched::Unseen {
            assert_eq!(total, 0, "an unseen thread has no accounts yet");
            return;
        }
        assert_eq!(total, t.clock - self.origin, "inner conservation");
        assert_eq!(self.noted.marked, t.ledger, "the timeline adds up to the ledger");
        assert!(t.clock <= self.latest, "the clock {} is ahead of every event {}", t.clock, self.latest);
        for account in Account::ALL {
            let spent = t.ledger[account.index()];
            assert!(spent <= total, "{} wrapped: {spent}", account.name());
            assert!(
                self.noted.observed[account.index()] <= spent,
                "more {} observed than booked",
                account.name()
            );
        }
        let by_side: u64 = t.wait_by_side.iter().sum();
        assert!(by_side <= t.ledger[Account::WaitData.index()], "more waits by side than waits for data");
        assert!(t.ledger[Account::COUNT..].iter().all(|n| *n == 0), "an account that does not exist");
    }
}
