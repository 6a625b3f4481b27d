//! Rights that are no longer needed once the probes are attached, and are given up then: until the end of a window `trace`
//! reads what its target made up, and should somebody find a way in there, it is not to be root's.
//!
//! What remains open works without: maps and programs by their descriptors (since 6.0 a descriptor is enough for all but
//! making more of them, `kernel/bpf/syscall.c`, `__sys_bpf`), the kernel's statistics as long as their descriptor lives,
//! and the files of the report, which were opened before.

use caps::{CapSet, Capability, CapsHashSet};

use crate::failure::Failure;

/// What a run still has to do after its probes are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// It may have to take away files that it created in somebody else's directory.
    pub files: bool,
    /// It may have to pass signals on to a command that runs as somebody else.
    pub command: bool,
}

impl Ahead {
    /// What it has to keep, of what it is permitted.
    fn keep(self, permitted: &CapsHashSet) -> CapsHashSet {
        let mut wanted = vec![Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH];
        // It stands in for the other one, in containers that have only this.
        if self.files || !permitted.contains(&Capability::CAP_DAC_READ_SEARCH) {
            wanted.push(Capability::CAP_DAC_OVERRIDE);
        }
        if self.command {
            wanted.push(Capability::CAP_KILL);
        }
        wanted.into_iter().filter(|capability| permitted.contains(capability)).collect()
    }
}

/// What switching the kernel's statistics on takes each time. It stays permitted, since the cost is sampled to the end, but
/// is effective only within [`raised`].
pub const FOR_STATISTICS: Capability = Capability::CAP_SYS_ADMIN;
/// What making a map takes (`kernel/bpf/syscall.c`, `map_create`). It stays permitted, since records are made while the
/// target grows, but is effective only within [`raised`].
const FOR_MAPS: Capability = Capability::CAP_BPF;
/// What stands in for it (`include/linux/capability.h`, `bpf_capable`).
const FOR_MAPS_TOO: Capability = Capability::CAP_SYS_ADMIN;
/// All that stays within reach.
const WITHIN_REACH: [Capability; 2] = [FOR_STATISTICS, FOR_MAPS];

/// The right to make maps: [`FOR_MAPS`], or what stands in for it.
pub fn for_maps() -> Capability {
    if caps::has_cap(None, CapSet::Permitted, FOR_MAPS).unwrap_or(true) { FOR_MAPS } else { FOR_MAPS_TOO }
}

/// Does `what` with one of these rights, where it is permitted.
pub fn raised<T>(right: Capability, what: impl FnOnce() -> T) -> T {
    let was = caps::has_cap(None, CapSet::Effective, right).unwrap_or(true);
    // Where it is not permitted, `what` says so.
    let raised = !was && caps::raise(None, CapSet::Effective, right).is_ok();
    let done = what();
    if raised {
        // Lowering cannot fail.
        let _ = caps::drop(None, CapSet::Effective, right);
    }
    done
}

/// Gives up every capability that is not needed for what is ahead, and with them the way back: no program that this
/// process might execute gets any. Only for the calling thread and those that it starts afterwards.
///
/// # Errors
/// If the kernel refuses, which it has no reason for.
pub fn all_but(ahead: Ahead) -> Result<(), Failure> {
    let failed =
        |e: &dyn std::fmt::Display| Failure::internal("rights that are not needed cannot be given up", e);
    let permitted = caps::read(None, CapSet::Permitted).map_err(|e| failed(&e))?;
    let kept = ahead.keep(&permitted);
    for set in [CapSet::Ambient, CapSet::Inheritable] {
        caps::clear(None, set).map_err(|e| failed(&e))?;
    }
    caps::set(None, CapSet::Effective, &kept).map_err(|e| failed(&e))?;
    let mut within_reach = kept;
    within_reach.extend(permitted.intersection(&WITHIN_REACH.into()));
    caps::set(None, CapSet::Permitted, &within_reach).map_err(|e| failed(&e))?;
    // SAFETY: takes numbers.
    match unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(failed(&std::io::Error::last_os_error())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(ahead: Ahead, permitted: &[Capability]) -> Vec<String> {
        let mut names: Vec<String> =
            ahead.keep(&permitted.iter().copied().collect()).iter().map(Capability::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_kept_depends_on_what_is_ahead_and_is_never_more_than_there_was() {
        let all: Vec<Capability> = caps::all().into_iter().collect();
        let (none, both) = (Ahead::default(), Ahead { files: true, command: true });
        assert_eq!(names(none, &all), ["CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE"]);
        assert_eq!(
            names(both, &all),
            ["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_KILL", "CAP_SYS_PTRACE"]
        );
        let few = [Capability::CAP_BPF, Capability::CAP_PERFMON];
        assert_eq!(names(both, &few), [""; 0]);
        assert_eq!(names(none, &[Capability::CAP_DAC_OVERRIDE]), ["CAP_DAC_OVERRIDE"]);
    }

    #[test]
    fn what_was_given_up_does_not_come_back() {
        let done = std::thread::spawn(|| {
            all_but(Ahead::default()).expect("given up");
            let left = [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable, CapSet::Ambient]
                .map(|set| caps::read(None, set).expect("a set"));
            let back = caps::raise(None, CapSet::Effective, Capability::CAP_PERFMON);
            (left, back.is_err())
        });
        let (left, refused) = done.join().expect("a thread");
        assert!(refused);
        assert!(left[..2].iter().all(|set| !set.contains(&Capability::CAP_PERFMON)), "{left:?}");
        assert!(WITHIN_REACH.iter().all(|right| !left[0].contains(right)), "{left:?}");
        assert!(left[2..].iter().all(CapsHashSet::is_empty), "{left:?}");
    }
}
