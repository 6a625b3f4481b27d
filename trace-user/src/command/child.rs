//! The child's side of starting a command, from fork to exec.
//!
//! All that allocates is done before the fork: the child only makes system calls.

use std::ffi::{CString, OsString, c_char, c_int};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt as _;
use std::ptr::{null, null_mut};

use super::user::User;

/// Everything that the child needs.
pub struct Child {
    user: Option<User>,
    arguments: Strings,
    environment: Strings,
}

/// A list of strings as exec wants it.
struct Strings {
    pointers: Vec<*const c_char>,
    _texts: Vec<CString>,
}

impl Strings {
    fn new(texts: impl Iterator<Item = OsString>) -> Option<Strings> {
        let texts = texts.map(|text| CString::new(text.into_vec()).ok()).collect::<Option<Vec<_>>>()?;
        let pointers = texts.iter().map(|text| text.as_ptr()).chain([null()]).collect();
        Some(Strings { pointers, _texts: texts })
    }
}

impl Child {
    /// `command` with its arguments, as `user` if there is one. `None` if there is a 0 byte in a string, or no command.
    pub fn new(command: &[OsString], user: Option<User>) -> Option<Child> {
        let join = |(mut name, value): (OsString, OsString)| {
            name.push("=");
            name.push(value);
            name
        };
        let environment: Vec<(OsString, OsString)> = match &user {
            Some(user) => user.environment(std::env::vars_os()),
            None => std::env::vars_os().collect(),
        };
        Some(Child {
            user,
            arguments: Strings::new(command.iter().cloned()).filter(|_| !command.is_empty())?,
            environment: Strings::new(environment.into_iter().map(join))?,
        })
    }

    /// Stops for the tracer, and becomes the command. What fails is written to `failed`: a [`Step`], and an errno.
    ///
    /// # Safety
    /// To be called in a process that was just forked and has one thread.
    pub unsafe fn run(&self, failed: RawFd) -> ! {
        // SAFETY: system calls, in a process of one thread, with memory that was prepared before the fork.
        unsafe {
            let step = self.exec();
            let told = [step as i32, *libc::__errno_location()];
            libc::write(failed, told.as_ptr().cast(), size_of_val(&told));
            libc::_exit(NOT_FOUND)
        }
    }

    /// Returns only if a step fails.
    ///
    /// # Safety
    /// See [`Child::run`].
    unsafe fn exec(&self) -> Step {
        // SAFETY: as above.
        unsafe {
            default_signals();
            // First of all: the tracer may trace whoever asks for it, also when that one is no longer root.
            if libc::ptrace(libc::PTRACE_TRACEME, 0, null_mut::<u8>(), null_mut::<u8>()) != 0 {
                return Step::Hold;
            }
            if let Some(user) = &self.user {
                let denied = libc::setgroups(user.groups.len(), user.groups.as_ptr()) != 0
                    || libc::setgid(user.gid) != 0
                    || libc::setuid(user.uid) != 0;
                if denied {
                    return Step::Become;
                }
            }
            libc::raise(libc::SIGSTOP);
            let (arguments, environment) = (&self.arguments.pointers, &self.environment.pointers);
            libc::execvpe(arguments[0], arguments.as_ptr(), environment.as_ptr());
            Step::Exec
        }
    }
}

/// What a child does before it is the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Step {
    /// It asks to be held.
    Hold = 1,
    /// It becomes the user who called sudo.
    Become = 2,
    /// It becomes the command.
    Exec = 3,
}

/// The exit status of a shell for a command that it cannot find.
const NOT_FOUND: c_int = 127;

/// Undoes what trace itself did to signals: it catches some, and Rust's start-up ignores SIGPIPE. What the caller has us
/// ignore (nohup) stays ignored.
///
/// # Safety
/// See [`Child::run`].
unsafe fn default_signals() {
    // SAFETY: plain data, zeroed where nothing is set.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, null(), &mut action);
            if action.sa_sigaction != libc::SIG_IGN {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}
