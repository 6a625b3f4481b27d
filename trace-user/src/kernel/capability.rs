//! Capabilities: which of them tracing takes, what for, and which this process has.

use caps::Capability;

/// A capability that makes a difference.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// Which.
    pub capability: Capability,
    /// What it is for.
    pub purpose: &'static str,
    /// What is lost without it; `None`: without it nothing can be measured.
    pub lost: Option<&'static str>,
    /// Whether losing it costs anything at all on the kernels that are supported.
    pub matters: bool,
}

/// All of them. The first two are what loading and attaching tracing programs takes since Linux 5.8.
pub const USES: [Use; 6] = [
    Use { capability: Capability::CAP_BPF, purpose: "to load the probes", lost: None, matters: true },
    Use {
        capability: Capability::CAP_PERFMON,
        purpose: "to attach them to kernel events",
        lost: None,
        matters: true,
    },
    Use {
        capability: Capability::CAP_SYS_PTRACE,
        purpose: "to read what other users' threads sleep in (/proc/PID/syscall) and their executables",
        lost: Some("what a silent thread of another user sleeps in is unknown; exe is null"),
        matters: true,
    },
    Use {
        capability: Capability::CAP_DAC_READ_SEARCH,
        purpose: "to see which sockets other users' processes hold (/proc/PID/fd), and to read /proc/PID/syscall",
        lost: Some(
            "--port and list do not see other users' servers; sides are known only from accepts; what a silent \
             thread of another user sleeps in is unknown",
        ),
        matters: true,
    },
    Use {
        capability: Capability::CAP_SYS_ADMIN,
        purpose: "for the kernel's statistics of programs; it stands in for CAP_BPF and CAP_PERFMON",
        lost: Some("the cost of tracing is not known"),
        matters: true,
    },
    Use {
        // Memory of maps is charged to the memory control group since 5.11 (kernel/bpf/syscall.c,
        // bpf_map_init_from_attr), no longer to RLIMIT_MEMLOCK.
        capability: Capability::CAP_SYS_RESOURCE,
        purpose: "to lock the maps' memory, on kernels before 5.11 only",
        lost: None,
        matters: false,
    },
];

/// The effective set in the text of `/proc/PID/status`.
pub fn effective(status: &str) -> Option<u64> {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

/// Whether the set `effective` holds `capability`, by itself or by one that stands in for it
/// (`include/linux/capability.h`: `bpf_capable`, `perfmon_capable`; `fs/namei.c`: `CAP_DAC_OVERRIDE` reads,
/// too).
pub fn has(effective: u64, capability: Capability) -> bool {
    let stand_in = match capability {
        Capability::CAP_BPF | Capability::CAP_PERFMON => Capability::CAP_SYS_ADMIN.bitmask(),
        Capability::CAP_DAC_READ_SEARCH => Capability::CAP_DAC_OVERRIDE.bitmask(),
        _ => 0,
    };
    effective & (capability.bitmask() | stand_in) != 0
}

/// Those that nothing can be measured without and that `effective` lacks.
pub fn missing(effective: u64) -> Vec<&'static Use> {
    let needed = USES.iter().filter(|u| u.matters && u.lost.is_none());
    needed.filter(|u| !has(effective, u.capability)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(effective: u64) -> Vec<String> {
        missing(effective).iter().map(|u| u.capability.to_string()).collect()
    }

    #[test]
    fn missing_capabilities_are_named() {
        assert_eq!(names(1 << 21), [""; 0]);
        assert_eq!(names(1 << 38 | 1 << 39), [""; 0]);
        assert_eq!(names(1 << 38), ["CAP_BPF"]);
        assert_eq!(names(0), ["CAP_BPF", "CAP_PERFMON"]);
    }

    #[test]
    fn the_effective_set_is_hexadecimal() {
        assert_eq!(effective("Name:\tx\nCapEff:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
        assert_eq!(effective("CapPrm:\t00\n"), None);
        assert_eq!(effective("CapEff:\tx\n"), None);
    }
}
