//! Snapshots as files: gzip around one JSON document, `{"format", "version", "tool", "snapshot"}`.
//!
//! gzip tells a file that was cut off or changed from a whole one, and `zcat` shows what is in it. A file is not to be
//! trusted: how much of it is read is limited, and so are the numbers in it ([`super::weigh`]).

use std::io::{self, BufRead as _, BufReader, Read, Write as _};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::Snapshot;
use super::weigh::{self, weigh};

/// What a document says that it is.
pub const FORMAT: &str = "trace-snapshot";
/// Version of the format. Fields may be added within a major version; who reads them gives older files a default.
pub const VERSION: Version = Version { major: 1, minor: 0 };
/// Extension of the files.
pub const EXTENSION: &str = "trace";
/// Most bytes of a document, which is some 60,000 threads of 2.1 kB.
pub const MAX_BYTES: u64 = 128 << 20;
/// Most values in it, which is some 55,000 threads of 150.
const MAX_VALUES: u64 = 8 << 20;
/// How a gzip file begins (RFC 1952, 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Files of another one mean something else.
    pub major: u32,
    /// Files of a greater one say more.
    pub minor: u32,
}

impl Version {
    fn parse(text: &str) -> Option<Version> {
        let (major, minor) = text.split_once('.')?;
        Some(Version { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    version: String,
    tool: &'static str,
    snapshot: &'a Snapshot,
}

/// What every version of the format begins with.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: String,
    #[serde(default)]
    tool: String,
}

#[derive(Deserialize)]
struct Body {
    snapshot: Snapshot,
}

/// Why a snapshot cannot be read or saved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading failed.
    #[error("it cannot be read: {0}")]
    Io(io::Error),
    /// Something else.
    #[error("it is no saved measurement: {0}")]
    Foreign(&'static str),
    /// Cut off, or changed.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Of a newer version than this one reads.
    #[error("it has version {0} of the format, written by trace {1}; trace {tool} reads {VERSION}", tool = env!("CARGO_PKG_VERSION"))]
    Version(String, String),
    /// Too large.
    #[error("it holds more than {1} {0}")]
    TooLarge(&'static str, u64),
    /// Its numbers cannot be added up.
    #[error("its numbers come to 2^63 or more, which no measurement reaches")]
    Implausible,
}

/// The bytes of a file that holds `snapshot`: always the same for the same one.
///
/// # Errors
/// If it is so large that it could not be read again.
pub fn encode(snapshot: &Snapshot) -> Result<Vec<u8>, Error> {
    let version = VERSION.to_string();
    let document = Document { format: FORMAT, version, tool: env!("CARGO_PKG_VERSION"), snapshot };
    let json = serde_json::to_vec(&document).map_err(damaged)?;
    check_size(json.len() as u64)?;
    check_weight(&json)?;
    // Without a name and a time in its header.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&json).and_then(|()| gzip.finish()).map_err(Error::Io)
}

/// Reads what [`encode`] wrote, in this version or an older one.
///
/// # Errors
/// Whatever the file is instead; nothing that it holds makes this panic.
pub fn decode(file: impl Read) -> Result<Snapshot, Error> {
    let json = unpack(BufReader::new(file))?;
    let version = header(&json)?;
    check_weight(&json)?;
    let body: Body = serde_json::from_slice(&json).map_err(|e| match version {
        version if version.minor > VERSION.minor => {
            Error::Damaged(format!("{e} (its version, {version}, is newer than {VERSION})"))
        }
        _ => damaged(e),
    })?;
    Ok(body.snapshot)
}

/// Whether the numbers of a JSON report can be added up, as [`decode`] checks those of a snapshot.
///
/// # Errors
/// If it is no JSON, or too much of it, or its numbers come to too much.
pub fn check_report(json: &[u8]) -> Result<(), Error> {
    check_size(json.len() as u64)?;
    // On the scale it stands where a snapshot does: its distributions and calls are of the same form.
    check_weight(&[b"{\"snapshot\":", json, b"}"].concat())
}

/// The document, of which no more is unpacked than may be in it.
fn unpack(mut file: BufReader<impl Read>) -> Result<Vec<u8>, Error> {
    let mut start = Vec::new();
    file.by_ref().take(GZIP.len() as u64).read_to_end(&mut start).map_err(Error::Io)?;
    if start != GZIP {
        return Err(Error::Foreign(match start.first() {
            None => "it is empty",
            Some(b'{' | b'[') => "it looks like a report, and only a .trace file can be judged again",
            Some(_) => "it does not begin as one does",
        }));
    }
    let mut json = Vec::new();
    let mut gzip = GzDecoder::new(start.chain(file));
    gzip.by_ref().take(MAX_BYTES + 1).read_to_end(&mut json).map_err(unpacking)?;
    check_size(json.len() as u64)?;
    match gzip.into_inner().fill_buf() {
        Ok([]) => Ok(json),
        Ok(_) => Err(Error::Damaged("something follows its end".to_owned())),
        Err(e) => Err(Error::Io(e)),
    }
}

fn header(json: &[u8]) -> Result<Version, Error> {
    let header: Header = serde_json::from_slice(json).map_err(|e| {
        if e.is_data() { Error::Foreign("it does not say that it is one") } else { damaged(e) }
    })?;
    if header.format != FORMAT {
        return Err(Error::Foreign("it says that it is something else"));
    }
    match Version::parse(&header.version) {
        Some(version) if version.major == VERSION.major => Ok(version),
        _ => Err(Error::Version(header.version, header.tool)),
    }
}

fn check_size(bytes: u64) -> Result<(), Error> {
    if bytes > MAX_BYTES { Err(Error::TooLarge("bytes", MAX_BYTES)) } else { Ok(()) }
}

fn check_weight(json: &[u8]) -> Result<(), Error> {
    let weight = weigh(json).map_err(damaged)?;
    if weight.values > MAX_VALUES {
        return Err(Error::TooLarge("values", MAX_VALUES));
    }
    if weight.sum >= weigh::MAX_SUM { Err(Error::Implausible) } else { Ok(()) }
}

fn damaged(e: serde_json::Error) -> Error {
    Error::Damaged(e.to_string())
}

fn unpacking(e: io::Error) -> Error {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match e.kind() {
        UnexpectedEof => Error::Damaged("its end is missing".to_owned()),
        InvalidData | InvalidInput => Error::Damaged(e.to_string()),
        _ => Error::Io(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn what_is_saved_is_read_again() {
        let mut snapshot = sample::snapshot(3);
        snapshot.processes[0].comm = "\x1b\u{202e}\u{fffd}\0".into();
        snapshot.cost.cpu_share = Some(0.1 + 0.2);
        let bytes = encode(&snapshot).expect("a file");
        let again = decode(&*bytes).expect("a snapshot");
        assert_eq!(format!("{again:?}"), format!("{snapshot:?}"));
        assert_eq!(encode(&again).expect("a file"), bytes);
    }

    #[test]
    fn what_could_not_be_read_again_is_not_saved() {
        let mut snapshot = sample::snapshot(1);
        snapshot.threads[0].lived_ns = u64::MAX;
        assert!(matches!(encode(&snapshot), Err(Error::Implausible)));
    }

    #[test]
    fn a_version_is_two_numbers() {
        assert_eq!(Version::parse(&VERSION.to_string()), Some(VERSION));
        for text in ["", "1", "1.", ".1", "1.2.3", "-1.0", "1.0 "] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
