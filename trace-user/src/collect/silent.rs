//! Threads of which no event was seen in the whole window: they did one thing all the time, and `/proc` says what.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use trace_common::account::{Account, SleepFacts, sleep_account, state};
use trace_common::ledger;
use trace_common::loss::Sink;
use trace_common::syscall::{CallClass, FileKind, class_of};
use trace_common::thread::{Sched, Thread as Record, flag};

use super::convert::{self, Span};
use super::each;
use super::slots::Brief;
use crate::kernel::names;
use crate::kernel::proc::{InCall, Proc, Tasks};
use crate::snapshot::{InFlight, Schedstat, Thread};

/// What `/proc` says of a silent thread, read at any time while the window is open: the record is checked to be unseen
/// after it has closed, so what was read holds for all of it.
#[derive(Clone, Debug)]
pub struct Sample {
    state: char,
    readable: bool,
    in_call: InCall,
    kind: FileKind,
    no_descriptors: bool,
}

/// What was read so far, by thread id.
///
/// The answers for ten thousand threads take 0.2 s, which nobody wants to wait for at the end of a window; so they are
/// asked for while it is open, a few at a time.
#[derive(Debug, Default)]
pub struct Samples {
    of: BTreeMap<u32, Sample>,
    /// The slot to go on with.
    next: u32,
}

impl Samples {
    /// Threads from which on it is worth not to wait until the end.
    pub const WORTH: usize = 500;

    /// Reads some more of those that are silent so far, for so long: what the next ones of so many slots hold, as `brief`
    /// says. Each slot gets its turn once.
    pub fn go_on(&mut self, proc: &Proc, slots: u32, brief: impl Fn(u32) -> Option<Brief>, time: Duration) {
        let (begun, mut tasks) = (Instant::now(), proc.tasks());
        while self.next < slots && begun.elapsed() < time {
            if let Some(brief) = brief(self.next).filter(is_silent)
                && let Some(sample) = sample(&mut tasks, proc, &brief)
            {
                self.of.insert(brief.tid, sample);
            }
            self.next += 1;
        }
    }

    /// The thread ended: whoever has its id next is another one.
    pub fn forget(&mut self, tid: u32) {
        self.of.remove(&tid);
    }

    /// Reads of all that are silent what was not read yet.
    pub fn complete(self, proc: &Proc, living: &[Brief]) -> BTreeMap<u32, Sample> {
        let is_open = |brief: &&Brief| is_silent(brief) && !self.of.contains_key(&brief.tid);
        let open: Vec<Brief> = living.iter().filter(is_open).copied().collect();
        let mut samples = each::of_threads(proc, &open, |tasks, brief| sample(tasks, proc, brief));
        samples.extend(self.of);
        samples
    }
}

fn is_silent(brief: &Brief) -> bool {
    brief.sched == Sched::Unseen as u8
}

/// Samples a thread.
fn sample(tasks: &mut Tasks, proc: &Proc, brief: &Brief) -> Option<Sample> {
    let (pid, tid) = (brief.tgid, brief.tid);
    let state = tasks.stat(pid, tid)?.state;
    let call = tasks.call(pid, tid);
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

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A `/proc` with threads 1 to 3 of process 1 that sleep in the calls 0 (read), 202 (futex) and 232 (epoll_wait).
    fn three() -> (tempfile::TempDir, Proc) {
        let root = tempfile::tempdir().expect("a directory");
        for (tid, nr) in [(1, 0), (2, 202), (3, 232)] {
            say(root.path(), tid, nr);
        }
        let proc = Proc::at(root.path());
        (root, proc)
    }

    fn say(root: &std::path::Path, tid: u32, nr: u32) {
        let of_thread = root.join(format!("1/task/{tid}"));
        std::fs::create_dir_all(&of_thread).expect("made");
        let stat = format!("{tid} (a) S 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 3 0 5 0 0");
        std::fs::write(of_thread.join("stat"), stat).expect("written");
        let call = format!("{nr} 0x5 0x1 0x2 0x3 0x0 0x0 0x7ff 0x7f\n");
        std::fs::write(of_thread.join("syscall"), call).expect("written");
    }

    fn brief(tid: u32, sched: Sched) -> Brief {
        Brief { slot: tid, tid, tgid: 1, sched: sched as u8, program_at: 0, by_exec: false }
    }

    fn calls(samples: &BTreeMap<u32, Sample>) -> Vec<(u32, u32)> {
        samples.iter().filter_map(|(tid, sample)| Some((*tid, sample.in_call?.0))).collect()
    }

    #[test]
    fn what_was_asked_ahead_is_not_asked_again() {
        let (root, proc) = three();
        let slots = [None, Some(brief(1, Sched::Unseen)), Some(brief(2, Sched::Asleep)), None];
        let mut samples = Samples::default();
        samples.go_on(&proc, 4, |slot| slots[slot as usize], LONG);
        // Only the end could see this.
        (1..=3).for_each(|tid| say(root.path(), tid, 35));
        let living = [brief(1, Sched::Unseen), brief(2, Sched::Asleep), brief(3, Sched::Unseen)];
        let samples = samples.complete(&proc, &living);
        assert_eq!(calls(&samples), [(1, 0), (3, 35)]);
    }

    #[test]
    fn an_id_that_another_thread_came_to_have_is_asked_again() {
        let (root, proc) = three();
        let mut samples = Samples::default();
        samples.go_on(&proc, 1, |_| Some(brief(2, Sched::Unseen)), LONG);
        samples.forget(2);
        say(root.path(), 2, 35);
        assert_eq!(calls(&samples.complete(&proc, &[brief(2, Sched::Unseen)])), [(2, 35)]);
    }

    #[test]
    fn without_time_nobody_is_asked_before_the_end() {
        let (_root, proc) = three();
        let mut samples = Samples::default();
        samples.go_on(&proc, 4, |slot| Some(brief(slot, Sched::Unseen)), Duration::ZERO);
        assert!(samples.of.is_empty());
        let living: Vec<Brief> = (1..=3).map(|tid| brief(tid, Sched::Unseen)).collect();
        assert_eq!(calls(&samples.complete(&proc, &living)), [(1, 0), (2, 202), (3, 232)]);
    }
}
