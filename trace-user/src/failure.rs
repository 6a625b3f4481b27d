//! How a run fails: with an exit code of the contract, and a message that says what failed, why, and what to do.

use std::fmt;

/// Exit codes (contract, DESIGN §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Internal error, or a write that failed at the end.
    Internal = 1,
    /// Usage: also pid 0, own pid, kernel thread, duration 0, ambiguous name, an output that cannot be created.
    Usage = 2,
    /// An expectation did not hold.
    ExpectationFailed = 3,
    /// An expectation cannot be decided.
    ExpectationUndecidable = 4,
    /// No such target, or it ended before any thread was seen.
    NoTarget = 5,
    /// Not permitted.
    NotPermitted = 6,
    /// The kernel cannot.
    Kernel = 7,
    /// Incomplete, under `--strict`.
    Incomplete = 8,
    /// Second interrupt.
    Interrupted = 130,
}

/// A failure for the user to read.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Exit code.
    pub code: Code,
    /// What failed.
    pub what: String,
    /// Why: the fact that was checked, with its value.
    pub why: String,
    /// What to do, if anything can be done: mostly a command.
    pub fix: Option<String>,
    /// More, shown only with `-vv`: a raw verifier log, say.
    pub detail: Option<String>,
}

impl Failure {
    /// A failure without detail.
    pub fn new(code: Code, what: impl Into<String>, why: impl Into<String>) -> Failure {
        Failure { code, what: what.into(), why: why.into(), fix: None, detail: None }
    }

    /// With what to do about it.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Failure {
        self.fix = Some(fix.into());
        self
    }

    /// With raw detail.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Failure {
        self.detail = Some(detail.into());
        self
    }

    /// An error that is nobody's fault but ours.
    pub fn internal(what: impl Into<String>, why: impl fmt::Display) -> Failure {
        Failure::new(Code::Internal, what, why.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)?;
        if let Some(fix) = &self.fix {
            write!(f, "\n  {fix}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
