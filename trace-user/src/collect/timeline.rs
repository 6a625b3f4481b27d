//! `--timeline`: from the entries of the probes' ring to the tracks of threads and connections.

use std::collections::HashMap;
use std::mem;

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{MapData, RingBuf};
use trace_common::account::Account;
use trace_common::conn::{Conn, Side};
use trace_common::loss::{Loss, Sink};
use trace_common::timeline::{Entry, Note, tell};
use trace_common::turn::Spent;

use super::convert;
use crate::snapshot::timeline::{ConnectionTrack, Phase, Span, ThreadTrack, Timeline};

/// Name of the ring.
pub const RING: &str = "TIMELINE";
/// Its length, bytes: 170,000 entries with their headers of 8, which a target has to make within the 20 ms after which it
/// is looked at.
pub const RING_BYTES: u32 = 8 << 20;

/// Reads the ring and keeps what is in it.
pub struct Recorder {
    ring: RingBuf<MapData>,
    tracks: Tracks,
}

impl Recorder {
    /// A recorder that keeps `limit` spans.
    ///
    /// # Errors
    /// If the object has no such ring, or it cannot be mapped.
    pub fn take(ebpf: &mut Ebpf, limit: u32) -> Result<Recorder> {
        let ring = ebpf.take_map(RING).context("the probe object has no timeline")?;
        Ok(Recorder { ring: RingBuf::try_from(ring)?, tracks: Tracks::new(limit) })
    }

    /// Takes what came since the last call.
    pub fn drain(&mut self) {
        while let Some(item) = self.ring.next() {
            if item.len() >= size_of::<Entry>() {
                // SAFETY: the probes write whole entries, which have no invalid bit patterns.
                self.tracks.add(unsafe { item.as_ptr().cast::<Entry>().read_unaligned() });
            }
        }
    }

    /// Forgets what the canary did.
    pub fn forget(&mut self) {
        self.drain();
        self.tracks = Tracks::new(self.tracks.limit);
    }

    /// Tells the name of a thread. There may be a few entries of it that were not taken yet.
    pub fn name(&mut self, tid: u32, pid: u32, comm: &str) {
        if let Some(track) = self.tracks.thread(tid, pid) {
            comm.clone_into(&mut track.comm);
        }
    }

    /// Adds what was still in progress at the end: whatever else there is, every thread has a track.
    pub fn add_tail(&mut self, tail: Tail) {
        for entry in tail.0 {
            self.tracks.book(entry, true);
        }
    }

    /// Adds the turns that are answered and that nothing has ended.
    pub fn add_turns(&mut self, connections: &[Conn]) {
        for conn in connections.iter().filter(|c| c.side() == Side::Server && c.turn.is_answered()) {
            tell(conn, Note::Receive as u32, conn.turn.sent_at, |entry| self.tracks.add(entry));
        }
    }

    /// Thread `tid` was not asleep by itself for the first `ns`, but held by trace; see [`super::held`].
    pub fn held(&mut self, tid: u32, ns: u64) {
        self.tracks.held(tid, ns);
    }

    /// Spans that were not kept, beside those that the ring had no room for.
    pub fn dropped(&self) -> u64 {
        self.tracks.dropped
    }

    /// All of it, in time after `start`; of connections that were seen to be made, `connections` are those that still have
    /// a record. The ring had no room for `lost` entries.
    pub fn finish(&mut self, start: u64, lost: u64) -> Timeline {
        let tracks = mem::replace(&mut self.tracks, Tracks::new(0));
        tracks.finish(start, lost)
    }
}

/// What a connection is known by, and the part of a turn that has come.
#[derive(Default)]
struct Live {
    track: Option<usize>,
    side: u8,
    address: String,
    turn: Vec<Span>,
}

/// The tracks, in the clock of the probes.
struct Tracks {
    limit: u32,
    kept: u32,
    dropped: u64,
    threads: Vec<ThreadTrack>,
    by_thread: HashMap<(u32, u32), usize>,
    connections: Vec<ConnectionTrack>,
    by_key: HashMap<u64, Live>,
}

