//! Memory of a process, as `/proc` has it.

use std::fs;

/// Memory in core, KiB; none when the process has ended.
pub fn resident_kib(pid: u32) -> Option<u64> {
    status_kib(pid, "VmRSS:")
}

/// Most memory in core that the process has had so far but for the pages of its executable, KiB: those are the page cache's,
/// and what is built for tests has many. None when it has ended.
pub fn own_high_water_kib(pid: u32) -> Option<u64> {
    let code = executable_kib(pid)?;
    Some(status_kib(pid, "VmHWM:")?.saturating_sub(code))
}

fn status_kib(pid: u32, key: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    kib(status.lines().find_map(|line| line.strip_prefix(key))?)
}

/// Pages of its executable in core: mappings that end with its path, each with its `Rss:` among the lines below.
fn executable_kib(pid: u32) -> Option<u64> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let path = format!(" {}", path.display());
    let mappings = fs::read_to_string(format!("/proc/{pid}/smaps")).ok()?;
    let (mut sum, mut is_code) = (0, false);
    for line in mappings.lines() {
        match line.strip_prefix("Rss:") {
            Some(value) if is_code => sum += kib(value)?,
            Some(_) => {}
            None if line
                .starts_with(|first: char| first.is_ascii_hexdigit() && !first.is_ascii_uppercase()) =>
            {
                is_code = line.ends_with(&path);
            }
            None => {}
        }
    }
    Some(sum)
}

fn kib(value: &str) -> Option<u64> {
    value.split_whitespace().next()?.parse().ok()
}
