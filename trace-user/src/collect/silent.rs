//! Threads of which no event was seen in the whole window: they did one thing all the time, and `/proc` says what.

use trace_common::account::{Account, SleepFacts, sleep_account, state};
use trace_common::ledger;
use trace_common::loss::Sink;
use trace_common::syscall::{CallClass, FileKind, class_of};
use trace_common::thread::{Thread as Record, flag};

use super::convert::{self, Span};
use crate::kernel::names;
use crate::kernel::proc::{InCall, Proc};
use crate::snapshot::{InFlight, Schedstat, Thread};

/// What `/proc` says of a silent thread, read while the window is still open: the record is checked to be unseen
/// after it has closed, so what was read holds for all of it.
#[derive(Clone, Debug)]
pub struct Sample {
    state: char,
    readable: bool,
    in_call: InCall,
    kind: FileKind,
    no_descriptors: bool,
}

/// Samples thread `tid`.
pub fn sample(proc: &Proc, pid: u32, tid: u32) -> Option<Sample> {
    let state = proc.stat(pid, tid)?.state;
    let call = proc.call(pid, tid);
    let (readable, in_call) = (call.is_some(), call.flatten());
    let mut sample = Sample { state, readable, in_call, kind: FileKind::Unknown, no_descriptors: false };
    if let Some((nr, args)) = in_call {
        let class = class_of(nr);
        if matches!(class, CallClass::Read | CallClass::Write | CallClass::Splice) {
            sample.kind = proc.file_kind(pid, args[0]);
        }
        sample.no_descriptors = match class {
            CallClass::Poll => args[1] as u32 == 0,
            CallClass::Select => args[0] as u32 == 0,
            _ => false,
        };
    }
    Some(sample)
}

/// The account in which a silent thread spent the window. `run_ns` is the kernel's run time of it in the window.
fn account(sample: &Sample, run_ns: u64) -> Account {
    let bits = match sample.state {
        'R' if run_ns > 0 => return Account::User,
        'R' => return Account::Preempted,
        'S' | 'D' if !sample.readable => return Account::Unknown,
        'S' => state::INTERRUPTIBLE,
        'D' => state::UNINTERRUPTIBLE,
        'T' | 't' => state::STOPPED_OR_TRACED,
        _ => return Account::Unknown,
    };
    sleep_account(SleepFacts {
        class: sample.in_call.map_or(CallClass::None, |(nr, _)| class_of(nr)),
        kind: sample.kind,
        state: bits,
        iowait: false,
        no_descriptors: sample.no_descriptors,
    })
}

/// The data of a silent thread.
pub fn thread(
    record: &Record,
    comm: String,
    span: Span,
    sample: Option<&Sample>,
    stat: Option<Schedstat>,
    sink: &mut impl Sink,
) -> Thread {
    let account = sample
        .map_or(Account::Unknown, |sample| account(sample, stat.map_or(0, |schedstat| schedstat.run_ns)));
    let window = span.end.saturating_sub(span.start);
    let mut closed = *record;
    let unsplit = record.flags & flag::UNSPLIT != 0 && account == Account::User;
    let account = if unsplit { Account::Unknown } else { account };
    closed.clock = span.start;
    ledger::book(&mut closed, account, span.start + window, sink);
    if unsplit {
        closed.unsplit = window;
    }
    let mut thread = convert::thread(&closed, comm, span);
    thread.silent = true;
    if account.is_sleep() {
        thread.in_flight = Some(InFlight {
            syscall: sample.and_then(|s| s.in_call).map(|(nr, _)| names::syscall(nr)),
            account,
            since_ns: window,
            before_attach: true,
        });
    }
    thread
}
