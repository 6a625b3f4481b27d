//! What can be lost, as counters that exist from the start and are printed also when zero.

macro_rules! losses {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Index of a loss counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Loss { $($(#[$doc])* $name,)* }

        impl Loss {
            /// All counters, in order.
            pub const ALL: &'static [Loss] = &[$(Loss::$name,)*];
        }
    };
}

losses! {
    /// A system call ended that was not seen to begin (after the thread's first event).
    ExitWithoutEnter,
    /// A system call began while another had not ended.
    EnterWithoutExit,
    /// An event was stamped before the one it follows.
    ClockBackwards,
    /// No free record for a new thread.
    SlotsExhausted,
    /// A map had no room.
    MapFull,
    /// The ring of logged calls had no room.
    RingFull,
    /// A handler found the record of its thread being written.
    Nested,
    /// A 32-bit or x32 system call: its number means another call.
    CompatCalls,
    /// Memory of the target could not be read.
    UserFaults,
    /// A sleep ended, no wake-up had been seen, and the kernel's own stamps could not stand in.
    LostWakeups,
    /// A thread ran that had not been seen to be switched in, and the kernel's own stamps could not stand in.
    MissedSwitches,
    /// A wake-up that was not traced and was taken from the kernel's own stamp (no loss).
    RecoveredWakeups,
    /// A switch-in that was not traced and was taken from the kernel's own stamps (no loss).
    RecoveredSwitches,
    /// A wake-up that was traced before the switch that it ends (no loss; see DESIGN §8).
    EarlyWakeups,
    /// Connections first seen.
    ConnectionsSeen,
    /// Connections whose record gave way to another one's and was added to their peer's (no loss).
    ConnectionsFolded,
    /// A wait over more descriptors than are looked at.
    WideScansCut,
    /// A completion of a ring of the target whose request is not known.
    CompletedUnmatched,
    /// A ring took the place of another one in memory, whose counts are gone.
    GenerationDropped,
    /// The ring of the timeline had no room.
    TimelineDropped,
}

/// Length of the array of counters, with room to grow.
pub const SLOTS: usize = 32;

/// The counters, one set a CPU.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Losses {
    /// By [`Loss`].
    pub counts: [u64; SLOTS],
}

/// Receives the losses that the state machine notices.
pub trait Sink {
    /// Counts one loss.
    fn lose(&mut self, loss: Loss);
    /// Counts `nanos` in the distribution of `account`.
    fn observe(&mut self, account: crate::account::Account, nanos: u64);
    /// Counts a turn that has ended.
    fn turn(&mut self, spent: crate::turn::Spent);
    /// Tells the timeline.
    fn mark(&mut self, _: crate::timeline::Entry) {}
    /// Tells it what `note` is about on `conn`; see [`crate::timeline::tell`].
    #[inline(always)]
    fn mark_conn(&mut self, conn: &crate::conn::Conn, note: crate::timeline::Note, until: u64)
    where
        Self: Sized,
    {
        crate::timeline::tell(conn, note as u32, until, |entry| self.mark(entry));
    }
}

/// A sink for what is of no interest: what happens while a record is closed on the host is nothing new.
pub struct Nowhere;

impl Sink for Nowhere {
    fn lose(&mut self, _: Loss) {}
    fn observe(&mut self, _: crate::account::Account, _: u64) {}
    fn turn(&mut self, _: crate::turn::Spent) {}
}

impl Losses {
    /// No losses.
    pub const ZERO: Losses = Losses { counts: [0; SLOTS] };

    /// Adds one to `loss`.
    #[inline(always)]
    pub fn add(&mut self, loss: Loss) {
        let i = loss as usize & (SLOTS - 1);
        self.counts[i] = self.counts[i].wrapping_add(1);
    }
}
