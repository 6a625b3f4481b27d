//! Whether ids and times mean here what they mean to the kernel's events.
//!
//! Probes see thread ids of the initial PID namespace and the clock of the initial time namespace; what
//! counts as a capability to load them is one in the initial user namespace. In another namespace `/proc`,
//! `gettid` and `clock_gettime` tell something else, and a measurement would be blind.

use std::fs::read_link;
use std::path::Path;

/// Inode of the initial PID namespace (`include/linux/proc_ns.h`, `PROC_PID_INIT_INO`, since 3.8; user API
/// since 6.18, `include/uapi/linux/nsfs.h`).
pub const INITIAL_PID: u64 = 0xEFFF_FFFC;
/// The same of the initial user namespace (`PROC_USER_INIT_INO`).
pub const INITIAL_USER: u64 = 0xEFFF_FFFD;

/// Where this process is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Inode of the PID namespace; `None` if the kernel has none.
    pub pid: Option<u64>,
    /// Inode of the user namespace; `None` if the kernel has none.
    pub user: Option<u64>,
    /// This process's id as `/proc` shows it; `None` if it shows no such process.
    pub in_proc: Option<u32>,
    /// Seconds and nanoseconds that `CLOCK_MONOTONIC` is ahead of the kernel's.
    pub monotonic_ahead: (i64, i64),
}

impl Place {
    /// Reads it from the `/proc` at `root`.
    pub fn read(root: &Path) -> Place {
        let inode = |kind: &str| parse(&read_link(root.join("self/ns").join(kind)).ok()?.to_string_lossy());
        let offsets = std::fs::read_to_string(root.join("self/timens_offsets")).unwrap_or_default();
        Place {
            pid: inode("pid"),
            user: inode("user"),
            in_proc: read_link(root.join("self")).ok().and_then(|link| link.to_str()?.parse().ok()),
            monotonic_ahead: monotonic(&offsets).unwrap_or_default(),
        }
    }
}

/// The inode in `pid:[4026531836]`.
fn parse(link: &str) -> Option<u64> {
    link.split_once(":[")?.1.strip_suffix(']')?.parse().ok()
}

/// The offset in `monotonic SECONDS NANOSECONDS`.
fn monotonic(offsets: &str) -> Option<(i64, i64)> {
    let mut words = offsets.lines().find_map(|line| line.strip_prefix("monotonic"))?.split_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_offsets() {
        assert_eq!(parse("pid:[4026531836]"), Some(INITIAL_PID));
        assert_eq!(parse("user:[4026531837]"), Some(INITIAL_USER));
        assert_eq!(parse("pid:[]"), None);
        assert_eq!(monotonic("monotonic      -1000         7\nboottime  0 0\n"), Some((-1000, 7)));
        assert_eq!(monotonic(""), None);
    }
}
