//! From what the user names — pids, a port, a name — to the processes to attach to.

pub mod identity;
pub mod list;
mod pid;
mod port;
mod tree;

use std::path::Path;

use crate::failure::{Code, Failure};
use crate::kernel::proc::Proc;

/// What the user named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// Processes, without repetition.
    Pids(Vec<u32>),
    /// Whoever listens on a port.
    Port(u16),
    /// Whoever has a name.
    Name(String),
}

/// The processes that `spec` stands for in the `/proc` at `root`, `own` being the pid of the tool itself.
///
/// # Errors
/// [`Code::Usage`] for what must not be or is ambiguous, [`Code::NoTarget`] if there is none,
/// [`Code::NotPermitted`] if whose port it is may not be seen.
pub fn resolve(root: &Path, spec: &Spec, own: u32) -> Result<Vec<u32>, Failure> {
    let proc = Proc::at(root);
    match spec {
        Spec::Pids(pids) => {
            pids.iter().try_for_each(|&pid| pid::check(&proc, pid, own))?;
            Ok(pids.clone())
        }
        Spec::Port(port) => port::resolve(&proc, *port, own),
        Spec::Name(name) => by_name(&proc, name, own),
    }
}

fn by_name(proc: &Proc, name: &str, own: u32) -> Result<Vec<u32>, Failure> {
    let candidates: Vec<u32> = proc.pids().into_iter().filter(|&pid| pid != own).collect();
    let living = |pid: &u32| is_living(proc, *pid);
    let matches = candidates.iter().copied().filter(|&pid| proc.names(pid).iter().any(|n| n == name));
    let matches: Vec<u32> = matches.filter(living).collect();
    if matches.is_empty() {
        return Err(no_such_name(proc, name, candidates.into_iter().filter(living)));
    }
    match tree::topmost(proc, &matches)[..] {
        [pid] => Ok(vec![pid]),
        ref several => Err(ambiguous(proc, &format!("have the name {name}"), several)),
    }
}

/// Whether it is a process of user space in which something runs.
fn is_living(proc: &Proc, pid: u32) -> bool {
    proc.process_stat(pid).is_some_and(|stat| !stat.is_kernel() && !stat.is_zombie())
}

/// Several processes that have nothing to do with each other.
fn ambiguous(proc: &Proc, what_they_do: &str, pids: &[u32]) -> Failure {
    let listed: Vec<String> =
        pids.iter().take(20).map(|&pid| format!("{pid} ({})", proc.label(pid))).collect();
    let why =
        format!("{} processes, none above the others, {what_they_do}: {}", pids.len(), listed.join(", "));
    let fix = pids.first().map_or(String::new(), |pid| format!("name one of them: trace attach --pid {pid}"));
    Failure::new(Code::Usage, "the target is ambiguous", why).fix(fix)
}

fn no_such_name(proc: &Proc, name: &str, pids: impl Iterator<Item = u32>) -> Failure {
    let wanted = name.to_lowercase();
    let near = |other: &String| {
        let other = other.to_lowercase();
        !other.is_empty()
            && (other.contains(&wanted) || wanted.contains(&other) || common_start(&other, &wanted) > 3)
    };
    let mut similar: Vec<String> = pids.flat_map(|pid| proc.names(pid)).filter(near).collect();
    similar.sort();
    similar.dedup();
    similar.truncate(5);
    let why = "no process has it, as its name or as the file name of its executable";
    let fix = match similar.is_empty() {
        true => "list the names with: ps -e -o pid,comm".to_owned(),
        false => format!("similar names: {}", similar.join(", ")),
    };
    Failure::new(Code::NoTarget, format!("there is no process named {name}"), why).fix(fix)
}

fn common_start(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
mod tests;
