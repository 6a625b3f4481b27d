//! Kept measurements of real servers (`truth/snapshots`) get the models that the servers are known to have
//! (`truth/expected.json`). No privileges, and no server: what was measured once is judged anew.
//!
//! `cargo xtask truth --install --keep-snapshots truth/snapshots` measures them all again. To judge others,
//! `TRACE_KEPT=DIRECTORY cargo test -p trace-user --test kept -- --nocapture`.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use trace_user::model::classify;
use trace_user::model::verdict::{Confidence, Evidence, Role, Verdicts};
use trace_user::snapshot::{Snapshot, file};

/// I/O models recognised under load, at the least.
const IO_ACCEPTED: f64 = 0.97;
/// Server models recognised under load, at the least.
const SERVER_ACCEPTED: f64 = 0.92;
/// Of each model with [`ENOUGH`] configurations or more, on both axes.
const MODEL_RECALL: f64 = 0.85;
const ENOUGH: usize = 3;

/// The accepted answers, the preferred one first.
#[derive(Clone, Deserialize)]
struct Label {
    io_model: Vec<String>,
    server_model: Vec<String>,
}

/// One verdict beside its label.
struct Judged {
    configuration: String,
    load: String,
    axis: &'static str,
    accepted: Vec<String>,
    said: String,
    confidence: Option<Confidence>,
    evidence: Vec<Evidence>,
}

impl Judged {
    fn is_accepted(&self) -> bool {
        self.accepted.contains(&self.said)
    }

    fn is_wrong(&self) -> bool {
        !self.is_accepted() && self.said != "inconclusive"
    }

    fn line(&self) -> String {
        let Judged { configuration, load, axis, accepted, said, confidence, .. } = self;
        let why: Vec<_> = self.evidence.iter().map(|e| format!("\n      {}: {}", e.code, e.text)).collect();
        format!(
            "{configuration:16} {load:4} {axis:12} is {}, said {said} {confidence:?}{}",
            accepted.join("|"),
            why.concat()
        )
    }
}

fn truth() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../truth")
}

fn kept() -> PathBuf {
    std::env::var_os("TRACE_KEPT").map_or_else(|| truth().join("snapshots"), PathBuf::from)
}

fn labels() -> BTreeMap<String, Label> {
    serde_json::from_str(&fs::read_to_string(truth().join("expected.json")).unwrap()).unwrap()
}

fn read(path: &Path) -> Snapshot {
    file::decode(fs::File::open(path).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What is said of a configuration at a load; nothing if that is not kept.
fn verdicts(configuration: &str, load: &str) -> Option<Verdicts> {
    let path = kept().join(format!("{configuration}-{load}.trace"));
    path.exists().then(|| classify(&read(&path)))
}

fn compare(configuration: &str, load: &str, label: &Label) -> Vec<Judged> {
    let Some(verdicts) = verdicts(configuration, load) else { return Vec::new() };
    let (io, server) = (verdicts.io_model, verdicts.server_model);
    let judged = |axis, accepted: &[String], said: &str, confidence, evidence| Judged {
        configuration: configuration.to_owned(),
        load: load.to_owned(),
        axis,
        accepted: accepted.to_vec(),
        said: said.to_owned(),
        confidence,
        evidence,
    };
    vec![
        judged("io_model", &label.io_model, io.name.name(), io.confidence, io.evidence),
        judged("server_model", &label.server_model, &server.name, server.confidence, server.evidence),
    ]
}

fn all() -> Vec<Judged> {
    let loads = ["none", "one", "many"];
    labels().iter().flat_map(|(name, label)| loads.iter().flat_map(|l| compare(name, l, label))).collect()
}

/// How many of these are accepted, and whether that is enough.
fn recall<'a>(what: &str, judged: impl Iterator<Item = &'a Judged>, least: f64, faults: &mut Vec<String>) {
    let (accepted, all) = judged.fold((0, 0), |(a, n), j| (a + usize::from(j.is_accepted()), n + 1));
    println!("{what}: {accepted} of {all}");
    if (accepted as f64) < least * all as f64 {
        faults.push(format!("{what}: {accepted} of {all} accepted, below {least}"));
    }
}

#[test]
fn real_servers_under_load_get_the_models_that_they_have() {
    let judged = all();
    let is_told = |j: &&Judged| !j.is_accepted() && (j.load != "none" || j.is_wrong());
    judged.iter().filter(is_told).for_each(|j| println!("{}", j.line()));
    let mut faults = Vec::new();
    for (axis, least) in [("io_model", IO_ACCEPTED), ("server_model", SERVER_ACCEPTED)] {
        let many = || judged.iter().filter(move |j| j.axis == axis && j.load == "many");
        recall(axis, many(), least, &mut faults);
        let mut models: BTreeMap<&str, usize> = BTreeMap::new();
        many().for_each(|j| *models.entry(&j.accepted[0]).or_default() += 1);
        for (model, _) in models.into_iter().filter(|(_, count)| *count >= ENOUGH) {
            recall(model, many().filter(|j| j.accepted[0] == model), MODEL_RECALL, &mut faults);
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn no_verdict_is_wrong_with_confidence_high_and_none_is_wrong_without_load() {
    let is_bad = |j: &&Judged| j.is_wrong() && (j.confidence == Some(Confidence::High) || j.load != "many");
    let wrong: Vec<_> = all().iter().filter(is_bad).map(Judged::line).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_configuration_is_kept_at_every_load() {
    let missing: Vec<_> = labels()
        .into_keys()
        .flat_map(|name| ["none", "one", "many"].map(|load| format!("{name}-{load}.trace")))
        .filter(|name| !kept().join(name).exists())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// How many threads of a configuration under load have each role.
fn roles(configuration: &str) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for role in verdicts(configuration, "many").unwrap().roles.into_values() {
        *counts.entry(name_of(role)).or_default() += 1;
    }
    println!("{configuration}: {counts:?}");
    counts
}

fn name_of(role: Role) -> &'static str {
    match role {
        Role::Acceptor => "acceptor",
        Role::Reactor => "reactor",
        Role::ConnectionWorker => "connection-worker",
        Role::PoolWorker => "pool-worker",
        Role::Supervisor => "supervisor",
        Role::Background => "background",
        Role::Idle => "idle",
        Role::KernelIo => "kernel-io",
    }
}

#[test]
fn the_four_workers_of_nginx_are_reactors_under_a_supervisor_even_those_without_a_connection() {
    assert_eq!(roles("nginx-4w"), BTreeMap::from([("reactor", 4), ("supervisor", 1)]));
    let server = verdicts("nginx-4w", "many").unwrap().server_model;
    assert_eq!((&*server.name, server.count), ("multi-reactor", Some(4)));
}

#[test]
fn in_apaches_event_model_a_listener_feeds_pool_workers() {
    let roles = roles("apache-event");
    assert!(roles["reactor"] + roles.get("acceptor").unwrap_or(&0) == 2, "one listener a process: {roles:?}");
    assert!(roles["pool-worker"] >= 20, "{roles:?}");
    assert_eq!(roles["supervisor"], 1);
}

#[test]
fn each_of_postgresqls_clients_has_a_connection_worker_and_its_helpers_supervise_nobody() {
    let roles = roles("postgres");
    assert_eq!(roles["connection-worker"], 8);
    assert_eq!(roles.get("supervisor").unwrap_or(&0) + roles.get("acceptor").unwrap_or(&0), 1, "{roles:?}");
}
