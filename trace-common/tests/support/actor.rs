//! A thread on and off its CPU, and what the probes see of that.

use trace_common::account::Account;
use trace_common::ledger::{Off, Registers, Seed, Stamps};
use trace_common::syscall::CallClass;

use super::SKEW;
use super::event::{Event, Traced};
use super::script::{Kind, Part, WakeUp};
use super::story::Story;
use super::truth::Span;

#[derive(Clone, Copy)]
pub struct InCall {
    pub kind: Kind,
    pub regs: Registers,
    pub began: u64,
    /// Last sleep or entry: what a copy without event may have begun after.
    pub since: u64,
    pub slept: bool,
    pub copied: bool,
}

pub struct Teller {
    pub now: u64,
    /// Where time on the CPU goes.
    pub on_cpu: Account,
    pub call: Option<InCall>,
    /// A receive was given up and is counted once another call is entered.
    pub given_up: bool,
    pub stamps: Stamps,
    pub story: Story,
}
impl Teller {
    pub fn emit(&mut self, event: Event) {
        self.story.events.push(Traced { at: self.now, event, stamps: self.stamps });
    }

    pub fn pass(&mut self, account: Account, nanos: u64) {
        let (from, to) = (self.now, self.now + nanos);
        self.story.spans.push(Span { from, to, account, copy_known_at: None });
        self.now = to;
    }

    pub fn run(&mut self, nanos: u64) {
        self.pass(self.on_cpu, nanos);
    }

    pub fn registers(&self) -> Registers {
        self.call.map_or(Registers::NONE, |call| call.regs)
    }

    pub fn cross(&mut self, event: Event, then: Account) {
        self.run(1);
        self.emit(event);
        self.on_cpu = then;
    }

    pub fn parts(&mut self, parts: &[Part]) {
        for part in parts {
            match *part {
                Part::Work(nanos) => self.run(nanos),
                Part::Pushed { nanos, stale_wake } => self.pushed(nanos, stale_wake),
                Part::Sleep { nanos, queued, wake_up, foreign } => {
                    let account = match self.call {
                        Some(call) => foreign.unwrap_or(call.kind.wait),
                        None => foreign.unwrap_or(Account::WaitOther),
                    };
                    self.sleep(account, nanos, queued, wake_up);
                }
                Part::Byte => self.byte(),
                Part::StaleWake => self.stale_wake(),
            }
        }
    }

    fn byte(&mut self) {
        let Some(call) = &mut self.call else { return };
        let (regs, receives) = (call.regs, call.kind.class.may_receive());
        call.copied |= receives;
        let for_a_ring = call.kind.class == CallClass::Completion;
        let then = if receives || for_a_ring { Account::Copy } else { self.on_cpu };
        self.cross(Event::FirstByte(regs), then);
    }

    fn stale_wake(&mut self) {
        self.run(1);
        self.story.stale.push(self.story.events.len());
        self.emit(Event::Wake(self.now));
    }

    fn pushed(&mut self, nanos: u64, stale_wake: bool) {
        self.run(1);
        self.emit(Event::Out(Off::Preempted, self.registers()));
        self.story.preemptions.push(self.now);
        let queued_at = self.now;
        self.pass(Account::Preempted, nanos);
        if stale_wake {
            self.story.stale.push(self.story.events.len());
            self.emit(Event::Wake(self.now));
        }
        self.pass(Account::Preempted, 1);
        self.arrive(queued_at, Account::WaitOther);
    }

    fn sleep(&mut self, account: Account, nanos: u64, queued: u64, wake_up: WakeUp) {
        self.run(1);
        let early = self.now;
        if wake_up == WakeUp::Early {
            self.emit(Event::Wake(early));
        }
        self.run(1);
        self.emit(Event::Out(Off::Asleep(account), self.registers()));
        self.story.sleeps.push(self.now);
        self.fell_asleep(account);
        match wake_up {
            WakeUp::Early => {}
            WakeUp::EarlyWrittenLate => self.emit(Event::Wake(early)),
            WakeUp::Late => {
                self.pass(account, nanos);
                self.emit(Event::Wake(self.now));
            }
        }
        self.queue(queued, account);
        if wake_up != WakeUp::Late {
            self.story.early.push(self.now);
        }
    }

    /// A sleep ends a copy, and names how the call waited unless a byte had come.
    pub fn fell_asleep(&mut self, account: Account) {
        let Some(call) = &mut self.call else { return };
        let waits = [Account::WaitData, Account::WaitAccept, Account::WaitReady];
        call.slept |= waits.contains(&account) && !call.copied;
        call.since = self.now;
        self.on_cpu = Account::Kernel;
    }

    pub fn queue(&mut self, nanos: u64, slept: Account) {
        let queued_at = self.now;
        self.pass(Account::Runqueue, nanos);
        self.arrive(queued_at, slept);
    }

    fn arrive(&mut self, queued_at: u64, slept: Account) {
        self.stamps.last_queued = queued_at - SKEW;
        let call = self.registers();
        self.emit(Event::In(Seed { call, account: slept }));
        let run_delay = self.stamps.run_delay + (self.now - queued_at);
        self.stamps = Stamps { last_arrival: self.now - SKEW, last_queued: 0, run_delay };
    }
}
