//! How much is asked of the kernel.

/// What a measurement hooks into, and so what it can tell; the names are those of `--tier` and of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Tier {
    /// Every hook.
    #[default]
    Full,
    /// No hook on `sys_enter` and `sys_exit`: no system call of the machine costs more than without it. Nor on what another
    /// hook can tell nearly as well: wake-ups, which the scheduler stamps, and first copied bytes.
    Sched,
    /// None: samples of `/proc`.
    Proc,
}

/// Hooks that tier `sched` does without.
const NOT_IN_SCHED: [&str; 4] = ["sys_enter", "sys_exit", "sched_waking", "skb_copy_datagram_iovec"];

impl Tier {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Tier::Full => "full",
            Tier::Sched => "sched",
            Tier::Proc => "proc",
        }
    }

    /// Whether the hook `program` belongs to it.
    pub fn has(self, program: &str) -> bool {
        match self {
            Tier::Full => true,
            Tier::Sched => !NOT_IN_SCHED.contains(&program),
            Tier::Proc => false,
        }
    }
}
