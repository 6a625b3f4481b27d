//! Scripts: what a thread does, as plain data that proptest makes up and shrinks.

use proptest::prelude::*;
use trace_common::account::Account;
use trace_common::syscall::CallClass;

/// A system call that a thread may make, and the account of the sleep that it stands for.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub nr: u32,
    pub wait: Account,
    pub class: CallClass,
}

/// Some of each class.
pub const KINDS: [Kind; 14] = [
    Kind { nr: 0, wait: Account::WaitData, class: CallClass::Read },
    Kind { nr: 45, wait: Account::WaitData, class: CallClass::Recv },
    Kind { nr: 47, wait: Account::WaitData, class: CallClass::Recv },
    Kind { nr: 288, wait: Account::WaitAccept, class: CallClass::Accept },
    Kind { nr: 232, wait: Account::WaitReady, class: CallClass::Epoll },
    Kind { nr: 7, wait: Account::WaitReady, class: CallClass::Poll },
    Kind { nr: 44, wait: Account::WaitSend, class: CallClass::Send },
    Kind { nr: 42, wait: Account::WaitSend, class: CallClass::Connect },
    Kind { nr: 202, wait: Account::WaitFutex, class: CallClass::Futex },
    Kind { nr: 35, wait: Account::WaitTimer, class: CallClass::Timer },
    Kind { nr: 426, wait: Account::WaitCompletion, class: CallClass::Completion },
    Kind { nr: 34, wait: Account::WaitSignal, class: CallClass::Signal },
    Kind { nr: 5, wait: Account::WaitDisk, class: CallClass::File },
    Kind { nr: 39, wait: Account::WaitOther, class: CallClass::Other },
];

/// How a sleep's wake-up shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeUp {
    /// After the switch-out.
    Late,
    /// Before the switch-out, and written at once.
    Early,
    /// Stamped before the switch-out, written after it.
    EarlyWrittenLate,
}

/// A stretch of a call, or of user mode.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// On the CPU.
    Work(u64),
    /// Pushed off the CPU for so long; `stale_wake` writes its mailbox meanwhile.
    Pushed { nanos: u64, stale_wake: bool },
    /// Asleep, then queued. `foreign` sleeps are not those that the call stands for.
    Sleep { nanos: u64, queued: u64, wake_up: WakeUp, foreign: Option<Account> },
    /// A byte is copied.
    Byte,
    /// A waker finds it runnable, which changes nothing.
    StaleWake,
}

/// How a call that left with ERESTART goes on.
#[derive(Clone, Debug)]
pub struct Restart {
    pub code: i64,
    /// Outside the call.
    pub between: Vec<Part>,
    pub by_handler: bool,
    pub by_restart_syscall: bool,
    /// In the call again.
    pub again: Vec<Part>,
}

/// A step of the script.
#[derive(Clone, Debug)]
pub enum Step {
    /// User mode.
    User(Vec<Part>),
    /// A call: the stretches of its first attempt, its restarts, its end; `None` leaves with ERESTART for good.
    Call { kind: Kind, args: [u64; 4], parts: Vec<Part>, restarts: Vec<Restart>, ret: Option<i64> },
}

/// Where the thread is when the window opens.
#[derive(Clone, Debug)]
pub enum Opening {
    /// Not born yet.
    Born { queued: u64 },
    /// In user mode, on a CPU.
    User,
    /// In a call, on a CPU.
    Call { kind: Kind, parts: Vec<Part>, ret: i64 },
    /// Asleep in a call.
    Asleep { kind: Kind, nanos: u64, queued: u64, ret: i64 },
    /// On a run queue, in user mode.
    Queued { queued: u64 },
}

/// A whole life.
#[derive(Clone, Debug)]
pub struct Script {
    pub opening: Opening,
    pub steps: Vec<Step>,
    pub dies: bool,
}

fn nanos() -> impl Strategy<Value = u64> {
    prop_oneof![1..20u64, 1..5_000u64, 1..10_000_000_000u64]
}

fn result() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 1..100_000i64, 1 => Just(0), 2 => Just(-11), 1 => Just(-4), 1 => Just(-104)]
}

fn kind() -> impl Strategy<Value = Kind> {
    // receives are what it is about: every other call is one
    prop_oneof![prop::sample::select(&KINDS[..3]), prop::sample::select(&KINDS[..])]
}

fn sleep() -> impl Strategy<Value = Part> {
    let wake_up = prop_oneof![
        4 => Just(WakeUp::Late),
        1 => Just(WakeUp::Early),
        1 => Just(WakeUp::EarlyWrittenLate),
    ];
    let foreign = prop::option::weighted(
        0.3,
        prop::sample::select(&[Account::WaitOther, Account::WaitDisk, Account::Stopped][..]),
    );
    (nanos(), nanos(), wake_up, foreign).prop_map(|(nanos, queued, wake_up, foreign)| Part::Sleep {
        nanos,
        queued,
        wake_up,
        foreign,
    })
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        2 => nanos().prop_map(Part::Work),
        2 => (nanos(), any::<bool>()).prop_map(|(nanos, stale_wake)| Part::Pushed { nanos, stale_wake }),
        3 => sleep(),
        3 => Just(Part::Byte),
        1 => Just(Part::StaleWake),
    ]
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    prop::collection::vec(part(), 0..6)
}

fn restart() -> impl Strategy<Value = Restart> {
    let code = prop::sample::select(&[-512i64, -513, -514, -516][..]);
    (code, parts(), any::<bool>(), any::<bool>(), parts()).prop_map(
        |(code, between, by_handler, by_restart_syscall, again)| Restart {
            code,
            between,
            by_handler,
            by_restart_syscall,
            again,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let restarts =
        prop_oneof![3 => Just(vec![]).boxed(), 1 => prop::collection::vec(restart(), 1..3).boxed()];
    let ret = prop::option::weighted(0.9, result());
    let call = (kind(), prop::array::uniform4(0..3u64), parts(), restarts, ret)
        .prop_map(|(kind, args, parts, restarts, ret)| Step::Call { kind, args, parts, restarts, ret });
    prop_oneof![1 => parts().prop_map(Step::User), 3 => call]
}

fn opening() -> impl Strategy<Value = Opening> {
    prop_oneof![
        nanos().prop_map(|queued| Opening::Born { queued }),
        Just(Opening::User),
        (kind(), parts(), result()).prop_map(|(kind, parts, ret)| Opening::Call { kind, parts, ret }),
        (kind(), nanos(), nanos(), result()).prop_map(|(kind, nanos, queued, ret)| Opening::Asleep {
            kind,
            nanos,
            queued,
            ret
        }),
        nanos().prop_map(|queued| Opening::Queued { queued }),
    ]
}

/// Any life that the kernel allows.
pub fn scripts() -> impl Strategy<Value = Script> {
    (opening(), prop::collection::vec(step(), 0..12), prop::bool::weighted(0.2))
        .prop_map(|(opening, steps, dies)| Script { opening, steps, dies })
}
