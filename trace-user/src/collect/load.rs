//! Loads the object into the kernel and attaches its programs.

use std::path::Path;

use crate::kernel::btf::Facts;
use aya::{Btf, Ebpf, EbpfLoader, programs::BtfTracePoint};

/// The hooks, in the order in which they are attached: the scheduler first, then exits, then entries, so that nothing
/// that begins under trace ends unseen; one gate opens last.
pub const HOOKS: [&str; 9] = [
    "sched_process_exit",
    "sched_process_exec",
    "task_newtask",
    "sched_waking",
    "sched_switch",
    "sys_exit",
    "sock_recv_length",
    "skb_copy_datagram_iovec",
    "sys_enter",
];

/// Hooks whose absence costs figures but not the run, with what is lost.
const OPTIONAL: [(&str, &str); 2] = [
    ("sock_recv_length", "receives are resolved by descriptor (kernel before 6.3)"),
    ("skb_copy_datagram_iovec", "no first-byte event: every copy is an upper bound"),
];

/// How large the maps are made.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Length of the table of thread ids: `pid_max`.
    pub pid_max: u32,
    /// Records of threads.
    pub slots: u32,
}

/// Why the probes could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The object itself is unusable.
    #[error("the probe object cannot be loaded: {0}")]
    Object(#[from] aya::EbpfError),
    /// The kernel's types are unusable for the loader.
    #[error("the kernel's BTF cannot be used: {0}")]
    Btf(#[from] aya::BtfError),
    /// The kernel refused a program.
    #[error("the kernel refused hook {hook}: {source}")]
    Refused {
        /// The hook.
        hook: &'static str,
        /// Its answer.
        source: aya::programs::ProgramError,
    },
    /// The object has no such program.
    #[error("the probe object has no program {0}")]
    NoProgram(&'static str),
}

/// The probes, attached but with the gate shut. Dropping it detaches and frees everything.
pub struct Probes {
    /// Maps and programs.
    pub ebpf: Ebpf,
    /// Hooks that are not there, and what is lost by it.
    pub degraded: Vec<(&'static str, &'static str)>,
}

/// Loads `object` and attaches all of its hooks.
///
/// # Errors
/// If the kernel refuses the object, or a hook that nothing can replace.
pub fn load(object: &[u8], btf_path: &Path, facts: &Facts, sizes: Sizes) -> Result<Probes, LoadError> {
    let (mut ebpf, btf) = open(object, btf_path, facts, sizes)?;
    let mut degraded = Vec::new();
    for hook in HOOKS {
        degraded.extend(attach(&mut ebpf, &btf, facts, hook)?);
    }
    Ok(Probes { ebpf, degraded })
}

/// Makes the maps of `object`; no program is loaded yet.
///
/// # Errors
/// If the kernel refuses a map, or its types cannot be used.
pub fn open(object: &[u8], btf_path: &Path, facts: &Facts, sizes: Sizes) -> Result<(Ebpf, Btf), LoadError> {
    let words = facts.offsets.words();
    let btf = Btf::parse_file(btf_path, aya::Endianness::default())?;
    let ebpf = EbpfLoader::new()
        .btf(Some(&btf))
        .override_global("OFFSETS", &words[..], true)
        .map_max_entries("TID_SLOT", sizes.pid_max)
        .map_max_entries("SLOTS", sizes.slots)
        .map_max_entries("FREE_SLOTS", sizes.slots)
        .load(object)?;
    Ok((ebpf, btf))
}

/// Loads and attaches one hook; returns it and what is lost if this kernel does not have it and need not.
///
/// # Errors
/// If the kernel refuses it, or it is missing and nothing can replace it.
pub fn attach(
    ebpf: &mut Ebpf,
    btf: &Btf,
    facts: &Facts,
    hook: &'static str,
) -> Result<Option<(&'static str, &'static str)>, LoadError> {
    let optional = OPTIONAL.iter().find(|(name, _)| *name == hook);
    if let (Some(lost), false) = (optional, facts.tracepoints.contains(hook)) {
        return Ok(Some(*lost));
    }
    let program = ebpf.program_mut(hook).ok_or(LoadError::NoProgram(hook))?;
    let program: &mut BtfTracePoint =
        program.try_into().map_err(|source| LoadError::Refused { hook, source })?;
    program
        .load(hook, btf)
        .and_then(|()| program.attach().map(|_| ()))
        .map_err(|source| LoadError::Refused { hook, source })?;
    Ok(None)
}
