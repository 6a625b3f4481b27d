//! The objects with the probes: those that ship inside the binary, or others for tests of a fresh build.

use std::borrow::Cow;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::program::Way;

/// Names an object to load in place of the built-in one; that of raw tracepoints, [`RAW`], lies beside it. For the
/// project's own CI; not a user's option.
pub const OVERRIDE: &str = "TRACE_OBJECT";

static BUILT_IN: &[u8] = aya::include_bytes_aligned!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../trace-ebpf/prebuilt/x86_64/trace.bpf.o"
));

static BUILT_IN_RAW: &[u8] = aya::include_bytes_aligned!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../trace-ebpf/prebuilt/x86_64/trace-raw.bpf.o"
));

/// The file name of the object with raw tracepoints.
const RAW: &str = "trace-raw.bpf.o";

/// The bytes of the object whose programs are of this kind.
///
/// # Errors
/// If an override is named that cannot be read.
pub fn bytes(way: Way) -> std::io::Result<Cow<'static, [u8]>> {
    match (std::env::var_os(OVERRIDE).map(PathBuf::from), way) {
        (Some(path), Way::Typed) => Ok(Cow::Owned(std::fs::read(path)?)),
        (Some(path), Way::Raw) => Ok(Cow::Owned(std::fs::read(path.with_file_name(RAW))?)),
        (None, Way::Typed) => Ok(Cow::Borrowed(BUILT_IN)),
        (None, Way::Raw) => Ok(Cow::Borrowed(BUILT_IN_RAW)),
    }
}

/// SHA-256 of an object, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
