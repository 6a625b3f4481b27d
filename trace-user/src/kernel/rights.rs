//! What a measurement needs of the system, checked before it is begun, so that the answer names what is
//! missing. `trace attach` stops at the first need that is not met; `trace doctor` shows them all.

use std::path::{Path, PathBuf};

use super::lockdown::{self, CONFIDENTIALITY, SECURITY};
use super::namespace::{INITIAL_PID, INITIAL_USER, Place};
use super::{btf, capability};
use crate::failure::{Code, Failure};

/// Where the facts are read, so that tests run on saved trees.
#[derive(Clone, Debug)]
pub struct System {
    /// `/proc`.
    pub proc: PathBuf,
    /// securityfs.
    pub security: PathBuf,
    /// The kernel's own types.
    pub btf: PathBuf,
    /// The id of this process as it knows it itself.
    pub own: u32,
}

impl System {
    /// The one this process runs on, with its types at `btf`.
    pub fn here(btf: &Path) -> System {
        let own = std::process::id();
        System { proc: "/proc".into(), security: SECURITY.into(), btf: btf.into(), own }
    }
}

/// Something that a measurement needs.
#[derive(Debug)]
pub struct Need {
    /// Name.
    pub code: &'static str,
    /// What it is needed for.
    pub purpose: &'static str,
    /// What was found; `None` if it cannot be told and is not held against the system.
    pub found: Result<Option<String>, Failure>,
}

/// All needs, in the order in which they decide the exit code.
pub fn needs(system: &System) -> Vec<Need> {
    let place = Place::read(&system.proc);
    let need = |code, purpose, found| Need { code, purpose, found };
    vec![
        need("capabilities", "to load the probes and attach them", capabilities(&system.proc)),
        need("user namespace", "capabilities must count in the initial one", user(&place)),
        need("PID namespace", "the kernel's events carry ids of the initial one", pid(&place, system.own)),
        need("clock", "the kernel's events carry its own time", clock(&place)),
        need("lockdown", "probes read kernel memory", locked(&system.security)),
        need("kernel types (BTF)", "where the kernel keeps what", types(&system.btf)),
    ]
}

/// Whether everything is there.
///
/// # Errors
/// The first need that is not met: [`Code::NotPermitted`] or [`Code::Kernel`].
pub fn check(system: &System) -> Result<(), Failure> {
    needs(system).into_iter().try_for_each(|need| need.found.map(|_| ()))
}

/// Whether ids here are those that the kernel's events carry.
///
/// # Errors
/// With [`Code::NotPermitted`] in another PID namespace than the initial one.
pub fn check_ids(system: &System) -> Result<(), Failure> {
    pid(&Place::read(&system.proc), system.own).map(|_| ())
}

/// What sampling `/proc` needs: no capability, but a `/proc` that shows this process.
///
/// # Errors
/// If there is none.
pub fn check_samples(system: &System) -> Result<(), Failure> {
    let stat = system.proc.join("self/stat");
    match std::fs::metadata(&stat) {
        Ok(_) => Ok(()),
        Err(e) => Err(Failure::new(
            Code::NotPermitted,
            "there is nothing to sample",
            format!("{}: {e}", stat.display()),
        )
        .fix("mount -t proc proc /proc")),
    }
}

type Found = Result<Option<String>, Failure>;

fn capabilities(proc: &Path) -> Found {
    let status = std::fs::read_to_string(proc.join("self/status")).unwrap_or_default();
    let Some(effective) = capability::effective(&status) else { return Ok(None) };
    let missing = capability::missing(effective);
    if missing.is_empty() {
        return Ok(Some(format!("effective {effective:016x}")));
    }
    let missing: Vec<String> = missing.iter().map(|u| format!("{} ({})", u.capability, u.purpose)).collect();
    let why = format!("it lacks {} (effective capabilities: {effective:016x})", missing.join(" and "));
    Err(Failure::new(Code::NotPermitted, "this process may not trace", why).fix(with_sudo()))
}

fn user(place: &Place) -> Found {
    match place.user {
        None => Ok(None),
        Some(INITIAL_USER) => Ok(Some("the initial one".into())),
        Some(inode) => {
            let why =
                format!("it is in a user namespace (user:[{inode}]), where capabilities open no probes");
            Err(Failure::new(Code::NotPermitted, "this process may not trace", why)
                .fix("run trace as root of the host, outside of rootless containers and unshare --user"))
        }
    }
}

