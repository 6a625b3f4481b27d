//! A command that is started to be traced: forked, stopped at the end of its exec, and let go when the window is open,
//! so that its first instruction is seen, and nothing of trace's own before it.
//!
//! ptrace(2) holds it, and for nothing else: it is detached from before it runs, so that it may be traced by others, and
//! nothing of ptrace slows it down.

mod child;
pub mod user;

use std::ffi::{OsString, c_int, c_void};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::ptr::null_mut;

use crate::failure::{Code, Failure};
use child::{Child, Step};
use user::User;

/// A command, from its exec on. Dropping it before it was released ends it.
#[derive(Debug)]
pub struct Command {
    pid: libc::pid_t,
    released: bool,
    status: Option<ExitStatus>,
}

impl Command {
    /// Starts `words` as `user`, or as whoever runs trace, and holds it before its first instruction. The process may
    /// have no other thread.
    ///
    /// # Errors
    /// With [`Code::Usage`] if it cannot be executed, with [`Code::NotPermitted`] if it cannot be held.
    pub fn hold(words: &[OsString], user: Option<User>) -> Result<Command, Failure> {
        let name = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        let cannot = |code, why: String| Failure::new(code, format!("cannot run {name}"), why);
        let child = Child::new(words, user)
            .ok_or_else(|| cannot(Code::Usage, "a word of it has a 0 byte, or it has no words".into()))?;
        let (mut failed, failing) = io::pipe().map_err(|e| cannot(Code::Internal, e.to_string()))?;
        // SAFETY: this process has one thread, as its caller promises.
        let pid = unsafe { libc::fork() };
        match pid {
            -1 => return Err(cannot(Code::Internal, io::Error::last_os_error().to_string())),
            // SAFETY: this is the child, just forked.
            0 => unsafe { child.run(failing.as_raw_fd()) },
            _ => {}
        }
        drop(failing);
        let mut command = Command { pid, released: false, status: None };
        if command.reach_exec().map_err(|e| cannot(Code::Internal, e.to_string()))? {
            return Ok(command);
        }
        let mut told = [0; 8];
        match failed.read_exact(&mut told) {
            Ok(()) => Err(not_started(&name, told)),
            Err(_) => {
                Err(cannot(Code::NoTarget, format!("it ended before its exec: it {}", command.outcome())))
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// From the stop after its fork to that in its exec. `false`: it ended instead.
    fn reach_exec(&mut self) -> io::Result<bool> {
        let mut began = false;
        loop {
            let status = self.wait_for(0)?.unwrap_or(0);
            if !libc::WIFSTOPPED(status) {
                self.status = Some(ExitStatus::from_raw(status));
                return Ok(false);
            }
            if status >> 8 == libc::SIGTRAP | (libc::PTRACE_EVENT_EXEC << 8) {
                return Ok(true);
            }
            let signal = match libc::WSTOPSIG(status) {
                libc::SIGSTOP if !began => 0,
                // Somebody else sent it: it is the command's.
                signal => signal,
            };
            if !std::mem::replace(&mut began, true) {
                // EXITKILL: should this process end before it lets go, the command, which has done nothing yet, does, too.
                let options = libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_EXITKILL;
                self.ptrace(libc::PTRACE_SETOPTIONS, options as usize)?;
            }
            self.ptrace(libc::PTRACE_CONT, signal as usize)?;
        }
    }

    /// Lets it go: from now on nobody traces it but the probes.
    ///
    /// # Errors
    /// If it has ended: somebody killed it.
    pub fn release(&mut self) -> io::Result<()> {
        self.ptrace(libc::PTRACE_DETACH, 0)?;
        self.released = true;
        Ok(())
    }

    /// How it ended; `None` as long as it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.reap(libc::WNOHANG)
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Option<ExitStatus> {
        self.reap(0)
    }

    fn reap(&mut self, flags: c_int) -> Option<ExitStatus> {
        if self.status.is_none() {
            // An error means that there is nothing to wait for (any more).
            self.status = self.wait_for(flags).ok().flatten().map(ExitStatus::from_raw);
        }
        self.status
    }

    /// `None`: nothing to tell yet.
    fn wait_for(&self, flags: c_int) -> io::Result<Option<c_int>> {
        let mut status = 0;
        loop {
            // SAFETY: `status` may be written.
            match unsafe { libc::waitpid(self.pid, &mut status, flags) } {
                0 => return Ok(None),
                -1 => {
                    let e = io::Error::last_os_error();
                    if e.kind() != io::ErrorKind::Interrupted {
                        return Err(e);
                    }
                }
                _ => return Ok(Some(status)),
            }
        }
    }

    fn ptrace(&self, request: libc::c_uint, data: usize) -> io::Result<()> {
        // SAFETY: these requests take numbers.
        let result = unsafe { libc::ptrace(request, self.pid, null_mut::<c_void>(), data as *mut c_void) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// How it ended, in words that follow its name.
    pub fn outcome(&self) -> String {
        self.status.map_or_else(|| "is still running".to_owned(), outcome)
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        if !self.released && self.status.is_none() {
            // SAFETY: a child that was not waited for still has its id.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
            self.wait();
        }
    }
}

/// What the child told of itself when it could not become the command.
fn not_started(name: &str, told: [u8; 8]) -> Failure {
    let [step, errno] = [0, 4].map(|at| c_int::from_ne_bytes([0, 1, 2, 3].map(|i| told[at + i])));
    let e = io::Error::from_raw_os_error(errno);
    let cannot = |code, why: String| Failure::new(code, format!("cannot run {name}"), why);
    if step == Step::Hold as c_int {
        return cannot(
            Code::NotPermitted,
            format!("it cannot be held by ptrace until the probes are there: {e}"),
        )
        .fix("trace attach, once it runs; check with: cat /proc/sys/kernel/yama/ptrace_scope");
    }
    if step == Step::Become as c_int {
        return cannot(Code::NotPermitted, format!("it cannot run as the user who called sudo: {e}"))
            .fix("--as-root, if it may run as root");
    }
    cannot(Code::Usage, e.to_string()).fix(format!("check with: command -v {name}"))
}

/// How a command ended, in words that follow its name.
pub fn outcome(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exited with status {code}"),
        None => format!("was killed by {}", status.to_string().replacen(": ", " ", 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_child_tells_has_its_own_exit_code() {
        let code = |step: Step| {
            let told = [step as i32, libc::EPERM].map(c_int::to_ne_bytes).concat();
            not_started("x", told.try_into().expect("eight bytes")).code
        };
        assert_eq!(
            [Step::Hold, Step::Become, Step::Exec].map(code),
            [Code::NotPermitted, Code::NotPermitted, Code::Usage]
        );
    }

    #[test]
    fn an_outcome_is_in_words() {
        let of = |raw| outcome(ExitStatus::from_raw(raw));
        assert_eq!(of(0), "exited with status 0");
        assert_eq!(of(3 << 8), "exited with status 3");
        assert_eq!(of(libc::SIGSEGV | 0x80), "was killed by signal 11 (SIGSEGV) (core dumped)");
    }
}
