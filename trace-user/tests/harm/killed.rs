//! Whenever `trace` is killed, and by whatever signal, nothing of it is left, and its target lives.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use aya::maps::loaded_maps;
use aya::programs::{loaded_links, loaded_programs};
use fixtures::Mode;
use fixtures::spawn::Fixture;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::machine::wait_for;
use crate::support::programs::serve;
use crate::support::test_alone;
use crate::support::tracer::Tracer;
use crate::{Checker, Random, length, row};

/// What it does when it is killed: what it says then (with `-v`), and how long that may last, ms.
const PHASES: [(&str, &str, u64); 5] = [
    ("starting", "", 30),
    ("loading", "loading the probes", 500),
    ("checking", "checking the probes", 50),
    ("listing", "listing the target's threads", 10),
    ("measuring", "attached to", 1_500),
];
/// After an interrupt that it answers by its report: how long that may last, ms.
const REPORTING: u64 = 30;

/// Ids of all programs, links and maps on the machine.
fn kernel_objects() -> [BTreeSet<u32>; 3] {
    // One that ends meanwhile cannot be looked at any more.
    [
        loaded_programs().filter_map(|program| Some(program.ok()?.id())).collect(),
        loaded_links().filter_map(|link| Some(link.ok()?.id())).collect(),
        loaded_maps().filter_map(|map| Some(map.ok()?.id())).collect(),
    ]
}

#[test]
fn whenever_it_is_killed_nothing_is_left_and_the_target_lives() {
    test_alone!();
    let server = serve(Mode::Epoll, "");
    let mut client = Checker::new(&server);
    let before = kernel_objects();
    let directory = tempfile::tempdir().unwrap();
    let (times, mut random) = (length(12, 50), Random(1));
    for round in 0..times {
        let signals = [&[Signal::KILL][..], &[Signal::TERM], &[Signal::HUP], &[Signal::INT, Signal::INT]];
        // Each signal meets each phase.
        let (signals, phase) = (signals[(round + round / 12) % signals.len()], round % (PHASES.len() + 1));
        let output = directory.path().join(format!("{round}.json"));
        let ended = killed(&server, phase, signals, &mut random, output.to_str().unwrap());
        // Before it listens to signals, the first one ends it.
        let by_signal = ended.signal().is_some_and(|s| signals.iter().any(|signal| signal.as_raw() == s));
        assert!(by_signal || matches!(ended.code(), Some(0 | 130)), "{phase}, {signals:?}: {ended:?}");
        // A report is whole or not there; only SIGKILL, which nobody can answer, may leave a file that is not.
        if let Ok(text) = std::fs::read(&output) {
            let whole = serde_json::from_slice::<Value>(&text).is_ok();
            assert!(whole || signals == [Signal::KILL], "{phase}, {signals:?}: {} bytes", text.len());
        }
        client.exchange();
    }
    wait_for("the end of all programs, links and maps", || {
        kernel_objects().iter().zip(&before).all(|(now, before)| now.is_subset(before))
    });
    assert_eq!(client.exchanges, times as u64);
    let phases = PHASES.map(|(name, ..)| name).join(", ");
    row(
        "kill -9, SIGTERM, SIGHUP, two SIGINT at random moments",
        &format!("{times} runs, while {phases} and reporting; nothing left; the target answered after each"),
    );
}

/// Starts a tracer, and sends it the signals at a random moment of a phase.
fn killed(
    server: &Fixture,
    phase: usize,
    signals: &[Signal],
    random: &mut Random,
    output: &str,
) -> ExitStatus {
    let mut tracer = Tracer::start(server.pid(), &["-v", "--output", output]);
    let longest = match PHASES.get(phase) {
        Some((_, "", longest)) => *longest,
        Some((_, line, longest)) => {
            tracer.wait_for_line(line);
            *longest
        }
        None => {
            tracer.wait_until_attached();
            tracer.signal(Signal::INT);
            REPORTING
        }
    };
    std::thread::sleep(Duration::from_micros(random.below(longest * 1_000)));
    for signal in signals {
        tracer.try_signal(*signal);
        std::thread::sleep(Duration::from_millis(20));
    }
    tracer.wait().status
}
