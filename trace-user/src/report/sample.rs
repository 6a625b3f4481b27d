//! A synthetic snapshot for the tests of the reports.

use std::collections::BTreeMap;

use trace_common::account::Account;
use trace_common::conn::Side;
use trace_common::receive::{Accepts, Receives};

use crate::model::verdict::{Confidence, Evidence, IoModel, IoVerdict, Kind, Role, ServerVerdict, Verdicts};
use crate::snapshot::timeline::{ConnectionTrack, Phase, Span, ThreadTrack, Timeline};
use crate::snapshot::{
    Announced, Calibration, Connection, Container, Cost, EndedBy, Host, InFlight, Process, Readiness,
    Runtime, Sampled, SampledWidth, Schedstat, Seen, Snapshot, Step, Storage, Thread, ThreadSamples, Tool,
    Window,
};

/// Ten seconds of one process with so many alike threads.
pub fn snapshot(threads: u32) -> Snapshot {
    Snapshot {
        tool: Tool {
            version: "0.1.0".into(),
            tier: "full".into(),
            object_sha256: "0".repeat(64),
            command: Some(["trace", "attach", "--pid", "100"].map(str::to_owned).into()),
            steps: Vec::new(),
        },
        host: Host { kernel: "6.18.0-test".into(), arch: "x86_64".into() },
        window: Window {
            started_at: "2026-01-01T00:00:00Z".into(),
            duration_ns: 10_000_000_000,
            ended_by: EndedBy::Duration,
            steal_ns: Some(1_000_000),
        },
        pids: vec![100],
        processes_summed: 0,
        processes: vec![Process {
            pid: 100,
            comm: "server".into(),
            exe: Some("/usr/bin/server".into()),
            alive: true,
            inner_pid: Some(1),
            container: Some(Container { runtime: Runtime::Docker, id: "0123456789ab".into() }),
            ..Process::default()
        }],
        threads: (0..threads).map(thread).collect(),
        connections: (0..3).map(connection).collect(),
        peers: Vec::new(),
        turns: None,
        distributions: BTreeMap::from([
            (Account::WaitReady, vec![(1_023, 10), (1_048_575, 980), (8_388_607, 10)]),
            (Account::Copy, vec![(255, 10), (2_047, 990)]),
        ]),
        loss: BTreeMap::from([("map_full".into(), 0), ("lost_wakeups".into(), 0)]),
        degraded: Vec::new(),
        calibration: Calibration {
            done: 23,
            done_bytes: 4_096,
            measured: 23,
            measured_bytes: 4_096,
            measured_slept: 5,
            floor_ns: Some(400),
        },
        cost: Cost {
            bpf_run_ns: Some(12_000_000),
            events: Some(60_000),
            cpu_share: Some(0.0012),
            map_bytes: 9_000_000,
            sampled_ns: Some(1_000_000_000),
            own_cpu_ns: Some(30_000_000),
        },
        calls: Vec::new(),
        sampled: None,
        timeline: Some(timeline()),
    }
}

/// Two threads that wait, one of which answers once.
fn timeline() -> Timeline {
    let span = |what, from_ns, ns| Span { what, from_ns, ns };
    let thread = |tid, spans| ThreadTrack { tid, pid: 100, comm: format!("worker-{}", tid - 100), spans };
    Timeline {
        limit: 1_000_000,
        dropped: 0,
        threads: vec![
            thread(
                100,
                vec![span(Account::WaitReady as u8, 0, 1_001), span(Account::Copy as u8, 1_001, 999)],
            ),
            thread(101, vec![span(Account::WaitReady as u8, 0, 10_000_000_000)]),
        ],
        connections: vec![ConnectionTrack {
            pid: 100,
            side: Side::Server,
            address: "10.0.0.1:1024".into(),
            spans: vec![
                span(Phase::Receive as u8, 1_001, 999),
                span(Phase::Build as u8, 2_000, 500),
                span(Phase::Send as u8, 2_500, 250),
            ],
        }],
    }
}

fn time(account: Account) -> u64 {
    match account {
        Account::WaitReady => 9_800_000_000,
        Account::Runqueue => 20_000_000,
        Account::Copy => 10_000_000,
        Account::Kernel => 120_000_000,
        Account::User => 50_000_000,
        _ => 0,
    }
}

