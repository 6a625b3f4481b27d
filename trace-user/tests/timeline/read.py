"""A strict reader of timelines, and their comparison with the JSON report of the same run.

usage: read.py TIMELINE REPORT

Fails at the first thing that Perfetto or Chrome's trace viewer would have to guess, and where the tracks do not add up
to the report's figures. Times are compared in whole nanoseconds, without rounding. Prints what it saw as JSON.
"""

import collections
import decimal
import json
import sys

ACCOUNTS = {
    "wait_accept": "waiting", "wait_data": "waiting", "wait_ready": "waiting", "wait_completion": "waiting",
    "wait_signal": "waiting", "wait_send": "waiting", "wait_futex": "waiting", "wait_timer": "waiting",
    "wait_disk": "waiting", "wait_other": "waiting", "stopped": "stopped", "runqueue": "queued",
    "preempted": "queued", "copy": "copying", "kernel": "cpu", "user": "cpu", "unknown": "unknown",
}
ON_CONNECTIONS = {
    "turn": "turn", "receive": "turn", "build": "turn", "send": "turn", "reply": "waiting", "wait_data": "waiting",
}
NAMES = {"process_name": "name", "thread_name": "name", "process_sort_index": "sort_index", "thread_sort_index": "sort_index"}
# Above the greatest process id (include/linux/threads.h).
CONNECTIONS_OF = 1 << 22


def unique(pairs):
    keys = [key for key, _ in pairs]
    assert len(set(keys)) == len(keys), keys
    return dict(pairs)


def refuse(constant):
    raise AssertionError(constant)


def load(path):
    with open(path, encoding="utf-8", errors="strict") as file:
        return json.load(file, object_pairs_hook=unique, parse_constant=refuse, parse_float=decimal.Decimal)


def whole(value):
    assert type(value) is int and value >= 0, value
    return value


def ns(micros):
    assert type(micros) is decimal.Decimal and micros >= 0 and micros.as_tuple().exponent == -3, micros
    return int(micros * 1000)


def metadata(event, names):
    assert event.keys() == {"ph", "pid", "tid", "ts", "name", "args"} and event["ts"] == 0, event
    key = NAMES[event["name"]]
    assert event["args"].keys() == {key}, event
    at = (event["name"], whole(event["pid"]), whole(event["tid"]))
    assert at not in names, event
    value = event["args"][key]
    assert (value != "" and type(value) is str) if key == "name" else whole(value) >= 0, event
    names[at] = value


def complete(event):
    assert event.keys() == {"ph", "pid", "tid", "ts", "dur", "name", "cat"}, event
    of_connection = whole(event["pid"]) >= CONNECTIONS_OF
    assert event["cat"] == (ON_CONNECTIONS if of_connection else ACCOUNTS)[event["name"]], event
    return (event["pid"], whole(event["tid"])), ns(event["ts"]), ns(event["dur"]), event["name"]


def check_nesting(track, spans):
    of_connection = track[0] >= CONNECTIONS_OF
    stack = []
    for begin, length, name in spans:
        while stack and stack[-1][1] <= begin:
            stack.pop()
        if stack:
            assert of_connection and begin + length <= stack[-1][1], (track, begin, length, name, stack)
        stack.append((name, begin + length))


def check_turns(spans):
    """Each turn is followed by its three parts, which fill it; a wait may lie between them."""
    turns = [span for span in spans if span[2] == "turn"]
    parts = [span for span in spans if span[2] in ("receive", "build", "send")]
    assert len(parts) == 3 * len(turns), (len(parts), len(turns))
    filled, at = [0] * len(turns), 0
    for begin, length, name in parts:
        while turns[at][0] + turns[at][1] < begin + length:
            at += 1
        assert turns[at][0] <= begin, (begin, length, name, turns[at])
        filled[at] += length
    assert filled == [length for _, length, _ in turns]
    return len(turns)


def compare_threads(tracks, report):
    left = dict(tracks)
    for process in report["processes"]:
        for thread in process["threads"]:
            spent = left.pop((process["pid"], thread["tid"]), {})
            compare(spent, thread["ledger"], (process["pid"], thread["tid"], thread["comm"]))
        ended = collections.Counter()
        for track in [track for track in left if track[0] == process["pid"]]:
            ended.update(left.pop(track))
        compare(ended, process["exited"]["ledger"], (process["pid"], "exited"))
    assert not left, left


def compare(spent, ledger, what):
    assert ledger.keys() == {name + "_ns" for name in ACCOUNTS}, ledger
    for name in ACCOUNTS:
        # What tier sched does not tell apart on a CPU is null in the report.
        assert spent.get(name, 0) == (ledger[name + "_ns"] or 0), (what, name, spent.get(name, 0), ledger)


def main(timeline, report):
    document, report = load(timeline), load(report)
    assert document.keys() == {"displayTimeUnit", "otherData", "traceEvents"} and document["displayTimeUnit"] == "ns"
    names, tracks, last = {}, collections.defaultdict(list), 0
    for event in document["traceEvents"]:
        if event["ph"] == "M":
            assert not tracks, "names come first"
            metadata(event, names)
            continue
        assert event["ph"] == "X", event
        track, begin, length, name = complete(event)
        assert begin >= last, (begin, last)
        last = begin
        assert begin + length <= report["window"]["duration_ns"] or track[0] >= CONNECTIONS_OF, event
        assert ("process_name", track[0], 0) in names and ("thread_name", *track) in names, event
        tracks[track].append((begin, length, name))
    spent, seen = {}, collections.Counter()
    sums = collections.Counter()
    for track, spans in tracks.items():
        check_nesting(track, spans)
        by_name = collections.Counter()
        for _, length, name in spans:
            by_name[name] += length
        if track[0] < CONNECTIONS_OF:
            spent[track] = by_name
            seen["threads"] += 1
        else:
            seen["connections"] += 1
            seen["turns"] += check_turns(spans)
            seen["replies"] += sum(1 for span in spans if span[2] == "reply")
            sums.update(by_name)
    about, summary = document["otherData"], report["timeline"]
    assert about["spans"] == sum(map(len, tracks.values())) - seen["turns"] == summary["spans"], (about, summary)
    assert (about["dropped"], about["limit"]) == (summary["dropped"], summary["limit"]), (about, summary)
    assert summary["dropped"] == report["loss"]["timeline_dropped"] and about["left_out"] == 0, (about, summary)
    assert seen["threads"] == summary["threads"] and seen["connections"] >= summary["connections"], (seen, summary)
    if not summary["dropped"]:
        compare_threads(spent, report)
        turns = report["turns"]
        assert seen["turns"] == turns["count"], (seen, turns)
        for part in ("receive", "build", "send"):
            mean = sums[part] // seen["turns"] if seen["turns"] else None
            assert mean == turns[part + "_ns"], (part, sums, turns)
        of_peers = lambda field: sum(peer[field] for peer in report["peers"])
        assert seen["replies"] == of_peers("replies") and sums["reply"] == of_peers("reply_ns"), (seen, sums)
        assert sums["wait_data"] == of_peers("wait_ns"), (sums, report["peers"])
    print(json.dumps({"spans": about["spans"], "dropped": about["dropped"], **seen}))


main(*sys.argv[1:])
