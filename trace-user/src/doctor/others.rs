//! Other tracers at work: each costs the target something, and one that stops it waits in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use aya::programs::{ProgramError, loaded_programs};

use super::{Check, Section, Status};
use crate::report::unit;

/// Types of programs that run on events of the kernel or of processes (`enum bpf_prog_type`,
/// `include/uapi/linux/bpf.h`).
const TRACING: [(u32, &str); 6] = [
    (2, "kprobe"),
    (5, "tracepoint"),
    (7, "perf_event"),
    (17, "raw_tracepoint"),
    (24, "raw_tracepoint_writable"),
    (26, "tracing"),
];
/// Where tracefs is mounted, now and before 4.1.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
/// How long a program may take to go after its last holder did: a grace period of RCU, 150 to 250 ms here.
const DYING: Duration = Duration::from_millis(600);
/// Between two looks at them.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Things that are named one by one.
const NAMED: usize = 8;

/// Id, type and name of a program.
type Program = (u32, &'static str, String);

/// BPF programs, ftrace, and processes that are traced by ptrace.
pub fn checks(proc: &Path, own: u32) -> Vec<Check> {
    vec![programs(proc), ftrace(TRACEFS.map(Path::new)), ptrace(proc, own)]
}

fn check(code: &str, status: Status, found: impl Into<String>) -> Check {
    Check::new(Section::Others, code, status, found)
}

fn programs(proc: &Path) -> Check {
    let code = "BPF programs";
    match settled(proc) {
        Err(e) => {
            check(code, Status::Unknown, format!("they may not be listed: {e}")).fix("run trace with sudo")
        }
        Ok((programs, _)) if programs.is_empty() => check(code, Status::Pass, "none of a tracing type"),
        Ok((programs, holders)) => {
            let mut by_holder: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for (id, kind, name) in &programs {
                let holder = holders.get(id).map_or("no process that is seen here", String::as_str);
                by_holder.entry(holder).or_default().push(format!("{name} ({kind})"));
            }
            let text: Vec<String> =
                by_holder.iter().map(|(holder, names)| format!("{holder}: {}", some(names))).collect();
            let number = unit::plural(programs.len() as u64, "program", "programs");
            check(code, Status::Warn, format!("{number} of tracing types: {}", text.join("; ")))
                .lost("events that others trace, too, take longer, and look like the target's own time")
        }
    }
}

/// Programs and who holds them. The kernel takes a while to free those that nobody holds any more: a run of
/// `trace` that has just ended is not at work.
fn settled(proc: &Path) -> io::Result<(Vec<Program>, BTreeMap<u32, String>)> {
    let deadline = Instant::now() + DYING;
    loop {
        let programs = tracing_programs()?;
        let holders = if programs.is_empty() { BTreeMap::new() } else { holders(proc) };
        if programs.iter().all(|(id, ..)| holders.contains_key(id)) || Instant::now() >= deadline {
            return Ok((programs, holders));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn tracing_programs() -> io::Result<Vec<Program>> {
    let mut found = Vec::new();
    for program in loaded_programs() {
        let program = match program {
            Ok(program) => program,
            // It ended while we looked.
            Err(e) if errno(&e) == Some(libc::ENOENT) => continue,
            Err(e) => return Err(errno(&e).map_or_else(|| io::Error::other(e), io::Error::from_raw_os_error)),
        };
        let kind = program.program_type() as u32;
        if let Some((_, kind)) = TRACING.iter().find(|(number, _)| *number == kind) {
            found.push((program.id(), *kind, String::from_utf8_lossy(program.name()).into_owned()));
        }
    }
    Ok(found)
}

fn errno(e: &ProgramError) -> Option<i32> {
    let mut source: Option<&dyn std::error::Error> = Some(e);
    while let Some(error) = source {
        if let Some(e) = error.downcast_ref::<io::Error>() {
            return e.raw_os_error();
        }
        source = error.source();
    }
    None
}

/// Who holds a descriptor of a program, or of its link.
fn holders(proc: &Path) -> BTreeMap<u32, String> {
    let mut holders = BTreeMap::new();
    for pid in numbers(proc) {
        for fd in numbers(&proc.join(format!("{pid}/fd"))) {
            let link = std::fs::read_link(proc.join(format!("{pid}/fd/{fd}"))).unwrap_or_default();
            if !link.to_string_lossy().starts_with("anon_inode:bpf") {
                continue;
            }
            let text = std::fs::read_to_string(proc.join(format!("{pid}/fdinfo/{fd}"))).unwrap_or_default();
            if let Some(id) = value(&text, "prog_id:").and_then(|id| id.parse().ok()) {
                holders.entry(id).or_insert_with(|| label(proc, pid));
            }
        }
    }
    holders
}

fn ftrace(roots: [&Path; 2]) -> Check {
    let code = "ftrace";
    let Some(root) = roots.into_iter().find(|root| root.join("current_tracer").exists()) else {
        let found = format!("{}/current_tracer cannot be seen", roots[0].display());
        return check(code, Status::Unknown, found)
            .fix("run trace with sudo; mount -t tracefs none /sys/kernel/tracing");
    };
    let read = |file: &str| std::fs::read_to_string(root.join(file));
    let (tracer, events) = match (read("current_tracer"), read("set_event")) {
        (Ok(tracer), Ok(events)) => (tracer, events),
        (Err(e), _) | (_, Err(e)) => {
            return check(code, Status::Unknown, format!("{} cannot be read: {e}", root.display()))
                .fix("run trace with sudo");
        }
    };
    let (tracer, events) = (tracer.trim(), events.lines().map(str::to_owned).collect::<Vec<_>>());
    if tracer == "nop" && events.is_empty() {
        return check(code, Status::Pass, "off: no tracer, no event");
    }
    check(code, Status::Warn, format!("tracer {tracer}, {} events: {}", events.len(), some(&events)))
        .lost("what it traces takes longer, and looks like the target's own time")
        .fix(format!("echo nop > {0}/current_tracer; echo > {0}/set_event", root.display()))
}

fn ptrace(proc: &Path, own: u32) -> Check {
    let code = "ptrace";
    let traced: Vec<String> = numbers(proc).into_iter().filter_map(|pid| traced(proc, pid, own)).collect();
    if traced.is_empty() {
        return check(code, Status::Pass, "no process is traced by another");
    }
    check(code, Status::Warn, some(&traced))
        .lost("the waits of such a process are its tracer's (strace, gdb), and so are its EAGAINs")
        .fix("end the debugger or strace before attaching to that process")
}

fn traced(proc: &Path, pid: u32, own: u32) -> Option<String> {
    let status = std::fs::read(proc.join(format!("{pid}/status"))).ok()?;
    let tracer: u32 = value(&String::from_utf8_lossy(&status), "TracerPid:")?.parse().ok()?;
    let whose = if pid == own { "trace itself".to_owned() } else { label(proc, pid) };
    (tracer != 0).then(|| format!("{whose} by {}", label(proc, tracer)))
}

/// `name (pid 4711)`.
fn label(proc: &Path, pid: u32) -> String {
    let comm = std::fs::read(proc.join(format!("{pid}/comm"))).unwrap_or_default();
    format!("{} (pid {pid})", String::from_utf8_lossy(&comm).trim_end_matches('\n'))
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
}

/// Entries of a directory that are numbers, in order.
fn numbers(path: &Path) -> BTreeSet<u32> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

/// The first of them, and how many more there are.
fn some(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("written");
    }

    #[test]
    fn ftrace_at_work_is_a_warning() {
        let dir = tempfile::tempdir().expect("a directory");
        let look = || ftrace([dir.path(), Path::new("/nonexistent")]);
        assert_eq!(look().status, Status::Unknown);
        write(dir.path(), "current_tracer", "nop\n");
        write(dir.path(), "set_event", "");
        assert_eq!(look().status, Status::Pass);
        write(dir.path(), "set_event", "sched:sched_switch\n");
        let check = look();
        assert_eq!(check.status, Status::Warn);
        assert!(check.found.contains("sched:sched_switch"), "{check:?}");
    }

    #[test]
    fn a_process_under_strace_is_named_with_its_tracer() {
        let dir = tempfile::tempdir().expect("a directory");
        write(dir.path(), "7/status", "Name:\tredis\nTracerPid:\t0\n");
        assert_eq!(ptrace(dir.path(), 1).status, Status::Pass);
        write(dir.path(), "7/status", "Name:\tredis\nTracerPid:\t9\n");
        write(dir.path(), "7/comm", "redis\n");
        write(dir.path(), "9/comm", "strace\n");
        assert_eq!(ptrace(dir.path(), 1).found, "redis (pid 7) by strace (pid 9)");
    }
}
