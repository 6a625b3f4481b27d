//! The same question about many threads, asked by several threads of ours: `/proc` answers each in some ten microseconds.

use std::collections::BTreeMap;
use std::num::NonZero;

use super::slots::Brief;
use crate::kernel::proc::{Proc, Tasks};

/// Threads of the target that are worth a further one of ours.
const WORTH: usize = 1_000;

/// What `ask` says of each thread, by thread id.
pub fn of_threads<T: Send>(
    proc: &Proc,
    threads: &[Brief],
    ask: impl Fn(&mut Tasks, &Brief) -> Option<T> + Sync,
) -> BTreeMap<u32, T> {
    let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
    let parts = (threads.len() / WORTH + 1).min(cpus);
    let answer = |part: &[Brief]| -> Vec<(u32, T)> {
        let mut tasks = proc.tasks();
        part.iter().filter_map(|thread| Some((thread.tid, ask(&mut tasks, thread)?))).collect()
    };
    let (own, others) = threads.split_at(threads.len().div_ceil(parts));
    std::thread::scope(|scope| {
        let size = others.len().div_ceil((parts - 1).max(1)).max(1);
        let others: Vec<_> = others.chunks(size).map(|part| scope.spawn(|| answer(part))).collect();
        let mut answers: BTreeMap<u32, T> = answer(own).into_iter().collect();
        answers.extend(others.into_iter().flat_map(|other| other.join().unwrap_or_default()));
        answers
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_is_asked_once_however_many_there_are() {
        for count in [0, 1, 999, 2_500, 10_001] {
            let threads: Vec<Brief> = (1..=count)
                .map(|tid| Brief { slot: 0, tid, tgid: 1, sched: 0, program_at: 0, by_exec: false })
                .collect();
            let ask =
                |_: &mut Tasks, thread: &Brief| (!thread.tid.is_multiple_of(3)).then_some(thread.tid * 2);
            let answers = of_threads(&Proc::system(), &threads, ask);
            assert_eq!(answers.len(), (count - count / 3) as usize);
            assert!(answers.iter().all(|(tid, answer)| *answer == tid * 2));
        }
    }
}
