//! From the kernel's records to the plain data of a snapshot.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use trace_common::account::Account;
use trace_common::call::{CallState, flag as call_flag};
use trace_common::conn::{Conn, Ending, Peer as Sum, PeerKey, Side, flag as conn_flag};
use trace_common::event_loop::{Loop, Timeout};
use trace_common::handover::{HANDOVERS, Handover};
use trace_common::hist;
use trace_common::ready::{Ready, Width};
use trace_common::thread::{Sched, Thread as Record, flag};
use trace_common::turn::{PARTS, Part, Turns as Totals};
use trace_common::uring::Ring;

use crate::kernel::names;
use crate::snapshot::{
    Announced, Connection, Episodes, EventLoop, Handovers, InFlight, Iteration, Peer, Readiness, Storage,
    Thread, Turns,
};

/// The window, in the probes' clock.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Start, ns.
    pub start: u64,
    /// End, ns.
    pub end: u64,
}

/// The data of a closed record.
pub fn thread(record: &Record, comm: String, span: Span) -> Thread {
    let died = record.sched() == Sched::Dead;
    let born = record.born_at.max(span.start);
    let last = if died { record.died_at } else { span.end };
    let lived_ns = last.saturating_sub(born);
    Thread {
        tid: record.tid,
        pid: record.tgid,
        epoch: 0,
        comm,
        born: record.born_at > span.start && !began_by_exec(record),
        alive: !died,
        count: 1,
        kernel_io: record.flags & flag::KERNEL_IO != 0,
        lived_ns,
        ledger: ledger(record),
        unsplit_ns: record.unsplit,
        wait_data_by_side: wait_by_side(record),
        receives: record.receives,
        receive_syscall: (record.receives.calls > 0)
            .then(|| u32::try_from(record.receive_nr).ok().map(names::syscall))
            .flatten(),
        filled: record.filled,
        accepts: record.accepts,
        readiness: readiness(&record.ready),
        event_loop: event_loop(&record.looping),
        served: served(&record.served),
        answers: record.answers,
        episodes: Side::ALL.into_iter().map(|s| (s, episodes(record, s))).collect(),
        announced: Announced {
            fd_signals: record.fd_signals,
            sigio_signals: record.sigio_signals,
            ..Announced::default()
        },
        storage: Storage {
            slept: record.storage_slept,
            aio_submitted: record.aio_submitted,
            aio_completed: record.aio_completed,
            aio_signals: record.aio_signals,
            ..Storage::default()
        },
        storage_syscall: (record.storage_slept > 0)
            .then(|| u32::try_from(record.storage_nr).ok().map(names::syscall))
            .flatten(),
        sends: record.sends,
        sent_bytes: record.sent_bytes,
        sleeps: record.sleeps,
        preemptions: record.preemptions,
        schedstat: None,
        in_flight: in_flight(record, span),
        waited_before: record.flags & flag::WAITED_BEFORE != 0,
        silent: false,
    }
}

/// Whether it is the record that a program begins with which its process executed in the window: no thread was born then.
pub fn began_by_exec(record: &Record) -> bool {
    record.flags & flag::EXECUTED != 0 && record.born_at == record.program_at
}

/// Where calls are not traced, time on a CPU is not told apart.
fn ledger(record: &Record) -> BTreeMap<Account, u64> {
    let unsplit = record.flags & flag::UNSPLIT != 0;
    let measured = |a: &Account| !(unsplit && a.is_on_cpu());
    Account::ALL.into_iter().filter(measured).map(|a| (a, record.ledger[a.index()])).collect()
}

/// `wait_data` by side; what a receive in flight has waited so far belongs to the side that is known of it.
fn wait_by_side(record: &Record) -> BTreeMap<Side, u64> {
    let mut by_side: BTreeMap<Side, u64> =
        Side::ALL.into_iter().map(|s| (s, record.wait_by_side[s.index()])).collect();
    let booked: u64 = by_side.values().sum();
    let open = record.ledger[Account::WaitData.index()].saturating_sub(booked);
    let known = record.receive_fd == record.call.args[0] as u32;
    let side = if known { Side::from_u8(record.receive_side as u8) } else { Side::Other };
    *by_side.entry(side).or_default() += open;
    by_side
}

