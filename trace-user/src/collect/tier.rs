//! How much is asked of the kernel.

/// What a measurement hooks into, and so what it can tell; the names are those of `--tier` and of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Tier {
    /// Every hook.
    #[default]
    Full,
    /// Every hook but `sys_enter` and `sys_exit`: no system call of the machine costs more than without it.
    Sched,
    /// None: samples of `/proc`.
    Proc,
}

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
            Tier::Sched => !matches!(program, "sys_enter" | "sys_exit"),
            Tier::Proc => false,
        }
    }
}
