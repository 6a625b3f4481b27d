//! Turns: exchanges on server-side connections (DESIGN §7).

use serde::{Deserialize, Serialize};
use trace_common::turn::Part;

use crate::snapshot::{self, quantile};

/// What one exchange takes; `None` where no turn ended in the window, or turns were not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turns {
    /// How many.
    pub count: Option<u64>,
    /// Receiving the request, mean of all turns.
    pub receive_ns: Option<u64>,
    /// Building the response, mean.
    pub build_ns: Option<u64>,
    /// Sending it, mean.
    pub send_ns: Option<u64>,
    /// Median service time: the upper edge of its bucket, at most 6.25 % above it.
    pub service_p50_ns: Option<u64>,
    /// 99th percentile, likewise.
    pub service_p99_ns: Option<u64>,
    /// Addition: median of `build`, likewise.
    #[serde(default)]
    pub build_p50_ns: Option<u64>,
}

impl Turns {
    /// The figures of `turns`.
    pub fn of(turns: &snapshot::Turns) -> Turns {
        let totals = &turns.totals;
        let at = |part, share| turns.times.get(&part).and_then(|buckets| quantile(buckets, share));
        Turns {
            count: Some(totals.count),
            receive_ns: totals.receive_ns.checked_div(totals.count),
            build_ns: totals.build_ns.checked_div(totals.count),
            send_ns: totals.send_ns.checked_div(totals.count),
            service_p50_ns: at(Part::Service, 0.5),
            service_p99_ns: at(Part::Service, 0.99),
            build_p50_ns: at(Part::Build, 0.5),
        }
    }
}
