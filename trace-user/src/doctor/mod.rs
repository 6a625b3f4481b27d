//! `trace doctor`: whether and what can be measured here.
//!
//! It does not guess: the needs are those that `trace attach` checks, by the same function, and the probes
//! are loaded, attached and proven by the same code.

mod environment;
mod machine;
mod others;
mod probes;

use serde::Serialize;

use crate::collect::{Tier, trial};
use crate::failure::{Code, Failure};
use crate::kernel::rights::{self, System};
use crate::report::schema::VERSION;

/// The answer of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Pass,
    /// A figure is lost, or less certain.
    Warn,
    /// Nothing can be measured.
    Fail,
    /// It cannot be told.
    Unknown,
    /// A fact that decides nothing.
    Info,
}

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Section {
    /// What a measurement needs.
    Needs,
    /// Capabilities.
    Capabilities,
    /// The probes: kernel types, hooks, the canary.
    Probes,
    /// Other tracers at work.
    Others,
    /// The machine.
    Machine,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What it is about.
    pub section: Section,
    /// Its name.
    pub code: String,
    /// Its answer.
    pub status: Status,
    /// The fact that was looked at, with its value.
    pub found: String,
    /// What it is needed for.
    pub purpose: Option<String>,
    /// What is lost by it.
    pub lost: Option<String>,
    /// What to do.
    pub fix: Option<String>,
}

impl Check {
    /// A check without further words.
    fn new(section: Section, code: impl Into<String>, status: Status, found: impl Into<String>) -> Check {
        let (code, found) = (code.into(), found.into());
        Check { section, code, status, found, purpose: None, lost: None, fix: None }
    }

    fn purpose(mut self, purpose: impl Into<String>) -> Check {
        self.purpose = Some(purpose.into());
        self
    }

    fn lost(mut self, lost: impl Into<String>) -> Check {
        self.lost = Some(lost.into());
        self
    }

    fn fix(mut self, fix: impl Into<String>) -> Check {
        self.fix = Some(fix.into());
        self
    }
}

/// What `trace attach` would do here.
#[derive(Clone, Debug, Serialize)]
pub struct Outlook {
    /// Its exit code.
    pub exit_code: u8,
    /// The tier it would measure in; `None`: nothing.
    pub tier: Option<&'static str>,
    /// The tier that `--tier auto` would measure in; `None`: nothing.
    pub auto: Option<&'static str>,
    /// What keeps it from measuring.
    pub blocked: Option<Blocked>,
    /// What is lost or less certain.
    pub degraded: Vec<Degraded>,
}

/// Why nothing can be measured.
#[derive(Clone, Debug, Serialize)]
pub struct Blocked {
    /// What fails.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to do.
    pub fix: Option<String>,
    /// Raw detail: a verifier's log.
    pub detail: Option<String>,
}

/// Something that is lost or less certain.
#[derive(Clone, Debug, Serialize)]
pub struct Degraded {
    /// The check that found it.
    pub code: String,
    /// What is lost.
    pub lost: String,
    /// What to do.
    pub fix: Option<String>,
}

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// Of the JSON.
    pub schema_version: &'static str,
    /// Of the tool.
    pub version: &'static str,
    /// Release of the kernel.
    pub kernel: String,
    /// Architecture.
    pub arch: String,
    /// What comes of it.
    pub outlook: Outlook,
    /// Check by check.
    pub checks: Vec<Check>,
}

/// Looks at everything; loads the probes for a moment.
pub fn examine(system: &System) -> Diagnosis {
    let needs = rights::needs(system);
    let mut blocked: Option<Failure> = needs.iter().find_map(|need| need.found.as_ref().err().cloned());
    let mut checks = environment::needs(&needs);
    checks.extend(environment::capabilities(&system.proc));
    // Before our own programs are among them.
    let others = others::checks(&system.proc, std::process::id());
    // Where ids or clocks are not the kernel's, the canary could only mislead.
    let trial = trial::run(&system.btf, blocked.is_none());
    checks.extend(probes::checks(&trial, blocked.is_some()));
    checks.extend(others);
    checks.extend(machine::checks(&system.proc));
    blocked = blocked.or(trial.failure);
    let uname = rustix::system::uname();
    Diagnosis {
        schema_version: VERSION,
        version: env!("CARGO_PKG_VERSION"),
        kernel: uname.release().to_string_lossy().into_owned(),
        arch: uname.machine().to_string_lossy().into_owned(),
        outlook: outlook(blocked, rights::check_samples(system).is_ok(), &checks),
        checks,
    }
}

fn outlook(blocked: Option<Failure>, sampled: bool, checks: &[Check]) -> Outlook {
    let lost = |check: &Check| {
        let lost = check.lost.clone().filter(|_| check.status == Status::Warn)?;
        Some(Degraded { code: check.code.clone(), lost, fix: check.fix.clone() })
    };
    match blocked {
        None => Outlook {
            exit_code: 0,
            tier: Some(Tier::Full.name()),
            auto: Some(Tier::Full.name()),
            blocked: None,
            degraded: checks.iter().filter_map(lost).collect(),
        },
        Some(Failure { code, what, why, fix, detail }) => Outlook {
            exit_code: code as u8,
            tier: None,
            auto: (sampled && matches!(code, Code::NotPermitted | Code::Kernel)).then(|| Tier::Proc.name()),
            blocked: Some(Blocked { what, why, fix, detail }),
            degraded: Vec::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_need_that_is_not_met_decides() {
        let warn =
            Check::new(Section::Machine, "steal", Status::Warn, "9 %").lost("times").fix("another host");
        let info = Check::new(Section::Machine, "x", Status::Info, "y").lost("nothing");
        let checks = [warn, info];
        let good = outlook(None, true, &checks);
        assert_eq!((good.exit_code, good.tier, good.degraded.len()), (0, Some("full"), 1));
        let failure = || Some(Failure::new(Code::Kernel, "a", "b").fix("c"));
        let bad = outlook(failure(), true, &checks);
        assert_eq!((bad.exit_code, bad.tier, bad.degraded.len()), (7, None, 0));
        let auto = [outlook(failure(), false, &checks), bad, good].map(|outlook| outlook.auto);
        assert_eq!(auto, [None, Some("proc"), Some("full")]);
    }
}