fn thread(i: u32) -> Thread {
    Thread {
        tid: 100 + i,
        pid: 100,
        epoch: 0,
        comm: format!("worker-{i}"),
        born: false,
        alive: true,
        count: 1,
        kernel_io: false,
        lived_ns: 10_000_000_000,
        ledger: Account::ALL.map(|account| (account, time(account))).into(),
        unsplit_ns: 0,
        wait_data_by_side: BTreeMap::from([(Side::Server, 0)]),
        receives: Receives {
            calls: 1_000,
            with_data: 990,
            eof: 10,
            bytes: 99_000,
            after_ready: 980,
            immediate: 10,
            ..Receives::ZERO
        },
        filled: 0,
        receive_syscall: Some("read".into()),
        accepts: Accepts { calls: 10, accepted: 10, ..Accepts::ZERO },
        readiness: Readiness {
            calls: 1_000,
            slept: 980,
            returned: 1_000,
            events: 1_000,
            ..Readiness::default()
        },
        event_loop: None,
        served: BTreeMap::new(),
        answers: trace_common::turn::Answers::ZERO,
        episodes: BTreeMap::new(),
        announced: Announced::default(),
        storage: Storage::default(),
        storage_syscall: None,
        sends: 990,
        sent_bytes: 99_000,
        sleeps: 980,
        preemptions: 3,
        schedstat: Some(Schedstat { run_ns: 180_500_000, delay_ns: 19_000_000 }),
        in_flight: Some(InFlight {
            syscall: Some("epoll_wait".into()),
            account: Account::WaitReady,
            since_ns: 1_000_000,
            before_attach: false,
        }),
        waited_before: false,
        silent: false,
    }
}

fn connection(i: u32) -> Connection {
    Connection {
        side: if i == 2 { Side::Client } else { Side::Server },
        address: format!("10.0.0.1:{}", 50_000 + i),
        pid: 100,
        epoch: 0,
        tid: 100,
        handovers: 0,
        waits: 7,
        wait_ns: 1_000_000,
        receives: 30,
        bytes: 3_000,
        episodes: 30,
        sends: 30,
        replies: 0,
        reply_ns: 0,
        accepted_by: None,
        accepted: i != 2,
        asked_nonblocking: true,
        asked_blocking: false,
        in_epoll: true,
        o_async: false,
    }
}

/// A step down.
pub fn step() -> Step {
    Step {
        at_ns: 600_000_000,
        from: "full".into(),
        to: Some("sched".into()),
        cost_share: 0.03,
        limit_share: 0.02,
        window_ns: 600_000_000,
        io_model: Some("multiplexing".into()),
        confidence: Some("high".into()),
        reported: false,
    }
}

/// Fifty samples of a sleep in epoll over eleven connections.
pub fn seen() -> Seen {
    Seen {
        syscall: Some("epoll_wait".into()),
        account: Account::WaitReady,
        side: Some(Side::Server),
        width: Some(SampledWidth::Many),
        samples: 50,
        peers: 12,
        sockets: 0,
    }
}

/// Samples of these threads, all alike.
pub fn sampled(tids: &[u32]) -> Sampled {
    let of = |tid: &u32| ThreadSamples { tid: *tid, samples: 60, runnable: 10, seen: vec![seen()] };
    Sampled {
        asked_hz: 100.0,
        achieved_hz: 60.0,
        rounds: 60,
        denied: 0,
        by_wchan: 0,
        yama: Some(1),
        o_async: 0,
        threads: tids.iter().map(of).collect(),
    }
}

/// Verdicts that fit [`snapshot`].
pub fn verdicts(snapshot: &Snapshot) -> Verdicts {
    let io_model = io_verdict();
    Verdicts {
        balance: None,
        handovers: BTreeMap::new(),
        following: None,
        server_model: ServerVerdict {
            name: "multi-reactor".into(),
            qualifier: None,
            units: Some("process".into()),
            count: Some(4),
            confidence: Some(Confidence::Medium),
            alternatives: Vec::new(),
            evidence: Vec::new(),
        },
        processes: snapshot.processes.iter().map(|p| (p.program(), io_model.clone())).collect(),
        threads: snapshot.threads.iter().map(|t| (t.tid, io_model.clone())).collect(),
        roles: snapshot.threads.iter().map(|t| (t.tid, Role::Reactor)).collect(),
        findings: Vec::new(),
        blind_spots: vec!["signal delivery is not traced in this version".into()],
        io_model,
    }
}

fn io_verdict() -> IoVerdict {
    IoVerdict {
        name: IoModel::Multiplexing,
        caller: IoModel::Multiplexing.caller().map(str::to_owned),
        callee: IoModel::Multiplexing.callee().map(str::to_owned),
        mechanism: Some("epoll".into()),
        qualifier: None,
        shares: BTreeMap::from([(IoModel::Multiplexing, 0.99), (IoModel::Blocking, 0.01)]),
        confidence: Some(Confidence::High),
        alternatives: Vec::new(),
        evidence: vec![Evidence {
            code: "episodes".into(),
            text: "980 of 990 decided episodes ended after a readiness wait over several peers".into(),
            measured: 0.99,
            threshold: Some(0.8),
            kind: Kind::Behaviour,
            supports: true,
        }],
        settle: None,
        upstream: None,
        storage: None,
    }
}
