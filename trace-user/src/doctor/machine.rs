//! Facts on kernel and machine that explain figures.

use std::path::Path;

use super::{Check, Section, Status};
use crate::kernel::proc::Proc;
use crate::report::unit;

/// Share of CPU time taken by the hypervisor from which on times are worth a warning.
const STEAL_SHARE: f64 = 0.05;

/// Switches of the kernel, and whether the machine is a virtual one.
pub fn checks(proc: &Path) -> Vec<Check> {
    vec![unprivileged(proc), io_uring(proc), hypervisor(proc)]
}

fn sysctl(proc: &Path, name: &str) -> Option<String> {
    Some(std::fs::read_to_string(proc.join("sys/kernel").join(name)).ok()?.trim().to_owned())
}

fn fact(code: &str, found: String) -> Check {
    Check::new(Section::Machine, code, Status::Info, found)
}

/// `Documentation/admin-guide/sysctl/kernel.rst`; tracing programs take `CAP_PERFMON` whatever it says.
fn unprivileged(proc: &Path) -> Check {
    let found = match sysctl(proc, "unprivileged_bpf_disabled").as_deref() {
        Some("0") => "0: anybody may use BPF, but not for tracing".into(),
        Some("1") => "1: BPF takes CAP_BPF, until the next boot".into(),
        Some("2") => "2: BPF takes CAP_BPF".into(),
        other => other.unwrap_or("this kernel does not have it").to_owned(),
    };
    fact("kernel.unprivileged_bpf_disabled", found)
}

fn io_uring(proc: &Path) -> Check {
    let found = match sysctl(proc, "io_uring_disabled").as_deref() {
        Some("0") => "0: any process may use io_uring".into(),
        Some("1") => "1: only the group kernel.io_uring_group and CAP_SYS_ADMIN may use io_uring".into(),
        Some("2") => "2: nobody can make a ring, so servers fall back to other models".into(),
        other => other.unwrap_or("this kernel does not have it").to_owned(),
    };
    fact("kernel.io_uring_disabled", found)
}

fn hypervisor(proc: &Path) -> Check {
    let cpuinfo = std::fs::read_to_string(proc.join("cpuinfo")).unwrap_or_default();
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    if !flags.split_whitespace().any(|flag| flag == "hypervisor") {
        return fact("virtual machine", "no".into());
    }
    let Some(share) = steal_share(proc) else { return fact("virtual machine", "yes".into()) };
    let found =
        format!("yes; the hypervisor took {} of its CPU time since boot", unit::percent_of_share(share));
    let check = fact("virtual machine", found);
    if share < STEAL_SHARE {
        return check;
    }
    Check { status: Status::Warn, ..check }.lost("time that the hypervisor takes looks like running")
}

/// Steal by all time of all CPUs.
fn steal_share(proc: &Path) -> Option<f64> {
    let steal = Proc::at(proc).steal_ns()? as f64;
    let text = std::fs::read_to_string(proc.join("stat")).ok()?;
    // The ninth and tenth are guest time, which is in the first two already (proc_stat(5)).
    let ticks = text.lines().next()?.split_ascii_whitespace().skip(1).take(8).map(str::parse::<u64>);
    let all: u64 = ticks.sum::<Result<u64, _>>().ok()?;
    let all = all as f64 * 1e9 / rustix::param::clock_ticks_per_second() as f64;
    (all > 0.0).then_some(steal / all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_steal_is_a_warning() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
        assert_eq!(hypervisor(dir.path()).found, "no");
        write("cpuinfo", "processor : 0\nflags\t\t: fpu hypervisor sse\n");
        assert_eq!(hypervisor(dir.path()).found, "yes");
        write("stat", "cpu  100 0 100 700 0 0 0 100 0 0\n");
        let check = hypervisor(dir.path());
        assert!(check.found.contains("10.0%") && check.status == Status::Warn, "{check:?}");
        write("stat", "cpu  100 0 100 799 0 0 0 1 0 0\n");
        assert_eq!(hypervisor(dir.path()).status, Status::Info);
    }
}
