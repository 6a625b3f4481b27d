//! What a report says of its timeline. The spans themselves are part of it, but not of its JSON: only one format writes
//! them ([`super::export`]).

use serde::{Deserialize, Serialize};

use crate::snapshot::timeline as recorded;

/// The timeline of a window.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Timeline {
    /// Spans kept.
    pub spans: u64,
    /// Threads with a track.
    pub threads: u64,
    /// Connections with a track.
    pub connections: u64,
    /// Spans not kept: beyond the limit, or the probes' ring was full. The same number is in `loss.timeline_dropped`.
    pub dropped: u64,
    /// Most spans that were to be kept (`--timeline-limit`).
    pub limit: u64,
    /// All of them.
    #[serde(skip)]
    pub recorded: recorded::Timeline,
}

impl Timeline {
    /// That of a measurement.
    pub fn of(timeline: &recorded::Timeline) -> Timeline {
        Timeline {
            spans: timeline.spans(),
            threads: timeline.threads.len() as u64,
            connections: timeline.connections.len() as u64,
            dropped: timeline.dropped,
            limit: timeline.limit,
            recorded: timeline.clone(),
        }
    }
}
