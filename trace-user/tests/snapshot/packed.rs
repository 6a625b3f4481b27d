//! A saved measurement as the JSON document in it, so that tests can change it.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;

/// The fixture `blocking` with three connections, traced for two seconds when the format was new. It stays as it is: later
/// versions have to read it.
pub const SAVED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/blocking.trace");

pub fn saved() -> Value {
    serde_json::from_slice(&unpack(&std::fs::read(SAVED).unwrap())).unwrap()
}

pub fn unpack(bytes: &[u8]) -> Vec<u8> {
    let mut json = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut json).unwrap();
    json
}

pub fn pack(document: &Value) -> Vec<u8> {
    compress(document.to_string().as_bytes())
}

pub fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}