fn readiness(ready: &Ready) -> Readiness {
    let by = |width: Width| ready.by_width[width as usize];
    Readiness {
        calls: ready.calls,
        slept: ready.slept,
        returned: ready.returned,
        empty: ready.empty,
        events: ready.events,
        width_none: by(Width::None),
        width_listeners: by(Width::Listeners),
        width_one: by(Width::One),
        width_datagram: by(Width::Datagram),
        width_many: by(Width::Many),
        width_unknown: by(Width::Unknown),
        by_call: [ready.by_call[0], ready.by_call[1], ready.by_call[2], 0],
    }
}

fn episodes(record: &Record, side: Side) -> Episodes {
    let s = side.index();
    let by = |ending: Ending| u64::from(record.episodes[s][ending.index()]);
    Episodes {
        slept: by(Ending::Slept),
        ready_wide: by(Ending::ReadyWide),
        ready_narrow: by(Ending::ReadyNarrow),
        ready_unknown: by(Ending::ReadyUnknown),
        polled: by(Ending::Polled),
        signalled: by(Ending::Signalled),
        completed: 0,
        connections: u64::from(record.connections[s]),
        narrow_connections: u64::from(record.narrow_connections[s]),
    }
}

/// What [`Thread::receive_syscall`] says of receives that were completed by a ring.
pub const BY_RING: &str = "io_uring";

/// Adds each ring to the thread that owns it; to the first thread of its program, or to any, if that one has ended. No ring
/// outlives the program that made it (`io_uring_task_cancel` in `fs/exec.c`). `epoch` tells which one a process ran when.
pub fn add_rings(threads: &mut [Thread], rings: &[Ring], epoch: impl Fn(u32, u64) -> u32) {
    for ring in rings {
        let program = (ring.tgid, epoch(ring.tgid, ring.made_at));
        let owner = [ring.tid, ring.tgid]
            .into_iter()
            .find_map(|tid| threads.iter().position(|t| t.tid == tid && t.program() == program))
            .or_else(|| threads.iter().position(|t| t.program() == program));
        if let Some(owner) = owner {
            add_ring(&mut threads[owner], ring);
        }
    }
}

fn add_ring(thread: &mut Thread, ring: &Ring) {
    thread.receives.add(&ring.receives);
    thread.accepts.add(&ring.accepts);
    thread.sends += ring.sends;
    thread.sent_bytes += ring.sent_bytes;
    if ring.receives.calls > 0 {
        thread.receive_syscall = Some(BY_RING.to_owned());
    }
    for side in Side::ALL {
        let episodes = thread.episodes.entry(side).or_default();
        episodes.completed += ring.episodes[side.index()];
        episodes.connections += ring.connections[side.index()];
    }
    let polls = ring.polls.iter().sum::<u64>();
    let readiness = &mut thread.readiness;
    readiness.returned += polls;
    readiness.events += polls;
    readiness.by_call[3] += polls;
    readiness.width_listeners += ring.polls[Width::Listeners as usize];
    readiness.width_one += ring.polls[Width::One as usize];
    readiness.width_many += ring.polls[Width::Many as usize];
    readiness.width_unknown += ring.polls[Width::Unknown as usize];
    thread.announced.add(&Announced {
        rings: u64::from(ring.submitted + ring.receives.calls + ring.storage + polls + ring.other > 0),
        submitted: ring.submitted,
        receives: ring.receive_ways,
        polls,
        other: ring.other,
        ..Announced::default()
    });
    thread.storage.add(&Storage {
        ring: ring.storage_ways,
        ring_bytes: ring.storage_bytes,
        ..Storage::default()
    });
}

fn in_flight(record: &Record, span: Span) -> Option<InFlight> {
    if record.sched() != Sched::Asleep {
        return None;
    }
    let in_call = record.call.state == CallState::Active as u8;
    Some(InFlight {
        syscall: in_call.then(|| names::syscall(record.call.nr)),
        account: Account::from_u8(record.sleep),
        since_ns: span.end.saturating_sub(record.off_at.max(span.start)),
        before_attach: in_call && record.call.has(call_flag::BEFORE_ATTACH),
    })
}

/// The name that a thread had when it ended.
pub fn last_name(record: &Record) -> Option<String> {
    let length = record.comm.iter().position(|byte| *byte == 0).unwrap_or(record.comm.len());
    (length > 0).then(|| String::from_utf8_lossy(&record.comm[..length]).into_owned())
}

fn served(by_way: &[u32; HANDOVERS]) -> Handovers {
    Handover::ALL
        .into_iter()
        .map(|way| (way, u64::from(by_way[way as usize])))
        .filter(|(_, n)| *n > 0)
        .collect()
}

