//! The probes, loaded for a session, or why they cannot be.

use super::super::load::{self, LoadError, Probes, Sizes};
use super::super::program::Way;
use super::super::{Options, census, permitted};
use crate::failure::{Code, Failure};
use crate::kernel::btf::Facts;
use crate::kernel::proc::Proc;

/// Loads and attaches them, with room for the threads of the target.
pub(super) fn probes(options: &Options, way: Way, object: &[u8], proc: &Proc) -> Result<Probes, Failure> {
    let (facts, sizes, loader) = std::thread::scope(|scope| {
        let loader = scope.spawn(load::loader);
        let facts = Facts::read(&options.btf, load::tracepoints());
        let sizes = sizes(options, proc);
        (facts, sizes, loader.join().unwrap_or_else(|_| load::loader()))
    });
    let facts = facts?;
    let probes = load::load(loader, object, way, &facts, sizes, options.tier, &options.faults.without)
        .map_err(refused);
    give_back();
    probes
}

/// Room for the threads of the target.
fn sizes(options: &Options, proc: &Proc) -> Sizes {
    let pids = census::tree(proc, options).into_keys().collect();
    Sizes { timeline: options.timeline.is_some(), ..Sizes::of(proc, &pids) }
        .limited(options.faults.map_entries)
}

/// Gives freed memory back to the system: the kernel's types are large and needed only at the start.
fn give_back() {
    // SAFETY: no preconditions.
    unsafe { libc::malloc_trim(0) };
}

pub fn refused(e: LoadError) -> Failure {
    let e = anyhow::Error::from(e);
    let errno = errno(&e);
    let denied = errno == Some(libc::EPERM) || permitted::is_loading_forbidden();
    let detail = format!("{e:?}");
    let mut why = detail.lines().next().unwrap_or_default().to_owned();
    if errno.is_some() {
        let answer = e.root_cause().to_string();
        // Some of the loader's messages end with the kernel's answer, others leave it to their cause.
        why += &if why.contains(&answer) { String::new() } else { format!(": {answer}") };
    }
    let (code, what, fix) = if denied {
        let fix =
            "sudo, or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE; check: cat /sys/kernel/security/lockdown";
        (Code::NotPermitted, "the kernel does not permit the probes", fix)
    } else if errno == Some(libc::ENOMEM) {
        let fix = "a control group that may have more memory; which one this is: cat /proc/self/cgroup";
        (Code::Kernel, "the kernel has no memory for the probes", fix)
    } else {
        let fix = "a kernel from 6.1 on, not under lockdown=confidentiality; -vv shows the verifier's log";
        (Code::Kernel, "the kernel refused the probes", fix)
    };
    Failure::new(code, what, why).fix(fix).detail(detail)
}

/// What the kernel answered to the call that failed, if it was a call.
pub(super) fn errno(e: &anyhow::Error) -> Option<i32> {
    e.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>()?.raw_os_error())
}
