//! Single rules of the ledger, one at a time.

use super::*;
use trace_common::ledger::{Off, Registers, Seed, Stamps};

const RECV: Registers = Registers { nr: 45, args: [3, 0, 0, 0] };

fn at(at: u64, event: Event) -> Traced {
    Traced { at: START + at, event, stamps: Stamps::default() }
}

fn arrives(then: u64) -> Traced {
    at(then, Event::In(Seed::NONE))
}

fn slept(account: Account) -> Event {
    Event::Out(Off::Asleep(account), Registers::NONE)
}

proptest! {
    #[test]
    fn an_early_wake_up_ends_the_sleep_at_once(
        ran in 1..1_000u64, before in 1..1_000u64, after in 1..1_000_000u64,
        account in prop::sample::select(&Account::ALL[..11]), late in any::<bool>(),
    ) {
        let out = ran + before;
        let wake = at(if late { out } else { ran }, Event::Wake(START + ran));
        let out = at(out, slept(account));
        let mut events = vec![at(0, Event::Enter(RECV)), out, arrives(ran + before + after)];
        events.insert(if late { 2 } else { 1 }, wake);
        let replay = Replay::of(&events, Recovery::Off);
        prop_assert_eq!(replay.account(account), 0);
        prop_assert_eq!(replay.account(Account::Runqueue), after);
        prop_assert_eq!(replay.account(Account::Kernel), ran + before);
        prop_assert_eq!(replay.noted.lost(Loss::EarlyWakeups), 1);
    }

    #[test]
    fn who_is_pushed_off_is_not_waiting_whatever_its_mailbox_says(
        steps in prop::collection::vec((1..1_000u64, 1..1_000u64, any::<Option<u64>>()), 1..20),
    ) {
        let (mut now, mut events, mut pushed) = (0, vec![at(0, Event::Enter(RECV))], 0);
        for (ran, off, wake) in steps {
            events.push(at(now + ran, Event::Out(Off::Preempted, Registers::NONE)));
            events.extend(wake.map(|stamp| at(now + ran, Event::Wake(stamp % (2 * START)))));
            now += ran + off;
            pushed += off;
            events.push(arrives(now));
        }
        let replay = Replay::of(&events, Recovery::Off);
        prop_assert_eq!(replay.account(Account::Preempted), pushed);
        prop_assert_eq!(replay.account(Account::Kernel), now - pushed);
        prop_assert_eq!(replay.thread.sleeps, 0);
    }

    #[test]
    fn a_sleep_ends_a_copy_and_the_next_byte_begins_it_again(
        d in prop::array::uniform6(1..1_000u64), foreign in any::<bool>(),
    ) {
        let account = if foreign { Account::WaitOther } else { Account::WaitData };
        let events = [
            Event::Enter(RECV), Event::FirstByte(RECV), slept(account), arrives(0).event,
            Event::FirstByte(RECV), Event::Out(Off::Preempted, Registers::NONE), arrives(0).event,
        ];
        let times = (0..7).map(|i| d[..i].iter().sum());
        let events: Vec<_> = times.zip(events).map(|(then, event)| at(then, event)).collect();
        let mut replay = Replay::of(&events, Recovery::Off);
        let end = d.iter().sum::<u64>() + 5;
        replay.feed(&at(end, Event::Exit(RECV, 10)));
        prop_assert_eq!(replay.account(Account::Copy), d[1] + d[4] + 5, "pushed off, it is still copying");
        prop_assert_eq!(replay.account(Account::Kernel), d[0] + d[3]);
        prop_assert_eq!(replay.thread.receives.copy_bounded, 0);
    }

    #[test]
    fn a_copy_in_task_work_is_copy_and_what_follows_it_is_kernel(
        d in prop::array::uniform6(1..1_000u64), sleeps in any::<bool>(),
    ) {
        const ENTER: Registers = Registers { nr: 426, args: [5, 0, 0, 0] };
        let interlude = if sleeps { slept(Account::WaitOther) } else { Event::Out(Off::Preempted, Registers::NONE) };
        let events = [
            Event::Enter(ENTER), Event::Exit(ENTER, 1), Event::FirstByte(Registers::NONE), Event::RingCopied,
            interlude, arrives(0).event, Event::WorkDone,
        ];
        let times = (0..7).map(|i| d[..i].iter().sum());
        let events: Vec<_> = times.zip(events).map(|(then, event)| at(then, event)).collect();
        let mut replay = Replay::of(&events, Recovery::Off);
        replay.feed(&at(d.iter().sum::<u64>() + 9, Event::Enter(ENTER)));
        prop_assert_eq!(replay.account(Account::Copy), d[2]);
        prop_assert_eq!(replay.account(Account::Kernel), d[0] + d[3] + d[5]);
        prop_assert_eq!(replay.account(Account::User), d[1] + 9);
        prop_assert_eq!(replay.noted.observed[Account::Copy.index()], d[2]);
    }

    #[test]
    fn only_the_same_call_continues_one_that_left_with_erestart(
        code in prop::sample::select(&[-512i64, -513, -514, -516][..]),
        other in prop::option::of(0..3usize), handler in any::<bool>(), by_number in any::<bool>(),
    ) {
        let mut again = RECV;
        if let Some(i) = other {
            again.args[i] += 1;
        } else if by_number {
            again = Registers { nr: 219, args: [8; 4] }; // restart_syscall
        }
        let sigreturn = Registers { nr: 15, args: [0; 4] };
        let mut events = vec![Event::Enter(RECV), Event::Exit(RECV, code)];
        if handler {
            events.extend([Event::Enter(sigreturn), Event::Exit(Registers::NONE, 45)]);
        }
        events.extend([Event::Enter(again), Event::Exit(again, 1)]);
        let events: Vec<_> = (0..).zip(events).map(|(then, event)| at(then, event)).collect();
        let replay = Replay::of(&events, Recovery::Off);
        prop_assert_eq!(replay.calls, if other.is_some() { 2 } else { 1 });
        prop_assert_eq!(replay.ended.len(), 1);
        prop_assert_eq!(replay.thread.receives.interrupted, u64::from(other.is_some()));
        prop_assert_eq!(replay.thread.receives.with_data, 1);
        prop_assert_eq!(replay.noted.real_losses(), 0);
    }

    #[test]
    fn a_sleep_is_booked_by_its_kind_first(
        class in 0..20u8, kind in kinds(), state in any::<u32>(), iowait in any::<bool>(),
        no_descriptors in any::<bool>(),
    ) {
        let class = class_from_u8(class);
        let account = sleep_account(SleepFacts { class, kind, state, iowait, no_descriptors });
        prop_assert!(account.is_sleep());
        let stopped = state & (state::STOPPED_OR_TRACED | state::FROZEN) != 0;
        prop_assert_eq!(stopped, account == Account::Stopped);
        if state & state::UNINTERRUPTIBLE != 0 {
            let allowed =
                [Account::Stopped, Account::WaitDisk, Account::WaitOther, Account::WaitCompletion];
            prop_assert!(allowed.contains(&account));
        }
        if account == Account::WaitAccept {
            prop_assert_eq!(class, CallClass::Accept);
        }
    }
}

fn kinds() -> impl Strategy<Value = FileKind> {
    use FileKind::*;
    let all = [Unknown, Socket, Pipe, Tty, File, EventFd, TimerFd, SignalFd, Inotify, Epoll, Other];
    prop::sample::select(all.to_vec())
}
