//! Offsets of kernel fields from BTF, and which tracepoints there are.

mod place;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use trace_common::kernel::{MISSING, Offsets};

use super::ids;
use super::types::Types;
use crate::failure::{Code, Failure};
use place::Place;

/// Where a kernel with `CONFIG_DEBUG_INFO_BTF` shows its own types.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Most bytes of types: a kernel has some 6 MB of them.
const MAX_BYTES: u64 = 256 << 20;

/// Fields without which nothing can be measured; all others degrade a named figure.
const REQUIRED: [&str; 11] = [
    "task_pid",
    "task_tgid",
    "task_tif",
    "task_flags",
    "task_iowait",
    "task_files",
    "files_fdt",
    "fdt_fd",
    "fdt_max_fds",
    "file_inode",
    "socket_sk",
];

/// Marks a path in [`Offsets`] that names a value of an enum and no field.
const ENUM: &str = "enum";
/// The one field that is a bit.
const IOWAIT: &str = "task_iowait";
/// Arguments of `io_uring_complete` where it passes the completion itself (6.13), the `void *` included; before there
/// were eight.
const COMPLETE_BY_CQE: usize = 4;

/// Why the kernel's types cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// There is no BTF.
    #[error("{0} cannot be read: {1}")]
    Missing(PathBuf, io::Error),
    /// It is there but cannot be parsed.
    #[error("{0} is not valid BTF: {1}")]
    Invalid(PathBuf, String),
    /// An image without types.
    #[error("{0} has no section .BTF")]
    NoSection(PathBuf),
    /// An image of another kernel.
    #[error("{path} is of another kernel: its build id is {own}, that of the one that runs {running}")]
    OfAnother {
        /// The image.
        path: PathBuf,
        /// Its build id, in hexadecimal.
        own: String,
        /// That of the kernel that runs.
        running: String,
    },
    /// A field that everything needs is not in it.
    #[error("{0} has no field {1}")]
    NoField(PathBuf, &'static str),
}

impl From<BtfError> for Failure {
    fn from(e: BtfError) -> Failure {
        let fix = match &e {
            BtfError::Missing(path, _) if path.as_path() != Path::new(VMLINUX) => {
                format!("--btf FILE; leave it out if this kernel has types of its own: ls -l {VMLINUX}")
            }
            BtfError::Missing(..) => format!(
                "--btf FILE with the types of this kernel: a vmlinux from the distribution's debug package, \
                 or what pahole --btf_encode_detached=FILE makes of one; or a kernel built with \
                 CONFIG_DEBUG_INFO_BTF=y, which shows them as {VMLINUX}"
            ),
            BtfError::NoSection(path) => {
                format!("pahole --btf_encode_detached=FILE {}; then --btf FILE", path.display())
            }
            BtfError::OfAnother { .. } => {
                "--btf FILE of the debug package of exactly this kernel; its version: uname -v".to_owned()
            }
            BtfError::Invalid(..) | BtfError::NoField(..) => {
                "--btf FILE with the types of this kernel".to_owned()
            }
        };
        Failure::new(Code::Kernel, "the kernel's types (BTF) cannot be used", e.to_string()).fix(fix)
    }
}

/// Whether this kernel has types of its own: `tp_btf` programs are verified against these and no others.
pub fn has_own() -> bool {
    File::open(VMLINUX).is_ok()
}

/// Whether the types at `path` can be read, and are not those of another kernel.
///
/// # Errors
/// If not.
pub fn look_at(path: &Path) -> Result<(), BtfError> {
    open(path).map(drop)
}

/// Opens a file of types, and finds them in it.
fn open(path: &Path) -> Result<(File, Place), BtfError> {
    let missing = |e| BtfError::Missing(path.into(), e);
    // A pipe that nobody writes to would be waited for.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(missing)?;
    if !file.metadata().map_err(missing)?.is_file() {
        return Err(BtfError::Invalid(path.into(), "it is no file".to_owned()));
    }
    let place = Place::find(&file, path)?;
    Ok((file, place))
}

/// The bytes of the types at `path`.
fn bytes(path: &Path) -> Result<Vec<u8>, BtfError> {
    let missing = |e| BtfError::Missing(path.into(), e);
    let (mut file, place) = open(path)?;
    let end = file.metadata().map_err(missing)?.len().min(place.end);
    let length = end.saturating_sub(place.start);
    if length > MAX_BYTES {
        return Err(BtfError::Invalid(
            path.into(),
            format!("{length} bytes are more than any kernel's types"),
        ));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.seek(SeekFrom::Start(place.start)).map_err(missing)?;
    file.take(length).read_to_end(&mut bytes).map_err(missing)?;
    Ok(bytes)
}

/// What the probes need to know of a kernel's types.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where the kernel keeps its fields.
    pub offsets: Offsets,
    /// Which of the wanted tracepoints it has, and the numbers of their types; see [`super::ids`].
    pub tracepoints: BTreeMap<&'static str, u32>,
}

impl Facts {
    /// Reads the types at `path`, and looks for the tracepoints `wanted`. Their numbers are those of the kernel's own types if
    /// it has any, whatever the offsets are read from: it verifies programs against no others.
    ///
    /// # Errors
    /// If there are none, or a field is missing without which nothing can be measured.
    pub fn read(path: &Path, wanted: impl Iterator<Item = &'static str>) -> Result<Facts, BtfError> {
        let own = Path::new(VMLINUX);
        let image = bytes(path)?;
        let types = parse(path, &image)?;
        let offsets = offsets(&types).map_err(|field| BtfError::NoField(path.into(), field))?;
        if path == own || !has_own() {
            return Ok(Facts { offsets, tracepoints: tracepoints(&types, wanted) });
        }
        let image = bytes(own)?;
        Ok(Facts { offsets, tracepoints: tracepoints(&parse(own, &image)?, wanted) })
    }
}

fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<Types<'a>, BtfError> {
    Types::parse(bytes).map_err(|why| BtfError::Invalid(path.into(), why))
}

fn tracepoints(types: &Types, wanted: impl Iterator<Item = &'static str>) -> BTreeMap<&'static str, u32> {
    let id = |tracepoint: &str| types.typedef(&format!("{}{tracepoint}", ids::PREFIX));
    wanted.filter_map(|tracepoint| Some((tracepoint, id(tracepoint)?))).collect()
}

/// Offsets of all fields; those that this kernel lacks stay [`trace_common::kernel::MISSING`]. An error is a field without
/// which nothing can be measured.
fn offsets(types: &Types) -> Result<Offsets, &'static str> {
    let mut offsets = Offsets::UNSET;
    let mut iowait_bit = 0;
    for (name, path, value) in offsets.fields() {
        let Some((container, member)) = path.split_once(':') else { continue };
        if container == ENUM {
            *value = types.enum_value(member).unwrap_or(MISSING);
            continue;
        }
        match types.bit_of(container, member) {
            Some(bit) => {
                *value = bit / 8;
                if name == IOWAIT {
                    iowait_bit = bit % 8;
                }
            }
            None if REQUIRED.contains(&name) => return Err(path),
            None => {}
        }
    }
    offsets.iowait_bit = iowait_bit;
    if types.arguments("btf_trace_io_uring_complete") == Some(COMPLETE_BY_CQE) {
        offsets.complete_by_cqe = 0;
    }
    Ok(offsets)
}