impl Tracks {
    fn new(limit: u32) -> Tracks {
        Tracks {
            limit,
            kept: 0,
            dropped: 0,
            threads: Vec::new(),
            by_thread: HashMap::new(),
            connections: Vec::new(),
            by_key: HashMap::new(),
        }
    }

    /// Whether `spans` more may be kept.
    fn has_room(&mut self, spans: u32) -> bool {
        let has = self.kept + spans <= self.limit;
        if has {
            self.kept += spans;
        } else {
            self.dropped += u64::from(spans);
        }
        has
    }

    fn add(&mut self, entry: Entry) {
        let note = |note: Note| entry.what == note as u32;
        if let Some(conn) = entry.connection() {
            // What was at this place in memory before has its track, and gets no more.
            let live = Live { side: conn.side, address: convert::address(&conn), ..Live::default() };
            self.by_key.insert(entry.key, live);
        } else if note(Note::Copied) {
            self.copied(entry);
        } else if note(Note::Waited) {
            self.waited(entry);
        } else if note(Note::Receive) || note(Note::Build) || note(Note::Send) {
            self.turn(entry);
        } else if note(Note::Reply) {
            self.put(entry, &[span(Phase::Reply as u8, entry.from, entry.to)]);
        } else {
            self.book(entry, false);
        }
    }

    /// The track of a thread; `None` if there is none and no room for its spans.
    fn thread(&mut self, tid: u32, pid: u32) -> Option<&mut ThreadTrack> {
        let full = self.kept >= self.limit;
        if full && !self.by_thread.contains_key(&(tid, pid)) {
            return None;
        }
        Some(self.thread_or_new(tid, pid))
    }

    fn thread_or_new(&mut self, tid: u32, pid: u32) -> &mut ThreadTrack {
        let threads = &mut self.threads;
        let at = *self.by_thread.entry((tid, pid)).or_insert_with(|| {
            threads.push(ThreadTrack { tid, pid, comm: String::new(), spans: Vec::new() });
            threads.len() - 1
        });
        &mut self.threads[at]
    }

    /// A booking. What follows a booking of the same account is one span with it. `always`: beyond the limit as well.
    fn book(&mut self, entry: Entry, always: bool) {
        let Entry { from, to, tid, tgid, .. } = entry;
        if to <= from {
            return;
        }
        let span = span(entry.what as u8, from, to);
        if let Some(at) = self.by_thread.get(&(tid, tgid))
            && let Some(last) = self.threads[*at].spans.last_mut()
            && last.what == span.what
            && last.end_ns() == from
        {
            last.ns += span.ns;
        } else if always || self.has_room(1) {
            self.thread_or_new(tid, tgid).spans.push(span);
        }
    }

    /// The last so many ns in the kernel were a copy: as far back as nothing is missing in between.
    fn copied(&mut self, entry: Entry) {
        let mut left = entry.to - entry.from;
        let Some(at) = self.by_thread.get(&(entry.tid, entry.tgid)) else { return };
        let spans = &mut self.threads[*at].spans;
        let (mut i, mut end) = (spans.len(), entry.to);
        while left > 0 && i > 0 && spans[i - 1].end_ns() == end {
            i -= 1;
            end = spans[i].from_ns;
            if spans[i].account() != Account::Kernel {
                continue;
            }
            if spans[i].ns > left {
                let kernel = spans[i].ns - left;
                let copy = span(Account::Copy as u8, end + kernel, spans[i].end_ns());
                spans[i].ns = kernel;
                spans.insert(i + 1, copy);
                self.kept += 1;
                return;
            }
            left -= spans[i].ns;
            spans[i].what = Account::Copy as u8;
        }
    }

