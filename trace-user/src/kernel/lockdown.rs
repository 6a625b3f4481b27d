//! The kernel's lockdown mode.

use std::path::Path;

/// Where securityfs is mounted.
pub const SECURITY: &str = "/sys/kernel/security";
/// The mode that keeps even root from reading kernel memory (`security/lockdown`,
/// `LOCKDOWN_BPF_READ_KERNEL`).
pub const CONFIDENTIALITY: &str = "confidentiality";

/// The mode in force, from the securityfs at `root`; `None` if it cannot be read.
pub fn read(root: &Path) -> Option<String> {
    parse(&std::fs::read_to_string(root.join("lockdown")).ok()?)
}

/// `none [integrity] confidentiality`: the one in brackets.
fn parse(text: &str) -> Option<String> {
    let mode = text.split_whitespace().find_map(|mode| mode.strip_prefix('[')?.strip_suffix(']'))?;
    Some(mode.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_in_brackets_is_in_force() {
        assert_eq!(parse("none [integrity] confidentiality\n").as_deref(), Some("integrity"));
        assert_eq!(parse("none integrity [confidentiality]\n").as_deref(), Some(CONFIDENTIALITY));
        assert_eq!(parse("[none] integrity confidentiality").as_deref(), Some("none"));
        assert_eq!(parse("none\n"), None);
    }
}
