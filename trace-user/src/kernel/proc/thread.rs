//! Threads: which there are, what they are in, and how long they ran.

use super::{Proc, Stat};
use crate::snapshot::Schedstat;

/// What `/proc/PID/task/TID/syscall` says: number and first arguments, `None` while running or outside calls.
pub type InCall = Option<(u32, [u64; 4])>;

impl Proc {
    /// Thread ids of a process; empty if it is gone.
    pub fn threads(&self, pid: u32) -> Vec<u32> {
        self.numbers(format!("{pid}/task")).collect()
    }

    /// `stat` of a thread of this process.
    pub fn stat(&self, pid: u32, tid: u32) -> Option<Stat> {
        Stat::parse(&self.read(format!("{pid}/task/{tid}/stat"))?)
    }

    /// The call that a sleeping thread is in; none if it may not be read (`CAP_SYS_PTRACE` is needed for others' threads).
    pub fn call(&self, pid: u32, tid: u32) -> Option<InCall> {
        Some(parse_syscall(&self.read(format!("{pid}/task/{tid}/syscall"))?))
    }

    /// Run time and run-queue delay of a thread since it began (`kernel/sched/stats.h`: ns).
    pub fn schedstat(&self, pid: u32, tid: u32) -> Option<Schedstat> {
        parse_schedstat(&self.read(format!("{pid}/task/{tid}/schedstat"))?)
    }
}

pub(super) fn parse_schedstat(text: &str) -> Option<Schedstat> {
    let mut words = text.split_ascii_whitespace().map(str::parse);
    Some(Schedstat { run_ns: words.next()?.ok()?, delay_ns: words.next()?.ok()? })
}

pub(super) fn parse_syscall(text: &str) -> InCall {
    let mut words = text.split_ascii_whitespace();
    let nr: u32 = words.next()?.parse().ok()?;
    let mut args = [0; 4];
    for arg in &mut args {
        *arg = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    }
    Some((nr, args))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syscall_lines() {
        assert_eq!(
            parse_syscall("232 0x5 0x7ffe 0x40 0xffffffffffffffff 0x0 0x8 0x7ff 0x7f\n"),
            Some((232, [5, 0x7ffe, 0x40, u64::MAX]))
        );
        assert_eq!(parse_syscall("running\n"), None);
        assert_eq!(parse_syscall("-1 0x7ff 0x7f\n"), None);
    }
}