fn event_loop(l: &Loop) -> Option<EventLoop> {
    let call = |nr: u64| u32::try_from(nr).ok().map(names::syscall);
    (l.iterations > 0).then(|| EventLoop {
        iterations: l.iterations,
        ns: l.ns,
        blocked_ns: l.blocked_ns,
        without_work: l.without_work,
        longest: Iteration {
            ns: l.longest.ns,
            cpu_ns: l.longest.cpu_ns,
            runqueue_ns: l.longest.runqueue_ns,
            sleep_ns: l.longest.sleep_ns,
            sleep_syscall: (l.longest.sleep_ns > 0).then(|| call(l.longest.sleep_nr)).flatten(),
        },
        longest_sleep_ns: l.longest_sleep_ns,
        longest_sleep_syscall: (l.longest_sleep_ns > 0).then(|| call(l.longest_sleep_nr)).flatten(),
        timeouts_unknown: l.timeouts[Timeout::Unknown as usize],
        timeouts_zero: l.timeouts[Timeout::Zero as usize],
        timeouts_finite: l.timeouts[Timeout::Finite as usize],
        timeouts_infinite: l.timeouts[Timeout::Infinite as usize],
    })
}

/// Turns that have ended, and those of `connections` that are answered: whatever follows the window ends these.
pub fn turns(mut ended: Totals, times: [Vec<(u64, u64)>; PARTS], connections: &[Conn]) -> Turns {
    let mut times: BTreeMap<Part, BTreeMap<u64, u64>> =
        Part::ALL.into_iter().zip(times.map(|buckets| buckets.into_iter().collect())).collect();
    for conn in connections.iter().filter(|c| c.side() == Side::Server && c.turn.is_answered()) {
        let spent = conn.turn.spent();
        ended.add(spent);
        for part in Part::ALL {
            let edge = hist::upper(hist::bucket(spent.of(part)));
            *times.entry(part).or_default().entry(edge).or_default() += 1;
        }
    }
    let times = times.into_iter().map(|(part, buckets)| (part, buckets.into_iter().collect()));
    Turns { totals: ended, times: times.collect() }
}

/// What connections of one peer came to that have no record any more.
pub fn peer(key: &PeerKey, sum: &Sum) -> Peer {
    let conn = Conn { remote: key.remote, family: key.family, remote_port: key.port, ..Conn::default() };
    Peer {
        side: Side::from_u8(key.side),
        address: address(&conn),
        connections: sum.connections,
        waits: sum.waits,
        wait_ns: sum.wait_ns,
        receives: sum.receives,
        bytes: sum.bytes,
        replies: sum.replies,
        reply_ns: sum.reply_ns,
    }
}

/// The data of a connection. `epoch` tells which program a process ran when.
pub fn connection(conn: &Conn, epoch: impl Fn(u32, u64) -> u32) -> Connection {
    Connection {
        side: conn.side(),
        address: address(conn),
        pid: conn.tgid,
        epoch: epoch(conn.tgid, conn.last_data_at.max(conn.last_empty_at)),
        tid: conn.tid,
        handovers: conn.handovers,
        waits: conn.waits,
        wait_ns: conn.wait_ns,
        receives: conn.receives,
        bytes: conn.bytes,
        episodes: conn.episodes,
        sends: conn.sends,
        replies: conn.replies,
        reply_ns: conn.reply_ns,
        accepted_by: (conn.accepted_by != 0).then_some(conn.accepted_by),
        accepted: conn.flags & conn_flag::ACCEPTED != 0,
        asked_nonblocking: conn.flags & conn_flag::ASKED_NONBLOCKING != 0,
        asked_blocking: conn.flags & conn_flag::ASKED_BLOCKING != 0,
        in_epoll: conn.flags & conn_flag::IN_EPOLL != 0,
        o_async: conn.flags & conn_flag::O_ASYNC != 0,
    }
}

/// The remote address of a connection, with its port.
pub fn address(conn: &Conn) -> String {
    let [a, b, c, d, ..] = conn.remote;
    let ip = match i32::from(conn.family) {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::from(conn.remote)).to_canonical(),
        libc::AF_UNIX => return "unix".to_owned(),
        other => return format!("family {other}"),
    };
    SocketAddr::new(ip, conn.remote_port).to_string()
}
