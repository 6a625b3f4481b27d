//! A trial of the probes: everything that a measurement loads is loaded, attached, proven with known receives
//! and taken away again, and each part's result is kept. What goes wrong here goes wrong in a measurement.

use std::path::Path;

use trace_common::kernel::{Control, MISSING};

use super::Tier;
use super::kmaps::Maps;
use super::load::{self, HOOKS, Hook, LoadError, Sizes};
use super::program::Way;
use super::session::{broken, refused};
use super::{canary, object};
use crate::failure::Failure;
use crate::kernel::btf::Facts;
use crate::kernel::proc::Proc;
use crate::snapshot::Calibration;

/// What a trial showed.
#[derive(Debug, Default)]
pub struct Trial {
    /// Of which kind the programs are; `None` if the types could not be read.
    pub way: Option<Way>,
    /// What is lost if raw tracepoints could not learn where saved registers lie.
    pub unlearned: Option<(&'static str, &'static str)>,
    /// Fields that this kernel's types lack; `None` if the types could not be read.
    pub fields: Option<Fields>,
    /// Each hook, in the order of attaching.
    pub hooks: Vec<(&'static str, Outcome)>,
    /// What the canary sang, if it was let.
    pub canary: Option<Calibration>,
    /// What a measurement would fail with.
    pub failure: Option<Failure>,
}

/// Fields of the kernel's types.
#[derive(Debug)]
pub struct Fields {
    /// Asked for.
    pub wanted: usize,
    /// Not there, as `struct:path`.
    pub missing: Vec<&'static str>,
}

/// What became of a hook.
#[derive(Debug)]
pub enum Outcome {
    /// It was loaded and attached.
    Attached,
    /// This kernel does not have it; what is lost.
    Absent(&'static str),
    /// The kernel refused it: why.
    Refused(Failure),
    /// It was not tried, since what comes before it failed.
    Untried,
}

/// Tries all of it with the types at `btf`; the canary only if `sing`.
pub fn run(btf: &Path, sing: bool) -> Trial {
    let mut trial = Trial::default();
    if let Err(failure) = trial.run(btf, sing) {
        trial.failure.get_or_insert(failure);
    }
    let tried = trial.hooks.len();
    trial.hooks.extend(HOOKS.into_iter().skip(tried).map(|hook| (hook.program, Outcome::Untried)));
    trial
}

impl Trial {
    fn run(&mut self, btf_path: &Path, sing: bool) -> Result<(), Failure> {
        let way = Way::here();
        let object =
            object::bytes(way).map_err(|e| Failure::internal("the probe object cannot be read", e))?;
        let facts = Facts::read(btf_path, load::tracepoints())?;
        self.way = Some(way);
        self.fields = Some(fields(&facts));
        let proc = Proc::system();
        let sizes = Sizes::small(&proc);
        let mut object =
            load::open(load::loader(), &object, way, &facts, sizes, Tier::Full).map_err(refused)?;
        if way == Way::Raw {
            self.unlearned = object.learn(Tier::Full, true).map_err(refused)?;
        }
        for hook in HOOKS {
            let outcome = self.outcome(hook, object.attach(&facts, hook));
            self.hooks.push((hook.program, outcome));
        }
        if !sing || self.failure.is_some() {
            return Ok(());
        }
        let mut maps = Maps::take(&mut object.ebpf, Tier::Full, sizes.slots, sizes.limit).map_err(broken)?;
        let calibration = canary::run(&mut maps, &proc, self.control()).map_err(broken)?.0;
        let heard = canary::check(&calibration);
        self.canary = Some(calibration);
        heard
    }

    /// The first refusal of a hook that nothing can replace is what a measurement fails with; the others are tried all the
    /// same.
    fn outcome(
        &mut self,
        hook: Hook,
        result: Result<Option<(&'static str, &'static str)>, LoadError>,
    ) -> Outcome {
        match result {
            Ok(None) => Outcome::Attached,
            Ok(Some((_, lost))) => Outcome::Absent(lost),
            Err(e) => {
                let failure = refused(e);
                if hook.lost.is_none() {
                    self.failure.get_or_insert(failure.clone());
                }
                Outcome::Refused(failure)
            }
        }
    }

    fn control(&self) -> Control {
        let absent = |name: &str| {
            self.hooks.iter().any(|(hook, outcome)| {
                *hook == name && matches!(outcome, Outcome::Absent(_) | Outcome::Refused(_))
            })
        };
        Control { by_descriptor: u32::from(absent("sock_recv_length")), ..Control::SHUT }
    }
}

fn fields(facts: &Facts) -> Fields {
    let mut offsets = facts.offsets;
    let fields = offsets.fields();
    let wanted = fields.iter().filter(|(_, path, _)| path.contains(':'));
    let missing = wanted.clone().filter(|(_, _, value)| **value == MISSING).map(|(_, path, _)| *path);
    Fields { missing: missing.collect(), wanted: wanted.count() }
}
