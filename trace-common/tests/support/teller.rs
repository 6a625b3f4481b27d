//! Acts a script out: the one place that knows what really happens.

use trace_common::account::Account;
use trace_common::ledger::{Registers, Stamps};
use trace_common::syscall::CallClass;

use super::actor::{InCall, Teller};
use super::event::Event;
use super::replay::CallEnd;
use super::script::{Kind, Opening, Restart, Script, Step};
use super::story::Story;
use super::truth::{Span, between};
use super::{SKEW, START};

const RT_SIGRETURN: Registers = Registers { nr: 15, args: [0; 4] };
const RESTART_SYSCALL: Registers = Registers { nr: 219, args: [9; 4] };
const CLONE: Kind = Kind { nr: 56, wait: Account::WaitOther, class: CallClass::Other };
/// What follows the last event lasts longer than any window.
const EVER_AFTER: u64 = 1 << 50;

/// Acts `script` out.
pub fn tell(script: &Script) -> Story {
    let stamps = Stamps { last_arrival: START - SKEW - 5, last_queued: 0, run_delay: 11 };
    let mut teller = Teller {
        now: START,
        on_cpu: Account::User,
        call: None,
        given_up: false,
        stamps,
        story: Story::default(),
    };
    teller.open(&script.opening);
    for step in &script.steps {
        teller.step(step);
    }
    if script.dies {
        teller.run(1);
        teller.emit(Event::Die);
    } else {
        teller.run(EVER_AFTER);
    }
    teller.story
}

impl Teller {
    fn open(&mut self, opening: &Opening) {
        match opening {
            Opening::Born { queued } => {
                self.now += 10;
                self.stamps = Stamps::default();
                self.emit(Event::Birth { kernel_io: false });
                self.begin(CLONE, [0; 4]);
                self.queue(*queued, Account::WaitOther);
                self.exit(0);
            }
            Opening::User => {}
            Opening::Call { kind, parts, ret } => {
                self.begin(*kind, [1; 4]);
                self.parts(parts);
                self.exit(*ret);
            }
            Opening::Asleep { kind, nanos, queued, ret } => {
                self.begin(*kind, [1; 4]);
                self.pass(kind.wait, *nanos);
                self.emit(Event::Wake(self.now));
                self.fell_asleep(kind.wait);
                self.queue(*queued, kind.wait);
                self.exit(*ret);
            }
            Opening::Queued { queued } => self.queue(*queued, Account::WaitOther),
        }
    }

    fn step(&mut self, step: &Step) {
        let Step::Call { kind, args, parts, restarts, ret } = step else {
            let Step::User(parts) = step else { return };
            return self.parts(parts);
        };
        self.run(1);
        // no two calls are alike, if only in one argument, so that one that was given up is not continued by chance
        let (nth, mut args) = (self.story.calls.len(), *args);
        args[nth % 3] += 16 * (nth as u64 + 1);
        self.begin(*kind, args);
        self.enter_anew();
        self.parts(parts);
        for restart in restarts {
            self.restart(restart);
        }
        match ret {
            Some(ret) => self.exit(*ret),
            None => self.give_up(),
        }
    }

    fn begin(&mut self, kind: Kind, args: [u64; 4]) {
        let regs = Registers { nr: kind.nr, args };
        let now = self.now;
        self.call = Some(InCall { kind, regs, began: now, since: now, slept: false, copied: false });
        self.on_cpu = Account::Kernel;
    }

    fn enter_anew(&mut self) {
        if let Some(call) = self.call {
            self.emit(Event::Enter(call.regs));
            self.story.calls.push(self.now);
        }
        if self.given_up {
            self.story.receives.push(self.now);
            self.given_up = false;
        }
    }

    fn restart(&mut self, restart: &Restart) {
        let Some(call) = self.call else { return };
        self.leave(call.regs, restart.code);
        self.call = None; // meanwhile it is in no call
        self.parts(&restart.between);
        if restart.by_handler {
            self.cross(Event::Enter(RT_SIGRETURN), Account::Kernel);
            self.leave(RT_SIGRETURN, i64::from(call.regs.nr)); // ax as the handler found it
        }
        let again = if restart.by_restart_syscall { RESTART_SYSCALL } else { call.regs };
        self.cross(Event::Enter(again), Account::Kernel);
        self.call = Some(InCall { since: self.now, ..call });
        self.parts(&restart.again);
    }

    fn leave(&mut self, regs: Registers, ret: i64) {
        self.cross(Event::Exit(regs, ret), Account::User);
    }

    fn give_up(&mut self) {
        let Some(call) = self.call.take() else { return };
        self.leave(call.regs, -512);
        self.given_up = call.kind.class.may_receive();
    }

    fn exit(&mut self, ret: i64) {
        let Some(call) = self.call.take() else { return };
        self.leave(call.regs, ret);
        let receives = call.kind.class.may_receive();
        if receives {
            self.story.receives.push(self.now);
        }
        if receives && ret > 0 && !call.copied {
            self.bound_copy(call.since);
        }
        let spent = |account| between(&self.story.spans, account, call.began, self.now);
        self.story.ended.push(CallEnd {
            at: self.now,
            class: call.kind.class,
            wait_ns: spent(Account::WaitData),
            copy_ns: spent(Account::Copy),
            slept: call.slept,
            copied: call.copied,
        });
    }

    fn bound_copy(&mut self, since: u64) {
        let is_part = |s: &&mut Span| s.from >= since && s.account == Account::Kernel;
        for span in self.story.spans.iter_mut().filter(is_part) {
            span.copy_known_at = Some(self.now);
        }
    }
}
