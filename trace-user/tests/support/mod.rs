//! What the integration tests share: the programs under test, a tracer at work, its report, and workloads whose every
//! call is known.
#![allow(dead_code, reason = "not every test uses everything")]

pub mod asleep;
pub mod built;
pub mod hidden;
pub mod machine;
pub mod observe;
pub mod programs;
pub mod real;
pub mod report;
pub mod tracer;

/// Takes the machine for the calling test, or leaves the test with a printed reason.
macro_rules! test_alone {
    () => {
        let Some(_alone) = $crate::support::machine::take() else { return };
    };
}
pub(crate) use test_alone;
