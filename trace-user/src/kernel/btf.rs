//! Offsets of kernel fields from BTF, and which tracepoints there are.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use trace_common::kernel::{MISSING, Offsets};

use super::ids;
use super::types::Types;

/// Where a kernel with `CONFIG_DEBUG_INFO_BTF` shows its own types.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Fields without which nothing can be measured; all others degrade a named figure.
const REQUIRED: [&str; 9] = [
    "task_pid",
    "task_tgid",
    "task_tif",
    "task_flags",
    "task_files",
    "files_fdt",
    "fdt_fd",
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
    /// A field that everything needs is not in it.
    #[error("{0} has no field {1}")]
    NoField(PathBuf, &'static str),
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
    /// Reads the types at `path`, and looks for the tracepoints `wanted`.
    ///
    /// # Errors
    /// If there are none, or a field is missing without which nothing can be measured.
    pub fn read(path: &Path, wanted: impl Iterator<Item = &'static str>) -> Result<Facts, BtfError> {
        let bytes = std::fs::read(path).map_err(|e| BtfError::Missing(path.into(), e))?;
        let types = Types::parse(&bytes).map_err(|why| BtfError::Invalid(path.into(), why))?;
        let id = |tracepoint: &str| types.typedef(&format!("{}{tracepoint}", ids::PREFIX));
        let tracepoints = wanted.filter_map(|tracepoint| Some((tracepoint, id(tracepoint)?))).collect();
        let offsets = offsets(&types).map_err(|field| BtfError::NoField(path.into(), field))?;
        Ok(Facts { offsets, tracepoints })
    }
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
