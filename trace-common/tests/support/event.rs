//! What the probes can see of one thread.

use trace_common::ledger::{Off, Registers, Seed, Stamps};

/// One thing that the probes see.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// It is born.
    Birth { kernel_io: bool },
    /// It enters a system call.
    Enter(Registers),
    /// It leaves a system call.
    Exit(Registers, i64),
    /// A byte is copied to it.
    FirstByte(Registers),
    /// A receive of an io_uring has copied what it received.
    RingCopied,
    /// Its task work is done.
    WorkDone,
    /// It leaves its CPU.
    Out(Off, Registers),
    /// It gets onto a CPU.
    In(Seed),
    /// Somebody writes this time into its mailbox.
    Wake(u64),
    /// It ends.
    Die,
}

/// An event, when it is traced, and the scheduler's own stamps of the thread at that moment.
#[derive(Clone, Copy, Debug)]
pub struct Traced {
    pub at: u64,
    pub event: Event,
    pub stamps: Stamps,
}

impl Event {
    /// Whether it proves that the thread is on a CPU.
    pub fn is_own(&self) -> bool {
        !matches!(self, Event::Birth { .. } | Event::In(_) | Event::Wake(_))
    }

    pub fn is_enter(&self) -> bool {
        matches!(self, Event::Enter(_))
    }

    pub fn is_exit(&self) -> bool {
        matches!(self, Event::Exit(..))
    }

    pub fn is_out(&self) -> bool {
        matches!(self, Event::Out(..))
    }

    pub fn is_in(&self) -> bool {
        matches!(self, Event::In(_))
    }

    pub fn is_wake(&self) -> bool {
        matches!(self, Event::Wake(_))
    }

    /// The registers that it shows, as `arrived` of the probes would take them for a seed.
    pub fn registers(&self) -> Registers {
        match self {
            Event::Exit(regs, _) | Event::FirstByte(regs) => *regs,
            Event::Out(_, seed) => *seed,
            _ => Registers::NONE,
        }
    }
}
