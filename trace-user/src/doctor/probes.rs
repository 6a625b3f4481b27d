//! The trial of the probes as checks.

use super::{Check, Section, Status};
use crate::collect::Way;
use crate::collect::trial::{Outcome, Trial};
use crate::snapshot::Calibration;

/// Fields whose absence costs a figure, with what is lost. Others are names that a field had in some kernels only,
/// or belong to hooks that say for themselves what is lost.
const COSTLY: [(&str, &str); 1] = [(
    "task_struct:sched_info",
    "switches that are hidden from tracing cannot be recovered (unknown time, missed_switches)",
)];

/// Kernel types, hooks, canary.
pub fn checks(trial: &Trial, kept_silent: bool) -> Vec<Check> {
    let mut checks = vec![fields(trial), programs(trial)];
    let before = trial.failure.as_ref().map_or("", |failure| &failure.why);
    checks.extend(trial.hooks.iter().map(|(hook, outcome)| self::hook(hook, outcome, before)));
    checks.push(canary(trial, kept_silent));
    checks
}

fn fields(trial: &Trial) -> Check {
    let check = |status, found| {
        Check::new(Section::Probes, "fields", status, found).purpose("where the kernel keeps what (from BTF)")
    };
    match &trial.fields {
        None => {
            let why = trial.failure.as_ref().map_or("they were not looked for", |f| &f.why);
            check(Status::Fail, why.to_owned())
        }
        Some(fields) if fields.missing.is_empty() => {
            check(Status::Pass, format!("all {} found", fields.wanted))
        }
        Some(fields) => {
            let (found, missing) = (fields.wanted - fields.missing.len(), fields.missing.join(", "));
            let found = format!("{found} of {} found; this kernel does not have {missing}", fields.wanted);
            let is_missing = |prefix: &str| fields.missing.iter().any(|path| path.starts_with(prefix));
            match COSTLY.iter().find(|(prefix, _)| is_missing(prefix)) {
                Some((_, lost)) => check(Status::Warn, found).lost(*lost),
                None => check(Status::Info, found),
            }
        }
    }
}

/// Of which kind the programs are.
fn programs(trial: &Trial) -> Check {
    let check = |status, found: &str| {
        Check::new(Section::Probes, "programs", status, found).purpose("how they reach a task's fields")
    };
    match (trial.way, trial.unlearned) {
        (None, _) => check(Status::Unknown, "the kernel's types could not be read"),
        (Some(Way::Typed), _) => check(Status::Pass, "tp_btf, verified against this kernel's own types"),
        (Some(Way::Raw), None) => check(
            Status::Info,
            "raw tracepoints: this kernel has no types of its own, and each event takes longer",
        ),
        (Some(Way::Raw), Some((_, lost))) => {
            check(Status::Warn, "raw tracepoints, which could not learn where saved registers lie").lost(lost)
        }
    }
}

fn hook(hook: &str, outcome: &Outcome, before: &str) -> Check {
    let check = |status, found: &str| Check::new(Section::Probes, hook, status, found);
    match outcome {
        Outcome::Attached => check(Status::Pass, "attached"),
        Outcome::Absent(lost) => {
            check(Status::Warn, "this kernel does not have it").lost(*lost).fix("a newer kernel")
        }
        Outcome::Refused(failure) => {
            let check = check(Status::Fail, &failure.why);
            Check { fix: failure.fix.clone(), ..check }
        }
        Outcome::Untried => check(Status::Unknown, &format!("not tried: {before}")),
    }
}

fn canary(trial: &Trial, kept_silent: bool) -> Check {
    let check = |status, found: String| {
        Check::new(Section::Probes, "canary", status, found).purpose("known receives through the same probes")
    };
    match &trial.canary {
        Some(calibration) => {
            let Calibration { done, measured, done_bytes, measured_bytes, .. } = calibration;
            let found =
                format!("saw {measured} of {done} receives and {measured_bytes} of {done_bytes} bytes");
            match measured {
                _ if calibration.is_exact() => check(Status::Pass, found),
                0 => check(Status::Fail, found),
                _ => check(Status::Warn, found)
                    .lost("counts are not exact, and no verdict is of high confidence"),
            }
        }
        None if kept_silent => check(Status::Unknown, "not run, since a need above is not met".into()),
        None => match &trial.failure {
            Some(failure) => check(Status::Unknown, format!("not run: {}", failure.why)),
            None => check(Status::Unknown, "not run".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::trial::Fields;

    #[test]
    fn a_canary_that_saw_nothing_is_never_healthy() {
        let sung = |measured, measured_bytes| {
            let canary =
                Calibration { done: 23, done_bytes: 779, measured, measured_bytes, ..Calibration::default() };
            canary_status(&Trial { canary: Some(canary), ..Trial::default() })
        };
        assert_eq!(sung(0, 0), Status::Fail);
        assert_eq!(sung(22, 778), Status::Warn);
        assert_eq!(sung(23, 779), Status::Pass);
        assert_eq!(canary_status(&Trial::default()), Status::Unknown);
    }

    #[test]
    fn a_field_that_was_renamed_is_no_loss() {
        let status = |missing| {
            let fields = Some(Fields { wanted: 57, missing: vec![missing] });
            fields_status(&Trial { fields, ..Trial::default() })
        };
        assert_eq!(status("io_kiocb:task"), Status::Info);
        assert_eq!(status("task_struct:sched_info.last_arrival"), Status::Warn);
        assert_eq!(fields_status(&Trial::default()), Status::Fail);
    }

    fn fields_status(trial: &Trial) -> Status {
        fields(trial).status
    }

    fn canary_status(trial: &Trial) -> Status {
        canary(trial, false).status
    }
}
