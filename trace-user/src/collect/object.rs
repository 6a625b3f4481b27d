//! The object with the probes: the one that ships inside the binary, or another for tests of a fresh build.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// Names an object to load in place of the built-in one. For the project's own CI; not a user's option.
pub const OVERRIDE: &str = "TRACE_OBJECT";

static BUILT_IN: &[u8] = aya::include_bytes_aligned!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../trace-ebpf/prebuilt/x86_64/trace.bpf.o"
));

/// The object's bytes.
///
/// # Errors
/// If an override is named that cannot be read.
pub fn bytes() -> std::io::Result<Cow<'static, [u8]>> {
    match std::env::var_os(OVERRIDE) {
        Some(path) => Ok(Cow::Owned(std::fs::read(path)?)),
        None => Ok(Cow::Borrowed(BUILT_IN)),
    }
}

/// SHA-256 of an object, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
