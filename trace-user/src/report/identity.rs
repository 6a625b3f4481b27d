//! Who the target is beyond its host ids: its containers, its ids inside of them, and the programs that it executed.

use std::collections::{BTreeMap, BTreeSet};

use super::schema::{Process, Report};
use super::unit;

/// Names of one kind in a sentence.
const NAMED: usize = 4;

/// `(pid 17)`, `(pid 17, in docker:0123456789ab)`.
pub fn place(report: &Report) -> String {
    let pids: Vec<String> = report.target.pids.iter().map(u32::to_string).collect();
    let container = report.target.container.as_ref().map(|c| format!(", in {c}"));
    format!("(pid {}{})", pids.join(", "), container.unwrap_or_default())
}

/// A sentence each. None of them is sanitised yet.
pub fn sentences(report: &Report) -> Vec<String> {
    [inner_ids(report), other_containers(report), programs(report)].into_iter().flatten().collect()
}

/// The ids that the processes which were asked for have inside of their PID namespace.
fn inner_ids(report: &Report) -> Option<String> {
    let of = |pid: &u32| {
        let process = report.processes.iter().rfind(|p| p.pid == *pid)?;
        Some(format!("process {pid} is {}", process.inner_pid?))
    };
    let ids: Vec<String> = report.target.pids.iter().filter_map(of).collect();
    Some(format!("In its own PID namespace, {}.", list(&ids)?))
}

/// Containers of other processes than the first.
fn other_containers(report: &Report) -> Option<String> {
    let all = report.processes.iter().filter_map(|p| p.container.as_ref());
    let others: BTreeSet<_> = all.filter(|c| report.target.container.as_ref() != Some(c)).collect();
    let others: Vec<String> = others.into_iter().map(ToString::to_string).collect();
    Some(format!("Processes of it run in {}.", list(&others)?))
}

/// Who executed what.
fn programs(report: &Report) -> Option<String> {
    let mut executed: BTreeMap<u32, Vec<&Process>> = BTreeMap::new();
    for (before, process) in report.processes.iter().zip(report.processes.iter().skip(1)) {
        if process.by_exec && before.pid == process.pid {
            executed.entry(process.pid).or_insert_with(|| vec![before]).push(process);
        }
    }
    let after = |p: &Process| p.began_ns.map(|ns| format!(" after {}", unit::time(ns))).unwrap_or_default();
    let chain = |(pid, programs): (&u32, &Vec<&Process>)| {
        let rest = programs.iter().skip(1).map(|p| format!("{}{}", p.comm, after(p)));
        let names: Vec<String> = programs.iter().take(1).map(|p| p.comm.clone()).chain(rest).collect();
        format!("process {pid} was {}", list_in_turn(&names))
    };
    let chains: Vec<String> = executed.iter().map(chain).collect();
    Some(format!("By exec, {}: each program has its own figures.", list(&chains)?))
}

/// `a`, `a and b`, `a, b and 3 more`; `None` of nothing.
fn list(names: &[String]) -> Option<String> {
    let shown = if names.len() > NAMED { NAMED - 1 } else { names.len() };
    let more = (names.len() > shown).then(|| format!("{} more", names.len() - shown));
    let all: Vec<String> = names.iter().take(shown).cloned().chain(more).collect();
    let (last, before) = all.split_last()?;
    Some(if before.is_empty() { last.clone() } else { format!("{} and {last}", before.join(", ")) })
}

/// `a, then b`; of many the first and the last ones.
fn list_in_turn(names: &[String]) -> String {
    let left_out = names.len().saturating_sub(NAMED);
    let more = (left_out > 0).then(|| format!("{left_out} more"));
    let (first, rest) = names.split_at(names.len().min(1));
    let rest = rest.iter().skip(left_out).cloned();
    first.iter().cloned().chain(more).chain(rest).collect::<Vec<_>>().join(", then ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{build, sample};
    use crate::snapshot::{Container, Process, Runtime};

    #[test]
    fn a_target_is_said_to_be_where_it_is_and_what_it_was() {
        let mut snapshot = sample::snapshot(2);
        let first = snapshot.processes[0].clone();
        let next =
            Process { comm: "next".into(), epoch: 1, by_exec: true, began_ns: Some(1_500_000_000), ..first };
        snapshot.processes.push(next);
        let container = Some(Container { runtime: Runtime::Lxc, id: "web".into() });
        snapshot.processes.push(Process { pid: 200, container, ..Process::default() });
        let report = build::build(&snapshot, &sample::verdicts(&snapshot));
        assert_eq!(place(&report), "(pid 100, in docker:0123456789ab)");
        assert_eq!(
            sentences(&report),
            [
                "In its own PID namespace, process 100 is 1.",
                "Processes of it run in lxc:web.",
                "By exec, process 100 was server, then next after 1.50 s: each program has its own figures."
            ]
        );
        assert_eq!((report.target.processes, report.target.threads), (2, 1));
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = ('a'..='g').map(String::from).collect();
        assert_eq!(list(&names).as_deref(), Some("a, b, c and 4 more"));
        assert_eq!(list_in_turn(&names), "a, then 3 more, then e, then f, then g");
        assert_eq!((list(&names[..1]).as_deref(), list(&[])), (Some("a"), None));
        assert_eq!(list_in_turn(&names[..4]), "a, then b, then c, then d");
    }
}
