//! SIGINT, SIGTERM and SIGHUP: the first ends the window, a second ends the program at once.
//!
//! A second one must work whatever the program is doing, also while it writes a report, and must leave no
//! partial file. So the handler itself takes the files away: unlink, write, kill and _exit are async-signal-safe
//! (signal-safety(7)).
//!
//! While a command of `trace run` lives, they are its: one from the terminal has reached it already, and the handler
//! passes on what somebody sent to trace.

use std::ffi::{CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};

use super::line::ERASE;
use crate::failure::{Code, Failure};

/// Signals that mean: enough.
const SIGNALS: [c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];
/// Files that can be watched over at once.
pub const MAX_PARTIAL: usize = 64;
/// Signals this close together are one request: timeout(1) signals its child and then the child's whole
/// group.
const SAME_REQUEST_NS: u64 = 20_000_000;

/// When the first signal came; 0 before.
static FIRST_AT: AtomicU64 = AtomicU64::new(0);
/// Paths of files that are not complete.
static PARTIAL: [AtomicPtr<c_char>; MAX_PARTIAL] = [const { AtomicPtr::new(null_mut()) }; MAX_PARTIAL];

/// Whether a line of stderr is to be erased before an abrupt end.
static LINE: AtomicBool = AtomicBool::new(false);

/// The command that signals are for; 0: none.
static COMMAND: AtomicI32 = AtomicI32::new(0);

/// Says which child signals are for, if any; it may not have been waited for.
pub fn command(pid: Option<u32>) {
    COMMAND.store(pid.and_then(|pid| c_int::try_from(pid).ok()).unwrap_or(0), Ordering::Relaxed);
}

/// Says whether a line of stderr is to be erased before an abrupt end.
pub fn erase_line(shown: bool) {
    LINE.store(shown, Ordering::Relaxed);
}

/// Whether a signal came.
pub fn came() -> bool {
    FIRST_AT.load(Ordering::Relaxed) != 0
}

/// Installs the handler. A SIGHUP that the caller has us ignore (nohup) stays ignored.
///
/// # Errors
/// If the kernel refuses.
pub fn install() -> Result<(), Failure> {
    for signal in SIGNALS {
        // SAFETY: both actions are plain data, zeroed where nothing is set, and the handler has the required
        // signature and calls only async-signal-safe functions.
        let result = unsafe {
            let mut old: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &mut old);
            if signal == libc::SIGHUP && old.sa_sigaction == libc::SIG_IGN {
                continue;
            }
            let mut new: libc::sigaction = std::mem::zeroed();
            new.sa_sigaction = on_signal as *const () as libc::sighandler_t;
            // Waits in poll end by a signal all the same (signal(7)); reads and writes go on.
            new.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
            libc::sigaction(signal, &new, null_mut())
        };
        if result != 0 {
            let e = std::io::Error::last_os_error();
            return Err(Failure::internal("cannot handle interrupts", e));
        }
    }
    Ok(())
}

extern "C" fn on_signal(signal: c_int, info: *const libc::siginfo_t, _context: *const c_void) {
    let command = COMMAND.load(Ordering::Relaxed);
    if command != 0 {
        // SAFETY: the kernel hands over a valid one (SA_SIGINFO). Positive: sent by the kernel, to a terminal's group.
        if unsafe { (*info).si_code } > 0 {
            return;
        }
        // SAFETY: a child that was not waited for still has its id.
        unsafe { libc::kill(command, signal) };
    }
    let now = now_ns();
    let first = FIRST_AT.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    match first {
        Ok(_) => {}
        Err(at) if now.saturating_sub(at) < SAME_REQUEST_NS => {}
        Err(_) => {
            for slot in &PARTIAL {
                let path = slot.load(Ordering::Acquire);
                if !path.is_null() {
                    // SAFETY: a path in the table is a C string that is never freed.
                    unsafe { libc::unlink(path) };
                }
            }
            if LINE.load(Ordering::Relaxed) {
                // SAFETY: the bytes are static; write is async-signal-safe.
                unsafe { libc::write(libc::STDERR_FILENO, ERASE.as_ptr().cast(), ERASE.len()) };
            }
            // SAFETY: ends the process; nothing of it is used after.
            unsafe { libc::_exit(Code::Interrupted as c_int) }
        }
    }
}

fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for writing.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Takes a file away if a second interrupt comes before this is dropped.
#[derive(Debug)]
pub struct Watch(Option<usize>);

impl Watch {
    /// Watches over `path`; does nothing beyond [`MAX_PARTIAL`] files.
    pub fn over(path: &Path) -> Watch {
        let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return Watch(None) };
        // Leaked: the handler may be reading it at any time. There are few files in the life of a run.
        let path = path.into_raw();
        let free = |slot: &AtomicPtr<c_char>| {
            slot.compare_exchange(null_mut(), path, Ordering::Release, Ordering::Relaxed).is_ok()
        };
        Watch(PARTIAL.iter().position(free))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(i) = self.0 {
            PARTIAL[i].store(null_mut(), Ordering::Release);
        }
    }
}
