//! Turns: exchanges on server-side connections (DESIGN §7). Not measured in this version.

use serde::{Deserialize, Serialize};

/// What one exchange takes, over all of them; all `None` in this version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Turns {
    /// How many.
    pub count: Option<u64>,
    /// Receiving the request.
    pub receive_ns: Option<u64>,
    /// Building the response.
    pub build_ns: Option<u64>,
    /// Sending it.
    pub send_ns: Option<u64>,
    /// Median service time.
    pub service_p50_ns: Option<u64>,
    /// 99th percentile.
    pub service_p99_ns: Option<u64>,
}
