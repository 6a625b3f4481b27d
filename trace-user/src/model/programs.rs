//! Programs that one process executed one after another: each is judged by itself, and as a server they are one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::snapshot::{Process, Program, Snapshot, Thread};

/// The snapshot with one program for each process, as if who executed one had gone on: how connections are spread over
/// threads and processes is a matter of the process, and nobody was born for them by an exec.
pub fn joined(snapshot: &Snapshot) -> Cow<'_, Snapshot> {
    if !snapshot.processes.iter().any(|p| p.by_exec) {
        return Cow::Borrowed(snapshot);
    }
    let first = first_programs(&snapshot.processes);
    let of = |pid: u32, epoch: u32| first.get(&(pid, epoch)).map_or(epoch, |first| first.1);
    let mut whole = snapshot.clone();
    whole.processes = processes(&snapshot.processes, &first);
    for connection in &mut whole.connections {
        connection.epoch = of(connection.pid, connection.epoch);
    }
    whole.threads.clear();
    let mut firsts: BTreeMap<Program, usize> = BTreeMap::new();
    for thread in &snapshot.threads {
        let thread = Thread { epoch: of(thread.pid, thread.epoch), ..thread.clone() };
        if thread.tid == thread.pid && thread.count == 1 {
            if let Some(&before) = firsts.get(&thread.program()) {
                go_on(&mut whole.threads[before], thread);
                continue;
            }
            firsts.insert(thread.program(), whole.threads.len());
        }
        whole.threads.push(thread);
    }
    Cow::Owned(whole)
}

/// For each program, the first one of its process.
fn first_programs(processes: &[Process]) -> BTreeMap<Program, Program> {
    let mut first = BTreeMap::new();
    let mut last = None;
    // By process id, and in the order of their beginnings.
    for process in processes {
        let of = last.filter(|(pid, _)| process.by_exec && *pid == process.pid).unwrap_or(process.program());
        first.insert(process.program(), of);
        last = Some(of);
    }
    first
}

/// What each process is at the end, as its first program; where listeners could not be looked at, those of the one before.
fn processes(all: &[Process], first: &BTreeMap<Program, Program>) -> Vec<Process> {
    let mut whole: Vec<Process> = Vec::new();
    for process in all {
        let epoch = first.get(&process.program()).map_or(process.epoch, |first| first.1);
        let mut process = Process { epoch, by_exec: false, ..process.clone() };
        match whole.last_mut().filter(|before| before.program() == process.program()) {
            Some(before) => {
                if process.listens.is_none() {
                    (process.listens, process.listeners) =
                        (before.listens, std::mem::take(&mut before.listeners));
                }
                process.began_ns = before.began_ns;
                *before = process;
            }
            None => whole.push(process),
        }
    }
    whole
}

/// `thread` went on as `next`.
fn go_on(thread: &mut Thread, next: Thread) {
    thread.merge(&next);
    thread.count = 1;
    thread.comm = next.comm;
    thread.alive = next.alive;
    thread.receive_syscall = next.receive_syscall.or(thread.receive_syscall.take());
    thread.storage_syscall = next.storage_syscall.or(thread.storage_syscall.take());
    thread.in_flight = next.in_flight;
    thread.schedstat = None;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn program(epoch: u32, by_exec: bool) -> Process {
        Process { pid: 100, epoch, by_exec, comm: epoch.to_string(), ..Process::default() }
    }

    fn thread(tid: u32, epoch: u32, alive: bool) -> Thread {
        Thread { tid, epoch, alive, born: epoch == 0, ..sample::snapshot(1).threads.remove(0) }
    }

    #[test]
    fn who_executes_goes_on_and_who_has_an_id_again_does_not() {
        let mut snapshot = sample::snapshot(1);
        snapshot.processes = vec![program(0, false), program(1, true), program(2, false)];
        snapshot.threads =
            vec![thread(100, 0, false), thread(101, 0, false), thread(100, 1, false), thread(100, 2, true)];
        let whole = joined(&snapshot);
        let threads: Vec<_> =
            whole.threads.iter().map(|t| (t.tid, t.epoch, t.alive, t.born, t.count)).collect();
        assert_eq!(threads, [(100, 0, false, true, 1), (101, 0, false, true, 1), (100, 2, true, false, 1)]);
        assert_eq!(whole.threads[0].receives.calls, 2 * snapshot.threads[0].receives.calls);
        let processes: Vec<_> = whole.processes.iter().map(|p| (p.epoch, &*p.comm)).collect();
        assert_eq!(processes, [(0, "1"), (2, "2")]);
    }

    #[test]
    fn without_an_exec_nothing_is_copied() {
        assert!(matches!(joined(&sample::snapshot(2)), Cow::Borrowed(_)));
    }
}
