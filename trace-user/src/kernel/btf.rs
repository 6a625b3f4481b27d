//! Offsets of kernel fields from BTF, and which tracepoints there are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use btfparse::{Integer32Value, Offset, Readable, TypeInformation, TypeVariant};
use trace_common::kernel::{MISSING, Offsets};

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
/// Arguments of `io_uring_complete` where it passes the completion itself (6.13), the `void *` included; before there
/// were eight.
const COMPLETE_BY_CQE: usize = 4;

/// Why the kernel's types cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// There is no BTF.
    #[error("{0} cannot be read: {1}")]
    Missing(PathBuf, std::io::Error),
    /// It is there but cannot be parsed.
    #[error("{0} is not valid BTF: {1}")]
    Invalid(PathBuf, String),
    /// A field that everything needs is not in it.
    #[error("{0} has no field {1}")]
    NoField(PathBuf, &'static str),
}

struct Bytes(Vec<u8>);

impl Readable for Bytes {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> btfparse::Result<()> {
        let start = offset as usize;
        let source = start.checked_add(buffer.len()).and_then(|end| self.0.get(start..end));
        let Some(source) = source else {
            return Err(btfparse::Error::new(btfparse::ErrorKind::IOError, "read past the end"));
        };
        buffer.copy_from_slice(source);
        Ok(())
    }
}

/// The types of a kernel. They take some 50 MB: get the [`Facts`] and drop them.
pub struct KernelTypes {
    path: PathBuf,
    types: TypeInformation,
}

/// What the probes need to know of a kernel's types.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where the kernel keeps its fields.
    pub offsets: Offsets,
    /// Which of the wanted tracepoints it has.
    pub tracepoints: BTreeSet<&'static str>,
}

impl Facts {
    /// Reads the types at `path`, and looks for the tracepoints `wanted`.
    ///
    /// # Errors
    /// If there are none, or a field is missing without which nothing can be measured.
    pub fn read(path: &Path, wanted: impl Iterator<Item = &'static str>) -> Result<Facts, BtfError> {
        let types = KernelTypes::read(path)?;
        let tracepoints = wanted.filter(|t| types.has_tracepoint(t)).collect();
        Ok(Facts { offsets: types.offsets()?, tracepoints })
    }
}

impl KernelTypes {
    /// Reads `path`.
    ///
    /// # Errors
    /// If the file is not there or is not BTF.
    pub fn read(path: &Path) -> Result<KernelTypes, BtfError> {
        let bytes = std::fs::read(path).map_err(|e| BtfError::Missing(path.into(), e))?;
        let types = TypeInformation::new(&Bytes(bytes))
            .map_err(|e| BtfError::Invalid(path.into(), format!("{e:?}")))?;
        Ok(KernelTypes { path: path.into(), types })
    }

    /// Whether this kernel has the tracepoint `name` with BTF.
    pub fn has_tracepoint(&self, name: &str) -> bool {
        self.types.id_of(&format!("btf_trace_{name}")).is_some()
    }

    /// Offsets of all fields; those that this kernel lacks stay [`trace_common::kernel::MISSING`].
    ///
    /// # Errors
    /// If a field is missing without which nothing can be measured.
    pub fn offsets(&self) -> Result<Offsets, BtfError> {
        let mut offsets = Offsets::UNSET;
        let mut iowait_bit = 0;
        for (name, path, value) in offsets.fields() {
            let Some((container, member)) = path.split_once(':') else { continue };
            if container == ENUM {
                *value = self.enum_value(member).unwrap_or(MISSING);
                continue;
            }
            let found = self.types.id_of(container).and_then(|id| self.types.offset_of(id, member).ok());
            match found {
                Some((_, Offset::ByteOffset(byte))) => *value = byte,
                Some((_, Offset::BitOffsetAndSize(bit, _))) => {
                    *value = bit / 8;
                    iowait_bit = bit % 8;
                }
                None if REQUIRED.contains(&name) => return Err(BtfError::NoField(self.path.clone(), path)),
                None => {}
            }
        }
        offsets.iowait_bit = iowait_bit;
        if self.arguments("btf_trace_io_uring_complete") == Some(COMPLETE_BY_CQE) {
            offsets.complete_by_cqe = 0;
        }
        Ok(offsets)
    }

    /// The value that some enum gives to `name`.
    fn enum_value(&self, name: &str) -> Option<u32> {
        self.types.get().values().find_map(|variant| {
            let TypeVariant::Enum(list) = variant else { return None };
            let value = list.named_value_list().iter().find(|v| v.name == name)?.value;
            match value {
                Integer32Value::Signed(value) => u32::try_from(value).ok(),
                Integer32Value::Unsigned(value) => Some(value),
            }
        })
    }

    /// Number of arguments of a tracepoint's function, with the `void *` that comes first.
    fn arguments(&self, typedef: &str) -> Option<usize> {
        let function = self.types.pointee_tid(self.types.id_of(typedef)?).ok()?;
        match self.types.from_id(function)? {
            TypeVariant::FuncProto(proto) => Some(proto.parameter_list().len()),
            _ => None,
        }
    }
}
