//! One line of `/proc/PID/stat` or `/proc/PID/task/TID/stat`.

/// `PF_KTHREAD`, `include/linux/sched.h`.
const PF_KTHREAD: u32 = 0x0020_0000;

/// `PF_IO_WORKER | PF_USER_WORKER`.
const PF_KERNEL_IO: u32 = 0x0010 | 0x4000;

/// What the line says (proc(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Name.
    pub comm: String,
    /// State letter.
    pub state: char,
    /// Parent process.
    pub ppid: u32,
    /// `task_struct::flags`.
    pub flags: u32,
    /// Clock ticks in user mode since it began.
    pub user_ticks: u64,
    /// … and in the kernel; both add up to the scheduler's run time (`kernel/sched/cputime.c`, `cputime_adjust`).
    pub kernel_ticks: u64,
    /// Threads of the process.
    pub threads: u32,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
}

impl Stat {
    /// Whether it is a kernel thread.
    pub fn is_kernel(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }

    /// Whether it is a kernel worker of its process: io-wq, SQPOLL.
    pub fn is_kernel_io(&self) -> bool {
        self.flags & PF_KERNEL_IO != 0
    }

    /// Whether nothing of it runs any more. A process whose first thread alone ended is a `Z` with threads.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x') && self.threads <= 1
    }

    /// Reads the line. The name may hold blanks and parentheses; the last one closes it.
    pub(super) fn parse(text: &str) -> Option<Stat> {
        let (open, close) = (text.find('(')?, text.rfind(')')?);
        let fields: Vec<&str> = text.get(close + 1..)?.split_ascii_whitespace().collect();
        Some(Stat {
            comm: text.get(open + 1..close)?.to_owned(),
            state: fields.first()?.chars().next()?,
            ppid: fields.get(1)?.parse().ok()?,
            flags: fields.get(6)?.parse().ok()?,
            user_ticks: fields.get(11)?.parse().ok()?,
            kernel_ticks: fields.get(12)?.parse().ok()?,
            threads: fields.get(17)?.parse().ok()?,
            start_ticks: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields_of_stat() {
        let text = "7 (a) R 1 (x) S 42 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.state, stat.ppid, stat.threads, stat.start_ticks), ('S', 42, 1, 12345));
        assert_eq!(stat.comm, "a) R 1 (x");
    }

    #[test]
    fn a_process_without_its_first_thread_is_no_zombie() {
        let stat = |state, threads| {
            Stat::parse(&format!("7 (a) {state} 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 {threads} 0 1 0 0"))
                .unwrap()
        };
        assert!(stat('Z', 1).is_zombie());
        assert!(!stat('Z', 2).is_zombie());
        assert!(!stat('S', 1).is_zombie());
    }
}
