//! What the tool itself takes.

/// CPU time of this process so far, of all its threads, in user mode and in the kernel, ns (`getrusage`).
pub fn cpu_ns() -> u64 {
    // SAFETY: the structure is plain data, for which zeroes are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: it points to a structure of the right type.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) } != 0 {
        return 0;
    }
    let ns = |t: libc::timeval| t.tv_sec as u64 * 1_000_000_000 + t.tv_usec as u64 * 1_000;
    ns(usage.ru_utime) + ns(usage.ru_stime)
}
