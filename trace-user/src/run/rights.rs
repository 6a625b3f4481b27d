//! What a run needs of the system, checked before it is used, so that the answer names what is missing.

use std::fs::File;
use std::path::Path;

use crate::failure::{Code, Failure};

/// Bits of `CapEff`, `include/uapi/linux/capability.h`.
const CAP_SYS_ADMIN: u32 = 21;
/// What loading and attaching tracing programs takes since Linux 5.8, each with what it is for.
const NEEDED: [(u32, &str, &str); 2] =
    [(39, "CAP_BPF", "to load the probes"), (38, "CAP_PERFMON", "to attach them to kernel events")];

/// Whether this process may load the probes.
///
/// # Errors
/// With [`Code::NotPermitted`], naming what is missing.
pub fn check(proc: &Path) -> Result<(), Failure> {
    let status = std::fs::read_to_string(proc.join("self/status")).unwrap_or_default();
    let Some(effective) = effective(&status) else { return Ok(()) };
    let missing = missing(effective);
    if missing.is_empty() {
        return Ok(());
    }
    let why = format!("it lacks {} (effective capabilities: {effective:016x})", missing.join(" and "));
    Err(Failure::new(Code::NotPermitted, "this process may not trace", why).fix(with_sudo()))
}

/// Whether the kernel's types can be read.
///
/// # Errors
/// With [`Code::Kernel`]: without them no probe knows where the kernel keeps what.
pub fn check_btf(path: &Path) -> Result<(), Failure> {
    let why = match File::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_dir() => "it is a directory".to_owned(),
        Ok(_) => return Ok(()),
        Err(e) => e.to_string(),
    };
    let what = format!("the kernel's types (BTF) cannot be read from {}", path.display());
    Err(Failure::new(Code::Kernel, what, why)
        .fix("a kernel built with CONFIG_DEBUG_INFO_BTF=y; check with: ls -l /sys/kernel/btf/vmlinux"))
}

fn effective(status: &str) -> Option<u64> {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

fn missing(effective: u64) -> Vec<String> {
    let has = |bit: u32| effective & (1 << bit) != 0;
    if has(CAP_SYS_ADMIN) {
        return Vec::new();
    }
    NEEDED.into_iter().filter(|n| !has(n.0)).map(|(_, name, purpose)| format!("{name} ({purpose})")).collect()
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

    #[test]
    fn missing_capabilities_are_named() {
        assert_eq!(missing(1 << 21), [""; 0]);
        assert_eq!(missing(1 << 38 | 1 << 39), [""; 0]);
        assert_eq!(missing(1 << 38), ["CAP_BPF (to load the probes)"]);
        assert_eq!(missing(0).len(), 2);
        assert_eq!(effective("Name:\tx\nCapEff:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
    }

    #[test]
    fn a_command_can_be_pasted_into_a_shell() {
        assert_eq!(quote("--pid"), "--pid");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
