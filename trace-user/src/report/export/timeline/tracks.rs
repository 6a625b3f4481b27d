//! From recorded spans to tracks on which events nest or do not overlap.

use std::cmp::Reverse;

use trace_common::account::Account;
use trace_common::conn::Side;

use crate::snapshot::timeline::{ConnectionTrack, Phase, Span, ThreadTrack, Timeline};

/// Tracks of one connection at most: as many of its exchanges can overlap.
const LANES: usize = 16;
/// Events that lie over one another on one track, at most: a turn, its part, a wait in that, and another one.
const DEPTH: usize = 6;

/// What an event shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A thread, in an account.
    Account(Account),
    /// A whole turn.
    Turn,
    /// Something on a connection.
    Phase(Phase),
}

/// A line of the timeline.
#[derive(Debug, PartialEq, Eq)]
pub struct Track {
    /// Process.
    pub pid: u32,
    /// Whether it is that of a connection.
    pub of_connection: bool,
    /// Its number within the process: the thread's id, or a running number.
    pub tid: u32,
    /// Its name; not to be trusted.
    pub name: String,
}

/// An event on a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Index of the track.
    pub track: u32,
    /// What it shows.
    pub shown: Shown,
    /// Begin, ns after that of the window.
    pub from_ns: u64,
    /// Length.
    pub ns: u64,
}

/// All tracks, and all events sorted by their begin, the outer ones first.
#[derive(Debug, Default)]
pub struct Tracks {
    /// Threads by process and id, then connections by process.
    pub tracks: Vec<Track>,
    /// Events.
    pub events: Vec<Event>,
    /// Spans that overlap so many others of their track that no place is left: none that a measurement gives.
    pub left_out: u64,
}

impl Tracks {
    /// Those of `timeline`.
    pub fn of(timeline: &Timeline) -> Tracks {
        let mut tracks = Tracks::default();
        let mut threads: Vec<&ThreadTrack> = timeline.threads.iter().collect();
        threads.sort_by_key(|t| (t.pid, t.tid));
        threads.into_iter().for_each(|thread| tracks.add_thread(thread));
        let mut connections: Vec<&ConnectionTrack> = timeline.connections.iter().collect();
        connections.sort_by_key(|c| c.pid);
        connections.into_iter().for_each(|connection| tracks.add_connection(connection));
        tracks.events.sort_by_key(|e| (e.from_ns, Reverse(e.ns), e.track));
        tracks
    }

    fn add_track(&mut self, pid: u32, of_connection: bool, tid: u32, name: String) -> u32 {
        self.tracks.push(Track { pid, of_connection, tid, name });
        self.tracks.len() as u32 - 1
    }

    /// A thread does one thing at a time. What says otherwise was changed by somebody, and counts only where it is alone.
    fn add_thread(&mut self, thread: &ThreadTrack) {
        let track = self.add_track(thread.pid, false, thread.tid, thread.comm.clone());
        let mut spans: Vec<&Span> = thread.spans.iter().collect();
        spans.sort_by_key(|s| s.from_ns);
        let mut until = 0;
        for span in spans {
            if span.from_ns < until {
                self.left_out += 1;
                continue;
            }
            until = span.end_ns();
            let shown = Shown::Account(span.account());
            self.events.push(Event { track, shown, from_ns: span.from_ns, ns: span.ns });
        }
    }

    fn add_connection(&mut self, connection: &ConnectionTrack) {
        let side = match connection.side {
            Side::Server => "server",
            Side::Client => "client",
            Side::Local => "local",
            Side::Datagram => "datagram",
            Side::Other => "other",
        };
        let name =
            format!("{side} {}", if connection.address.is_empty() { "?" } else { &connection.address });
        let mut lanes: Vec<Lane> = Vec::new();
        let (groups, unknown) = groups(&connection.spans);
        self.left_out += unknown;
        for group in groups {
            let free = lanes.iter().position(|lane| lane.takes(&group));
            let at = match free {
                Some(at) => at,
                None if lanes.len() < LANES => {
                    let more =
                        if lanes.is_empty() { String::new() } else { format!(" ({})", lanes.len() + 1) };
                    let tid = self.tracks.len() as u32 + 1;
                    let track = self.add_track(connection.pid, true, tid, format!("{name}{more}"));
                    lanes.push(Lane { track, open: Vec::new() });
                    lanes.len() - 1
                }
                None => {
                    self.left_out += group.len() as u64;
                    continue;
                }
            };
            self.events.extend(lanes[at].put(&group));
        }
    }
}

/// What belongs together: a turn and its parts, or one span.
type Group = Vec<(Shown, Span)>;