fn pid(place: &Place, own: u32) -> Found {
    let refuse = |why: String| {
        let what = "from inside a PID namespace trace would be blind";
        let fix = "run trace on the host (it sees into containers; trace list shows the ids), or in a \
                   container started with docker run --pid=host (Kubernetes: hostPID: true)";
        Err(Failure::new(Code::NotPermitted, what, why).fix(fix))
    };
    match (place.pid, place.in_proc) {
        (Some(inode), _) if inode != INITIAL_PID => refuse(format!(
            "the kernel's events carry thread ids of the initial namespace (pid:[{INITIAL_PID}]), and this \
             process is in pid:[{inode}], where ids are others"
        )),
        (_, Some(id)) if id == own => Ok(Some("the initial one, and /proc shows its ids".into())),
        (_, Some(id)) => {
            refuse(format!("/proc shows this process, {own}, as {id}: it is of another namespace"))
        }
        (_, None) => refuse(format!("/proc does not show this process, {own}: it is of another namespace")),
    }
}

fn clock(place: &Place) -> Found {
    match place.monotonic_ahead {
        (0, 0) => Ok(Some("that of the kernel".into())),
        (seconds, nanoseconds) => {
            let why = format!(
                "CLOCK_MONOTONIC is {seconds} s and {nanoseconds} ns ahead of the kernel's \
                 (/proc/self/timens_offsets)"
            );
            let what = "from inside a time namespace trace would be blind";
            Err(Failure::new(Code::NotPermitted, what, why).fix("run trace outside of it, on the host"))
        }
    }
}

fn locked(security: &Path) -> Found {
    match lockdown::read(security) {
        Some(mode) if mode == CONFIDENTIALITY => {
            let why = format!("lockdown is {mode} ({}/lockdown)", security.display());
            Err(Failure::new(Code::Kernel, "this kernel lets no probe read its memory", why)
                .fix("boot with lockdown=integrity; check with: cat /sys/kernel/security/lockdown"))
        }
        mode => Ok(mode),
    }
}

fn types(path: &Path) -> Found {
    btf::look_at(path)?;
    Ok(Some(path.display().to_string()))
}

/// The very command, with sudo; by its path, since sudo has a search path of its own.
fn with_sudo() -> String {
    let program =
        std::env::current_exe().map_or_else(|_| "trace".into(), |exe| exe.to_string_lossy().into_owned());
    let arguments = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned());
    let words: Vec<String> = std::iter::once(program).chain(arguments).map(|word| quote(&word)).collect();
    format!("sudo {}", words.join(" "))
}

/// A word for the shell.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(found: Found) -> Option<Code> {
        found.err().map(|failure| failure.code)
    }

    #[test]
    fn a_command_can_be_pasted_into_a_shell() {
        assert_eq!(quote("--pid"), "--pid");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn where_ids_are_not_the_kernels_nothing_is_traced() {
        let place = |pid, in_proc| Place { pid, in_proc, ..Place::default() };
        assert_eq!(code(pid(&place(Some(INITIAL_PID), Some(7)), 7)), None);
        // A kernel without PID namespaces.
        assert_eq!(code(pid(&place(None, Some(7)), 7)), None);
        // A namespace with its own /proc, one with the host's, and a foreign /proc in the initial one.
        for place in [
            place(Some(4_026_532_178), Some(7)),
            place(Some(4_026_532_178), Some(4711)),
            place(Some(INITIAL_PID), None),
            place(Some(INITIAL_PID), Some(4711)),
        ] {
            assert_eq!(code(pid(&place, 7)), Some(Code::NotPermitted), "{place:?}");
        }
    }

    #[test]
    fn another_clock_and_another_user_namespace_are_refused() {
        let place = Place { monotonic_ahead: (-1, 0), user: Some(4_026_532_179), ..Place::default() };
        assert_eq!(code(clock(&place)), Some(Code::NotPermitted));
        assert_eq!(code(user(&place)), Some(Code::NotPermitted));
        assert_eq!(code(clock(&Place::default())), None);
        assert_eq!(code(user(&Place { user: Some(INITIAL_USER), ..Place::default() })), None);
    }

    #[test]
    fn lockdown_confidentiality_is_what_the_kernel_cannot() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(matches!(locked(dir.path()), Ok(None)));
        let file = dir.path().join("lockdown");
        std::fs::write(&file, "none [integrity] confidentiality\n").expect("written");
        assert!(matches!(locked(dir.path()), Ok(Some(mode)) if mode == "integrity"));
        std::fs::write(&file, "none integrity [confidentiality]\n").expect("written");
        assert_eq!(code(locked(dir.path())), Some(Code::Kernel));
    }
}
