//! Needs and capabilities as checks.

use std::path::Path;

use super::{Check, Section, Status};
use crate::kernel::capability::{self, USES, Use};
use crate::kernel::lockdown::SECURITY;
use crate::kernel::rights::Need;

/// What a measurement needs.
pub fn needs(needs: &[Need]) -> Vec<Check> {
    needs.iter().map(need).collect()
}

fn need(need: &Need) -> Check {
    let check =
        |status, found: &str| Check::new(Section::Needs, need.code, status, found).purpose(need.purpose);
    match &need.found {
        Ok(Some(found)) => check(Status::Pass, found),
        Ok(None) if need.code == "lockdown" => check(
            Status::Unknown,
            &format!("{SECURITY}/lockdown cannot be read; whether probes load is tried below"),
        )
        .fix(format!("mount -t securityfs none {SECURITY}")),
        Ok(None) => check(Status::Pass, "the kernel has none"),
        Err(failure) => {
            let check = check(Status::Fail, &failure.why);
            Check { fix: failure.fix.clone(), ..check }
        }
    }
}

/// Every capability that makes a difference.
pub fn capabilities(proc: &Path) -> Vec<Check> {
    let status = std::fs::read_to_string(proc.join("self/status")).unwrap_or_default();
    let effective = capability::effective(&status);
    USES.iter().map(|u| one(u, effective)).collect()
}

fn one(u: &Use, effective: Option<u64>) -> Check {
    let check = |status, found: &str| {
        Check::new(Section::Capabilities, u.capability.to_string(), status, found).purpose(u.purpose)
    };
    let Some(effective) = effective else {
        return check(Status::Unknown, "/proc/self/status cannot be read");
    };
    match (capability::has(effective, u.capability), u.lost) {
        (true, _) if effective & u.capability.bitmask() == 0 => {
            check(Status::Pass, "by one that stands in for it")
        }
        (true, _) => check(Status::Pass, "effective"),
        (false, _) if !u.matters => check(Status::Info, "not effective, and not needed here"),
        (false, None) => check(Status::Fail, "not effective").fix("run trace with sudo"),
        (false, Some(lost)) => check(Status::Warn, "not effective").lost(lost).fix("run trace with sudo"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(effective: u64) -> Vec<(String, Status)> {
        USES.iter().map(|u| one(u, Some(effective))).map(|c| (c.code, c.status)).collect()
    }

    #[test]
    fn what_is_lost_without_a_capability_is_a_warning_or_fatal() {
        let bare = statuses(0);
        let fatal: Vec<&str> =
            bare.iter().filter(|(_, s)| *s == Status::Fail).map(|(c, _)| c.as_str()).collect();
        assert_eq!(fatal, ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(bare.iter().filter(|(_, s)| *s == Status::Warn).count(), 3);
        assert!(statuses(u64::MAX).iter().all(|(_, status)| *status == Status::Pass));
        // CAP_SYS_ADMIN stands in for the first two.
        assert!(statuses(1 << 21).iter().all(|(_, status)| *status != Status::Fail));
    }
}
