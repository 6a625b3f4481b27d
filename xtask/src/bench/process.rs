//! Other processes: their CPU time, their state, and ends of our own that are never forgotten.

use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::describe;

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Raises the priority of this process and of those it will start: other work on the machine then disturbs less. Where
/// the kernel groups by session, it is the group's that counts. The end of it lowers the group's again.
pub struct Priority;

/// Of the group of this session (`kernel/sched/autogroup.c`).
const GROUP: &str = "/proc/self/autogroup";

impl Priority {
    /// Raises it.
    pub fn raise() -> Self {
        // SAFETY: plain numbers; a refusal changes nothing.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -15) };
        // Where there is no such file, there are no groups.
        let _ = fs::write(GROUP, "-15");
        Self
    }
}

impl Drop for Priority {
    fn drop(&mut self) {
        let _ = fs::write(GROUP, "0");
    }
}

/// CPU time that processes used, ns, their ended threads included: the sum of the run times that schedstat shows.
pub fn cpu_ns(pids: &[u32]) -> u64 {
    pids.iter().map(|pid| cpu_of(*pid)).sum()
}

fn cpu_of(pid: u32) -> u64 {
    let mut clock: libc::clockid_t = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both places live through the calls; a process that is gone is an error, and leaves zero.
    unsafe {
        if libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) == 0 {
            libc::clock_gettime(clock, &mut time);
        }
    }
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A process that ends with this value at the latest.
pub struct Owned {
    child: Child,
    name: String,
}

impl Owned {
    /// Starts it.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = describe(command);
        let child = command.spawn().with_context(|| format!("cannot run `{name}`"))?;
        Ok(Self { child, name })
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its ends of pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until something holds.
    ///
    /// # Errors
    /// When the process ends before, or it takes too long.
    pub fn wait_until(&mut self, limit: Duration, what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !holds() {
            if let Some(status) = self.child.try_wait()? {
                bail!("`{}` ended ({status}) before {what}", self.name);
            }
            if Instant::now() > deadline {
                bail!("`{}`: not within {limit:?}: {what}", self.name);
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Asks it to end by SIGINT, and waits for that; with `again` it is asked every second.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn interrupt(&mut self, again: bool, limit: Duration) -> Result<()> {
        signal_to(self.pid(), libc::SIGINT);
        let begun = Instant::now();
        let mut asked = 1;
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() > limit {
                bail!("`{}` did not end within {limit:?} of its SIGINT", self.name);
            }
            if again && begun.elapsed().as_secs() >= asked {
                asked += 1;
                signal_to(self.pid(), libc::SIGINT);
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            signal_to(self.pid(), libc::SIGTERM);
            let deadline = Instant::now() + Duration::from_secs(3);
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(LOOK);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn signal_to(pid: u32, signal: libc::c_int) {
    // SAFETY: plain numbers; the process is a child that was not waited for, so the id is its own.
    unsafe { libc::kill(pid as libc::pid_t, signal) };
}

/// Most memory that a process has had in core, KiB; none when it has ended.
pub fn high_water_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Ids of the threads of a process.
pub fn threads(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A process and its descendants at present, itself first.
pub fn tree(pid: u32) -> Vec<u32> {
    let mut pids = vec![pid];
    let mut nth = 0;
    while let Some(&pid) = pids.get(nth) {
        for tid in threads(pid) {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{tid}/children")).unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        nth += 1;
    }
    pids
}

/// Whether every thread of a process is traced by another one.
pub fn is_traced(pid: u32) -> bool {
    threads(pid).iter().all(|tid| {
        let status = fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).unwrap_or_default();
        status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|pid| pid.trim() != "0"))
    })
}

/// How many perf events a process holds.
pub fn perf_events(pid: u32) -> usize {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter(|link| link.to_string_lossy().contains("perf_event")).count()
}
