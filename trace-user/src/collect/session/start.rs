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
    let denied = {
        let mut source: Option<&dyn std::error::Error> = Some(&e);
        let mut found = false;
        while let Some(error) = source {
            found |= error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error)
                == Some(libc::EPERM);
            source = error.source();
        }
        found
    };
    let denied = denied || permitted::is_loading_forbidden();
    let detail = format!("{:?}", anyhow::Error::from(e));
    let why = detail.lines().next().unwrap_or_default().to_owned();
    if denied {
        return Failure::new(Code::NotPermitted, "the kernel does not permit the probes", why)
            .fix("sudo, or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE; check: cat /sys/kernel/security/lockdown")
            .detail(detail);
    }
    Failure::new(Code::Kernel, "the kernel refused the probes", why)
        .fix("a kernel from 6.1 on; -vv shows the verifier's log")
        .detail(detail)
}
