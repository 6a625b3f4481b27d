//! Histories of one thread, made up and replayed: see the modules.

pub mod actor;
pub mod chaos;
pub mod event;
pub mod losses;
pub mod replay;
pub mod script;
pub mod sink;
pub mod story;
pub mod teller;
pub mod truth;

/// Start of the window; above [`SKEW`], so that every time has a stamp in the scheduler's clock.
pub const START: u64 = 1_000_000;
/// `CLOCK_MONOTONIC` minus the scheduler's clock.
pub const SKEW: u64 = 777;
