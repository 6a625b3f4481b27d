//! Whether a pid can be attached to.

use crate::failure::{Code, Failure};
use crate::kernel::proc::Proc;

/// Checks one pid.
///
/// # Errors
/// Says why it cannot be a target.
pub fn check(proc: &Proc, pid: u32, own: u32) -> Result<(), Failure> {
    let cannot = |code, why: String| Failure::new(code, format!("cannot attach to pid {pid}"), why);
    let (Some(tgid), Some(stat)) = (proc.tgid(pid), proc.process_stat(pid)) else {
        if proc.hides(pid) {
            let why =
                format!("/proc/{pid} is there, and nothing in it may be read: /proc is mounted with hidepid");
            let fix = "run trace as the target's user, or with sudo";
            return Err(cannot(Code::NotPermitted, why).fix(fix));
        }
        let why = format!("there is no process {pid} (/proc/{pid} does not exist)");
        return Err(
            cannot(Code::NoTarget, why).fix(format!("list processes with: ps -e{}", inner(proc, pid)))
        );
    };
    if tgid == own {
        let why = if pid == own { "it is trace itself" } else { "it is a thread of trace itself" };
        return Err(cannot(Code::Usage, why.into()).fix("name another process"));
    }
    if stat.is_kernel() {
        let why = format!("it is a kernel thread ({}), which makes no system calls", stat.comm);
        return Err(cannot(Code::Usage, why).fix("name a process: one with a file in /proc/PID/exe"));
    }
    if tgid != pid {
        let why = format!("it is a thread of process {tgid} ({}), and processes are traced whole", stat.comm);
        return Err(cannot(Code::Usage, why).fix(format!("trace attach --pid {tgid}")));
    }
    if stat.is_zombie() {
        let why = format!(
            "it is a zombie ({}): it has ended, and its parent {} has not noticed",
            stat.comm, stat.ppid
        );
        return Err(cannot(Code::NoTarget, why).fix("name a living process"));
    }
    Ok(())
}

/// A hint for who read the pid inside a container.
fn inner(proc: &Proc, pid: u32) -> String {
    let is_inner = |host: &u32| proc.inner_pid(*host) == Some(pid);
    let hosts: Vec<String> =
        proc.pids().into_iter().filter(is_inner).take(5).map(|p| p.to_string()).collect();
    if hosts.is_empty() {
        return String::new();
    }
    format!(" (inside a container, {pid} is the id of process {} here)", hosts.join(" or "))
}