    /// Sleeps of a thread for data, of which it is known now on which connection they were.
    fn waited(&mut self, entry: Entry) {
        let Some(at) = self.by_thread.get(&(entry.tid, entry.tgid)) else { return };
        let in_call = |span: &&Span| span.from_ns >= entry.from;
        let of_thread = self.threads[*at].spans.iter().rev().take_while(in_call);
        let waits = of_thread.filter(|s| s.account() == Account::WaitData && s.end_ns() <= entry.to);
        let mut waits: Vec<Span> = waits.map(|s| Span { what: Phase::Wait as u8, ..*s }).collect();
        waits.reverse();
        self.put(entry, &waits);
    }

    /// A part of a turn; the turn is kept whole or not at all.
    fn turn(&mut self, entry: Entry) {
        let phase = (entry.what - Note::Receive as u32) as u8 + Phase::Receive as u8;
        let turn = &mut self.by_key.entry(entry.key).or_default().turn;
        if phase == Phase::Receive as u8 {
            self.dropped += turn.len() as u64;
            turn.clear();
        }
        turn.push(span(phase, entry.from, entry.to));
        if phase == Phase::Send as u8 {
            let turn = mem::take(turn);
            if turn.len() == 3 {
                self.put(entry, &turn);
            } else {
                self.dropped += turn.len() as u64;
            }
        }
    }

    /// Spans of a connection.
    fn put(&mut self, entry: Entry, spans: &[Span]) {
        if spans.is_empty() || !self.has_room(spans.len() as u32) {
            return;
        }
        let connections = &mut self.connections;
        let live = self.by_key.entry(entry.key).or_default();
        let at = *live.track.get_or_insert_with(|| {
            let side = Side::from_u8(live.side);
            let address = mem::take(&mut live.address);
            connections.push(ConnectionTrack { pid: 0, side, address, spans: Vec::new() });
            connections.len() - 1
        });
        let track = &mut connections[at];
        if entry.tgid != 0 {
            track.pid = entry.tgid;
        }
        track.spans.extend_from_slice(spans);
    }

    fn held(&mut self, tid: u32, mut ns: u64) {
        let Some(track) = self.threads.iter_mut().find(|t| t.tid == tid) else { return };
        let mut i = 0;
        while ns > 0 && i < track.spans.len() {
            let whole = track.spans[i];
            if whole.account() == Account::WaitOther {
                let held = whole.ns.min(ns);
                ns -= held;
                track.spans[i] = Span { what: Account::Stopped as u8, ns: held, ..whole };
                if held < whole.ns {
                    track.spans.insert(i + 1, span(whole.what, whole.from_ns + held, whole.end_ns()));
                }
            }
            i += 1;
        }
    }

    fn finish(mut self, start: u64, lost: u64) -> Timeline {
        self.threads.retain(|track| !track.spans.is_empty());
        let threads = self.threads.iter_mut().map(|t| &mut t.spans);
        for span in threads.chain(self.connections.iter_mut().map(|c| &mut c.spans)).flatten() {
            span.from_ns = span.from_ns.saturating_sub(start);
        }
        Timeline {
            limit: u64::from(self.limit),
            dropped: self.dropped + lost,
            threads: self.threads,
            connections: self.connections,
        }
    }
}

fn span(what: u8, from: u64, to: u64) -> Span {
    Span { what, from_ns: from, ns: to.saturating_sub(from) }
}

/// What is booked while records are closed on the host.
#[derive(Default)]
pub struct Tail(Vec<Entry>);

