//! Exit codes, and the columns of the tables.

use super::Kind::{Column, ExitCode};
use super::Part::{Act, Says};
use super::Topic;

/// Exit codes (contract, DESIGN §6), by their numbers. The name is the number and the name of the error.
pub const EXIT: [Topic; 10] = [
    Topic {
        kind: ExitCode,
        name: "0 success",
        what: "Measured and reported, also when inconclusive and when stdout is closed; compared; all expectations hold.",
        parts: &[],
    },
    Topic {
        kind: ExitCode,
        name: "1 internal",
        what: "An internal error, or a write that failed at the end.",
        parts: &[(Act, "Disk space; else a bug: -vv shows the detail.")],
    },
    Topic {
        kind: ExitCode,
        name: "2 usage",
        what: "Usage: also pid 0, trace itself, a kernel thread, a duration of 0, an ambiguous name, an output that cannot \
               be created, a file that cannot be read, a misspelt name. Said before anything is measured.",
        parts: &[(
            Act,
            "The error says what was checked, and the line after it (try:) what to type instead.",
        )],
    },
    Topic {
        kind: ExitCode,
        name: "3 expectation-failed",
        what: "trace check: an expectation did not hold. trace demo: a model was not recognised.",
        parts: &[(Act, "The lines with ✗ say what was measured.")],
    },
    Topic {
        kind: ExitCode,
        name: "4 expectation-undecidable",
        what: "trace check: none failed, but one cannot be decided: its value was not measured, or the verdict is \
               inconclusive.",
        parts: &[(Act, "The lines with ? say why; mostly a measurement under load settles it.")],
    },
    Topic {
        kind: ExitCode,
        name: "5 no-target",
        what: "No such target, or it ended before any of its threads was seen.",
        parts: &[(Act, "trace list shows what can be attached to.")],
    },
    Topic {
        kind: ExitCode,
        name: "6 not-permitted",
        what: "Not permitted: a capability is missing, or a namespace is not the initial one.",
        parts: &[(Act, "sudo; trace doctor names what is missing.")],
    },
    Topic {
        kind: ExitCode,
        name: "7 kernel",
        what: "The kernel cannot: no BTF, lockdown confidentiality, a probe that it refused, or probes that are blind.",
        parts: &[(
            Act,
            "trace doctor says which; -vv shows the verifier's log. Where there is no BTF: --btf FILE.",
        )],
    },
    Topic {
        kind: ExitCode,
        name: "8 incomplete",
        what: "Under --strict: something was lost, or the canary was not seen exactly. The report is written all the same.",
        parts: &[(Act, "A shorter window, or a target with fewer threads and connections.")],
    },
    Topic {
        kind: ExitCode,
        name: "130 interrupted",
        what: "A second interrupt: no report, and no partial file.",
        parts: &[],
    },
];

/// Columns and marks of the tables.
pub const COLUMNS: [Topic; 14] = [
    Topic {
        kind: Column,
        name: "waiting",
        what: "Where the time went: the sleeps of alike threads, the longest first, by the name of the account without \
               wait_; each of more than 0.5 %, at most three.",
        parts: &[(Says, "A server that waits is idle, unless it waits for others (client side).")],
    },
    Topic {
        kind: Column,
        name: "asleep",
        what: "See waiting: time that threads neither ran nor were runnable.",
        parts: &[],
    },
    Topic {
        kind: Column,
        name: "queued",
        what: "The accounts runqueue and preempted together: runnable, and not on a CPU.",
        parts: &[(Says, "Much of it: the machine has too few CPUs for its load.")],
    },
    Topic {
        kind: Column,
        name: "copying",
        what: "The account copy: phase 2 of a receive, from the first copied byte to its end.",
        parts: &[],
    },
    Topic {
        kind: Column,
        name: "median",
        what: "Half of the single waits (or copies) were at most this long; the upper edge of a bucket.",
        parts: &[],
    },
    Topic {
        kind: Column,
        name: "p99",
        what: "99 of 100 were at most this long; the upper edge of a bucket, so up to 6.25 % more than it was.",
        parts: &[],
    },
    Topic {
        kind: Column,
        name: "points",
        what: "trace diff: the share after less the share before, in percentage points.",
        parts: &[],
    },
    Topic {
        kind: Column,
        name: "change",
        what: "trace diff: after against before, in percent of before.",
        parts: &[],
    },
    Topic {
        kind: Column,
        name: "empty",
        what: "trace demo: asks in vain for each receive with data.",
        parts: &[],
    },
    Topic {
        kind: Column,
        name: "wakes",
        what: "trace demo: times a thread went to sleep for each receive with data.",
        parts: &[],
    },
    Topic {
        kind: Column,
        name: "≥",
        what: "At least: the wait began before the window, so it is longer than shown.",
        parts: &[],
    },
    Topic {
        kind: Column,
        name: "≤",
        what: "At most: receives without a first-byte event (copy_bounded) book all their on-CPU time as copy; or a mean \
               below the probes' own time.",
        parts: &[],
    },
    Topic {
        kind: Column,
        name: "canary",
        what: "Known receives that trace does itself, through the same probes: if they were not counted exactly, nothing \
               else was either. The smallest of them gives the floor.",
        parts: &[],
    },
    Topic {
        kind: Column,
        name: "floor",
        what: "The median on-CPU time of a one-byte receive with the probes in it: nothing below it is a fact.",
        parts: &[],
    },
];
