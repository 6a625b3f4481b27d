//! Signals that announce I/O, and how they are told from others.

use crate::conn::Cover;
use crate::ready::Width;

/// `SIGIO`, x86-64.
const SIGIO: i32 = 29;
/// Signals whose positive codes mean something of their own (`sig_specific_sicodes`, `include/linux/signal.h`):
/// SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGCHLD, SIGSYS.
const SPECIFIC: [i32; 7] = [4, 5, 7, 8, 11, 17, 31];
/// `POLL_IN` to `POLL_HUP` (`include/uapi/asm-generic/siginfo.h`): `F_SETSIG` was used, and the descriptor is named.
const POLL_CODES: core::ops::RangeInclusive<i32> = 1..=6;
/// `SI_SIGIO`: the same for a signal with codes of its own.
const SI_SIGIO: i32 = -5;
/// `SI_KERNEL`: without `F_SETSIG`, `SIGIO` comes with this code and names no descriptor.
const SI_KERNEL: i32 = 0x80;
/// `SI_ASYNCIO`: POSIX aio.
const SI_ASYNCIO: i32 = -4;

/// What a signal says about I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Origin {
    /// Nothing.
    Other = 0,
    /// A descriptor is ready, and the signal names it.
    Descriptor = 1,
    /// Some descriptor is ready.
    Sigio = 2,
    /// A request of POSIX aio is done.
    Aio = 3,
}

impl Origin {
    /// The origin of signal `sig` with code `code`.
    #[inline(always)]
    pub fn of(sig: i32, code: i32) -> Origin {
        if code == SI_ASYNCIO {
            Origin::Aio
        } else if code == SI_SIGIO || (POLL_CODES.contains(&code) && !is_specific(sig)) {
            Origin::Descriptor
        } else if sig == SIGIO && code == SI_KERNEL {
            Origin::Sigio
        } else {
            Origin::Other
        }
    }

    /// The origin with this discriminant; [`Origin::Other`] for any other value.
    #[inline(always)]
    pub const fn from_u8(value: u8) -> Origin {
        match value {
            1 => Origin::Descriptor,
            2 => Origin::Sigio,
            3 => Origin::Aio,
            _ => Origin::Other,
        }
    }
}

#[inline(always)]
fn is_specific(sig: i32) -> bool {
    // As a mask: no loop, and no branch each.
    const MASK: u64 = {
        let mut mask = 0;
        let mut i = 0;
        while i < SPECIFIC.len() {
            mask |= 1 << SPECIFIC[i];
            i += 1;
        }
        mask
    };
    (1..64).contains(&sig) && MASK >> sig & 1 != 0
}

/// What the signals of one process said last.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Signals {
    /// When a signal that names no descriptor was delivered or dequeued.
    pub sigio_at: u64,
    /// When a signalfd was last read.
    pub signalfd_at: u64,
    /// When a signal of another origin than [`Origin::Other`] was last generated.
    pub generated_at: u64,
    /// Its number.
    pub generated: u32,
    /// Its [`Origin`].
    pub origin: u32,
}

impl Signals {
    /// The last event that covers every `O_ASYNC` socket of the process. A signalfd is a readiness descriptor, which
    /// stands for all of them.
    #[inline(always)]
    pub fn cover(&self) -> Cover {
        if self.signalfd_at > self.sigio_at {
            Cover { at: self.signalfd_at, width: Width::Many as u8, ..Cover::NONE }
        } else {
            Cover::signal(self.sigio_at)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signalfd_is_a_readiness_descriptor() {
        let told = |sigio_at, signalfd_at| Signals { sigio_at, signalfd_at, ..Signals::default() }.cover();
        assert_eq!(told(5, 0), Cover::signal(5));
        assert_eq!((told(5, 9).at, told(5, 9).width, told(5, 9).signalled), (9, Width::Many as u8, 0));
    }

    #[test]
    fn the_code_proves_the_origin_not_the_number() {
        assert_eq!(Origin::of(SIGIO, SI_KERNEL), Origin::Sigio);
        assert_eq!(Origin::of(SIGIO, 1), Origin::Descriptor);
        assert_eq!(Origin::of(34, 1), Origin::Descriptor, "F_SETSIG of a real-time signal");
        assert_eq!(Origin::of(10, 1), Origin::Descriptor, "F_SETSIG of SIGUSR1");
        assert_eq!(Origin::of(17, 1), Origin::Other, "CLD_EXITED");
        assert_eq!(Origin::of(17, SI_SIGIO), Origin::Descriptor);
        assert_eq!(Origin::of(11, 1), Origin::Other, "SEGV_MAPERR");
        assert_eq!(Origin::of(SIGIO, 0), Origin::Other, "kill");
        assert_eq!(Origin::of(36, SI_ASYNCIO), Origin::Aio);
    }
}