impl Sink for Tail {
    fn lose(&mut self, _: Loss) {}
    fn observe(&mut self, _: Account, _: u64) {}
    fn turn(&mut self, _: Spent) {}
    fn mark(&mut self, entry: Entry) {
        self.0.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TID: u32 = 7;

    fn booked(account: Account, from: u64, to: u64) -> Entry {
        Entry { from, to, tid: TID, tgid: 5, what: account as u32, ..Entry::default() }
    }

    fn noted(note: Note, key: u64, from: u64, to: u64) -> Entry {
        Entry { from, to, key, tid: TID, tgid: 5, what: note as u32, reserved: 0 }
    }

    fn recorded(limit: u32, entries: &[Entry]) -> Timeline {
        let mut tracks = Tracks::new(limit);
        entries.iter().for_each(|entry| tracks.add(*entry));
        tracks.finish(100, 0)
    }

    fn of_thread(timeline: &Timeline) -> Vec<(Account, u64, u64)> {
        timeline.threads[0].spans.iter().map(|s| (s.account(), s.from_ns, s.ns)).collect()
    }

    #[test]
    fn bookings_of_one_account_that_follow_one_another_are_one_span() {
        let timeline = recorded(
            2,
            &[
                booked(Account::User, 100, 110),
                booked(Account::User, 110, 130),
                booked(Account::Kernel, 130, 131),
                booked(Account::Kernel, 131, 131),
                booked(Account::Kernel, 131, 140),
                booked(Account::User, 140, 141),
            ],
        );
        assert_eq!(of_thread(&timeline), [(Account::User, 0, 30), (Account::Kernel, 30, 10)]);
        assert_eq!((timeline.dropped, timeline.spans()), (1, 2));
    }

    #[test]
    fn a_copy_that_no_event_showed_is_taken_from_the_last_time_in_the_kernel() {
        let timeline = recorded(
            9,
            &[
                booked(Account::Kernel, 100, 110),
                booked(Account::WaitData, 110, 120),
                booked(Account::Kernel, 120, 130),
                booked(Account::Preempted, 130, 140),
                booked(Account::Kernel, 140, 150),
                noted(Note::Copied, 0, 133, 150),
            ],
        );
        let spans = of_thread(&timeline);
        assert_eq!(
            spans[2..],
            [
                (Account::Kernel, 20, 3),
                (Account::Copy, 23, 7),
                (Account::Preempted, 30, 10),
                (Account::Copy, 40, 10)
            ]
        );
    }

    #[test]
    fn waits_of_a_call_are_those_of_its_connection() {
        let timeline = recorded(
            9,
            &[
                booked(Account::WaitData, 100, 110),
                booked(Account::Kernel, 110, 120),
                booked(Account::WaitData, 120, 130),
                booked(Account::Runqueue, 130, 140),
                booked(Account::WaitData, 140, 145),
                noted(Note::Waited, 1, 115, 150),
            ],
        );
        let spans = &timeline.connections[0].spans;
        let times: Vec<_> = spans.iter().map(|s| (s.phase(), s.from_ns, s.ns)).collect();
        assert_eq!(times, [(Some(Phase::Wait), 20, 10), (Some(Phase::Wait), 40, 5)]);
    }

    #[test]
    fn a_turn_is_kept_whole_or_not_at_all_and_what_is_not_kept_is_counted() {
        let turn = [
            noted(Note::Receive, 1, 110, 110),
            noted(Note::Build, 1, 110, 120),
            noted(Note::Send, 1, 120, 130),
        ];
        let timeline = recorded(4, &[&turn[..], &turn[1..], &turn[..]].concat());
        assert_eq!((timeline.spans(), timeline.dropped), (3, 5));
        let address = Conn { family: 2, remote_port: 9, sk: 1, ..Conn::default() };
        let timeline = recorded(9, &[&turn[..], &[Entry::opened(&address)], &turn[..]].concat());
        let addresses: Vec<_> = timeline.connections.iter().map(|c| (&*c.address, c.pid)).collect();
        assert_eq!(addresses, [("", 5), ("0.0.0.0:9", 5)], "another connection at the same place in memory");
    }

    #[test]
    fn a_thread_that_was_held_did_not_sleep() {
        let mut tracks = Tracks::new(9);
        tracks.add(booked(Account::WaitOther, 100, 120));
        tracks.add(booked(Account::User, 120, 130));
        tracks.add(booked(Account::WaitOther, 130, 150));
        tracks.held(TID, 25);
        let timeline = tracks.finish(100, 3);
        let spans = of_thread(&timeline);
        assert_eq!(
            spans,
            [
                (Account::Stopped, 0, 20),
                (Account::User, 20, 10),
                (Account::Stopped, 30, 5),
                (Account::WaitOther, 35, 15)
            ]
        );
        assert_eq!(timeline.dropped, 3);
    }
}
