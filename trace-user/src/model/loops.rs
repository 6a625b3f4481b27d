//! Findings on event loops: what a reactor does between its waits that it should not.

use super::counted;
use super::findings::finding;
use super::tally::share;
use super::thresholds::{
    BLOCKED_LOOP, BLOCKED_SLEEP_NS, BUSY_LOOP, FILLED, HERD, ONE_EVENT, ONE_EVENT_RATE, ROUSED,
};
use super::verdict::{Finding, Role, Verdicts};
use crate::snapshot::{EventLoop, Snapshot, Thread};

/// Findings on the loops of `snapshot`.
pub fn find(snapshot: &Snapshot, verdicts: &Verdicts) -> Vec<Finding> {
    let reactors: Vec<(&Thread, &EventLoop)> = snapshot
        .threads
        .iter()
        .filter(|t| verdicts.roles.get(&t.tid) == Some(&Role::Reactor))
        .filter_map(|t| Some((t, t.event_loop.as_ref()?)))
        .collect();
    [
        blocking_call(&reactors),
        without_work(snapshot),
        one_event(&reactors, snapshot.window.duration_ns),
        buffers_filled(snapshot),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn blocking_call(reactors: &[(&Thread, &EventLoop)]) -> Option<Finding> {
    // In a futex sleeps who waits for a lock, and as well a thread of a pool that has nothing to do.
    let parks = |l: &EventLoop| l.longest_sleep_syscall.as_deref() == Some("futex");
    let blocks = |l: &EventLoop| {
        share(l.blocked_ns, l.ns) >= BLOCKED_LOOP && l.longest_sleep_ns >= BLOCKED_SLEEP_NS && !parks(l)
    };
    let (thread, l) = reactors.iter().filter(|(_, l)| blocks(l)).max_by_key(|(_, l)| l.blocked_ns)?;
    let call = l.longest_sleep_syscall.as_deref().unwrap_or("no call: a page fault, or a lock of the kernel");
    Some(finding(
        "blocking-call-in-reactor",
        "warning",
        "A loop sleeps outside its wait, and all its connections wait with it",
        format!(
            "thread {} slept {:.0} % of the time between its waits ({:.1} ms); longest {:.1} ms, in {call}",
            thread.tid,
            100.0 * share(l.blocked_ns, l.ns),
            l.blocked_ns as f64 / 1e6,
            l.longest_sleep_ns as f64 / 1e6
        ),
        "Hand that call to a pool of threads, or make it non-blocking and wait for it in the loop.",
    ))
}

fn without_work(snapshot: &Snapshot) -> Option<Finding> {
    let mut sum = (0, 0);
    // What a ring completes is work that its thread's calls do not show.
    for thread in snapshot.threads.iter().filter(|t| t.announced.rings == 0) {
        if let Some(l) = &thread.event_loop {
            sum = (sum.0 + l.without_work, sum.1 + thread.readiness.returned);
        }
    }
    let (idle, returned) = sum;
    let vain: u64 = snapshot.threads.iter().map(|t| t.accepts.eagain).sum();
    // Without accepts in vain, what moves on is a pipe, a child or a timer.
    (returned >= ROUSED && share(idle, returned) >= HERD && vain * 2 >= idle).then(|| {
        finding(
            "wakeups-without-work",
            "warning",
            "Waits return, and there is nothing left to do",
            format!(
                "{idle} of {returned} waits that returned descriptors moved nothing on; {} found no connection",
                counted(vain, "accept", "accepts")
            ),
            "Several waiters on one listener all wake for each connection (thundering herd): EPOLLEXCLUSIVE, or a \
             listener for each (SO_REUSEPORT).",
        )
    })
}

fn one_event(reactors: &[(&Thread, &EventLoop)], window_ns: u64) -> Option<Finding> {
    let seconds = window_ns as f64 / 1e9;
    let loaded = |t: &Thread| {
        let rate = t.readiness.returned as f64 / seconds.max(1e-9);
        let events = t.readiness.events as f64 / t.readiness.returned.max(1) as f64;
        rate >= ONE_EVENT_RATE && events < ONE_EVENT && share(t.on_cpu_ns(), t.lived_ns) >= BUSY_LOOP
    };
    let (thread, _) = reactors.iter().filter(|(t, _)| loaded(t)).max_by_key(|(t, _)| t.readiness.returned)?;
    let r = &thread.readiness;
    Some(finding(
        "one-event-per-wakeup",
        "info",
        "A busy loop asks again for each single event",
        format!(
            "thread {} waited {} times for {} events, {:.0} % of its time on a CPU",
            thread.tid,
            r.returned,
            r.events,
            100.0 * share(thread.on_cpu_ns(), thread.lived_ns)
        ),
        "Ask for more events at once (maxevents above 1); with few connections there is nothing to gain.",
    ))
}

fn buffers_filled(snapshot: &Snapshot) -> Option<Finding> {
    let sum = |f: &dyn Fn(&Thread) -> u64| snapshot.threads.iter().map(f).sum::<u64>();
    let (filled, with_data) = (sum(&|t| t.filled), sum(&|t| t.receives.with_data));
    (with_data >= ROUSED && share(filled, with_data) >= FILLED).then(|| {
        finding(
            "receive-buffers-filled",
            "info",
            "Receives fill their buffers: what came does not fit into one",
            format!("{filled} of {with_data} receives with data returned as many bytes as they had room for"),
            "A larger buffer takes fewer calls for the same bytes, unless messages have just that size.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn codes(without_work: u64, vain: u64) -> Vec<String> {
        let mut snapshot = sample::snapshot(2);
        for thread in &mut snapshot.threads {
            thread.event_loop = Some(EventLoop { iterations: 1_000, without_work, ..EventLoop::default() });
            thread.accepts.eagain = vain;
        }
        find(&snapshot, &sample::verdicts(&snapshot)).into_iter().map(|f| f.code).collect()
    }

    #[test]
    fn a_herd_is_found_by_the_waits_that_moved_nothing_on() {
        assert_eq!(codes(400, 400), ["wakeups-without-work"]);
        assert_eq!(codes(400, 0), [""; 0], "who reads pipes moves something on, too");
        assert_eq!(codes(10, 10), [""; 0]);
    }
}