/// The spans of a connection in the order of their begin, the longer ones first; and how many are of no known phase.
fn groups(spans: &[Span]) -> (Vec<Group>, u64) {
    let (mut groups, mut unknown) = (Vec::new(), 0);
    let mut rest = spans;
    while let [span, more @ ..] = rest {
        rest = more;
        let phases: Vec<Option<Phase>> = [span].into_iter().chain(more).take(3).map(Span::phase).collect();
        let is_turn = phases == [Some(Phase::Receive), Some(Phase::Build), Some(Phase::Send)]
            && more[0].from_ns == span.end_ns()
            && more[1].from_ns == more[0].end_ns();
        if is_turn {
            let whole = Span { ns: more[1].end_ns() - span.from_ns, ..*span };
            let parts = [span, &more[0], &more[1]].into_iter().zip(&phases);
            let parts = parts.filter_map(|(s, phase)| Some((Shown::Phase((*phase)?), *s)));
            groups.push([(Shown::Turn, whole)].into_iter().chain(parts).collect());
            rest = &more[2..];
        } else if let Some(phase) = phases[0] {
            groups.push(vec![(Shown::Phase(phase), *span)]);
        } else {
            unknown += 1;
        }
    }
    groups.sort_by_key(|group: &Group| (group[0].1.from_ns, Reverse(group[0].1.ns)));
    (groups, unknown)
}

/// One of the tracks of a connection.
struct Lane {
    track: u32,
    /// Spans that those to come may overlap.
    open: Vec<Span>,
}

impl Lane {
    /// Whether each span of `group` lies within those of this track that it touches.
    fn takes(&self, group: &Group) -> bool {
        let begin = group[0].1.from_ns;
        let open = || self.open.iter().filter(|o| o.end_ns() > begin);
        open().count() + group.len() <= DEPTH
            && group.iter().all(|(_, span)| {
                open().all(|o| {
                    let apart = o.end_ns() <= span.from_ns || span.end_ns() <= o.from_ns;
                    apart || (o.from_ns <= span.from_ns && span.end_ns() <= o.end_ns())
                })
            })
    }

    fn put(&mut self, group: &Group) -> Vec<Event> {
        let begin = group[0].1.from_ns;
        self.open.retain(|o| o.end_ns() > begin);
        self.open.extend(group.iter().map(|(_, span)| *span));
        let event = |(shown, span): &(Shown, Span)| Event {
            track: self.track,
            shown: *shown,
            from_ns: span.from_ns,
            ns: span.ns,
        };
        group.iter().map(event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(what: Phase, from_ns: u64, ns: u64) -> Span {
        Span { what: what as u8, from_ns, ns }
    }

    fn of(spans: Vec<Span>) -> Tracks {
        let connection = ConnectionTrack { pid: 1, side: Side::Server, address: "a".to_owned(), spans };
        Tracks::of(&Timeline { connections: vec![connection], ..Timeline::default() })
    }

    fn turn(from: u64) -> [Span; 3] {
        [span(Phase::Receive, from, 10), span(Phase::Build, from + 10, 5), span(Phase::Send, from + 15, 5)]
    }

    #[test]
    fn a_turn_holds_its_parts_and_a_wait_within_a_part_lies_over_it() {
        let spans = [&turn(100)[..], &[span(Phase::Wait, 90, 5), span(Phase::Wait, 102, 4)]].concat();
        let tracks = of(spans);
        assert_eq!((tracks.tracks.len(), tracks.left_out), (1, 0));
        let shown: Vec<_> = tracks.events.iter().map(|e| (e.shown, e.from_ns, e.ns)).collect();
        let phase = Shown::Phase;
        assert_eq!(
            shown,
            [
                (phase(Phase::Wait), 90, 5),
                (Shown::Turn, 100, 20),
                (phase(Phase::Receive), 100, 10),
                (phase(Phase::Wait), 102, 4),
                (phase(Phase::Build), 110, 5),
                (phase(Phase::Send), 115, 5)
            ]
        );
    }

    #[test]
    fn what_overlaps_has_a_track_of_its_own() {
        let tracks = of([&turn(100)[..], &turn(118)[..], &turn(138)[..]].concat());
        let names: Vec<_> = tracks.tracks.iter().map(|t| &*t.name).collect();
        assert_eq!(names, ["server a", "server a (2)"]);
        let on: Vec<u32> = tracks.events.iter().filter(|e| e.shown == Shown::Turn).map(|e| e.track).collect();
        assert_eq!(on, [0, 1, 0]);
    }

    #[test]
    fn what_no_measurement_gives_takes_neither_long_nor_much() {
        let many = (0..50_000).map(|i| span(Phase::Wait, i, 100_000)).collect();
        let tracks = of(many);
        assert_eq!(tracks.tracks.len(), LANES);
        assert_eq!(tracks.events.len() as u64 + tracks.left_out, 50_000);
        let unknown = of(vec![Span { what: 99, from_ns: u64::MAX, ns: u64::MAX }]);
        assert_eq!((unknown.left_out, unknown.events.len()), (1, 0));
        let whole = Span { what: 0, from_ns: 5, ns: u64::MAX };
        let thread = ThreadTrack { tid: 1, pid: 1, comm: String::new(), spans: vec![whole, whole] };
        let tracks = Tracks::of(&Timeline { threads: vec![thread], ..Timeline::default() });
        assert_eq!((tracks.events.len(), tracks.left_out), (1, 1));
    }
}
