//! Programs of either kind: those that are verified against the kernel's own types, and raw tracepoints, which need none.

use std::io;

use aya::Btf;
use aya::programs::{BtfTracePoint, Program as Any, ProgramError, RawTracePoint};
use aya::sys::SyscallError;

use crate::kernel::btf;

/// Of which kind the programs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `tp_btf`.
    Typed,
    /// Raw tracepoints: the same handlers, which copy each field that the others load.
    Raw,
}

/// What a report names raw tracepoints by.
pub const RAW_TRACEPOINTS: &str = "raw_tracepoints";
/// … and what comes of them.
pub const RAW_COST: &str =
    "this kernel has no types of its own; nothing is lost, but each event takes longer";

impl Way {
    /// The way that this kernel allows.
    pub fn here() -> Way {
        if btf::has_own() { Way::Typed } else { Way::Raw }
    }
}

/// A program of a loaded object.
pub enum Program<'a> {
    /// Of the object with types, which are those given.
    Typed(&'a mut BtfTracePoint, &'a Btf),
    /// Of the other.
    Raw(&'a mut RawTracePoint),
}

impl<'a> Program<'a> {
    /// `program`, to be verified against `types`, if there are any.
    ///
    /// # Errors
    /// If it is of another kind: the object is not of this build.
    pub fn of(program: &'a mut Any, types: Option<&'a Btf>) -> Result<Program<'a>, ProgramError> {
        match types {
            Some(types) => Ok(Program::Typed(program.try_into()?, types)),
            None => Ok(Program::Raw(program.try_into()?)),
        }
    }

    /// Has the kernel verify it for the first of these tracepoints; a raw one does not say in advance where it will be.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn load(&mut self, tracepoints: &[&str]) -> Result<(), ProgramError> {
        match (self, tracepoints.first()) {
            (Program::Typed(program, types), Some(tracepoint)) => program.load(tracepoint, types),
            (Program::Typed(..), None) => Ok(()),
            (Program::Raw(program), _) => program.load(),
        }
    }

    /// Attaches it to the first of these tracepoints that the kernel has.
    ///
    /// # Errors
    /// If it has none, or refuses; see [`is_absent`].
    pub fn attach(&mut self, tracepoints: &[&str]) -> Result<(), ProgramError> {
        match self {
            Program::Typed(program, _) => program.attach().map(drop),
            Program::Raw(program) => {
                let mut answer = Err(ProgramError::NotLoaded);
                for tracepoint in tracepoints {
                    answer = program.attach(tracepoint).map(drop);
                    if !answer.as_ref().is_err_and(is_absent) {
                        break;
                    }
                }
                answer
            }
        }
    }
}

/// Whether the kernel says that it has no tracepoint of that name.
pub fn is_absent(e: &ProgramError) -> bool {
    matches!(e, ProgramError::SyscallError(SyscallError { io_error, .. }) if io_error.kind() == io::ErrorKind::NotFound)
}
