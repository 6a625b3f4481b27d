//! Offsets of kernel fields from BTF, and which tracepoints there are.

mod place;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use btfparse::{Integer32Value, Offset, Readable, TypeInformation, TypeVariant};
use trace_common::kernel::{MISSING, Offsets};

use crate::failure::{Code, Failure};
use place::Place;

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
    Windows::open(path).map(drop)
}

/// Length of a window, bytes.
const WINDOW: usize = 4 << 10;
/// Windows kept. The parser goes through the types in order and looks names up in between, all over the strings. With
/// these 2 MiB it reads 2,082 windows of a file of 5.5 MB (6.18), which takes as long as reading it whole; with 1 MiB in
/// windows of 32 KiB it read 178,435. The whole file would be in memory at the very peak of what the tool needs.
const WINDOWS: usize = 512;

/// Types in a file, read window by window.
struct Windows {
    file: File,
    place: Place,
    /// Which window is in each place, and its bytes.
    kept: RefCell<Vec<(Option<u64>, Vec<u8>)>>,
}

impl Windows {
    fn open(path: &Path) -> Result<Windows, BtfError> {
        let file = File::open(path).map_err(|e| BtfError::Missing(path.into(), e))?;
        let place = Place::find(&file, path)?;
        Ok(Windows { file, place, kept: RefCell::new(vec![(None, Vec::new()); WINDOWS]) })
    }

    /// Copies what window `number` has from `start` on; returns how much that was.
    fn copy(&self, number: u64, start: usize, to: &mut [u8]) -> io::Result<usize> {
        let place = &mut self.kept.borrow_mut()[number as usize % WINDOWS];
        if place.0 != Some(number) {
            place.0 = None;
            place.1.resize(WINDOW, 0);
            let mut filled = 0;
            let from = number.saturating_mul(WINDOW as u64).saturating_add(self.place.start);
            let most = usize::try_from(self.place.end.saturating_sub(from)).unwrap_or(WINDOW).min(WINDOW);
            while filled < most {
                match self.file.read_at(&mut place.1[filled..most], from + filled as u64)? {
                    0 => break,
                    more => filled += more,
                }
            }
            place.1.truncate(filled);
            place.0 = Some(number);
        }
        let from = place.1.get(start..).unwrap_or_default();
        let length = from.len().min(to.len());
        to[..length].copy_from_slice(&from[..length]);
        Ok(length)
    }
}

impl Readable for Windows {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> btfparse::Result<()> {
        let failed = |why: &str| btfparse::Error::new(btfparse::ErrorKind::IOError, why);
        let (mut offset, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let (number, start) = (offset / WINDOW as u64, (offset % WINDOW as u64) as usize);
            let length = self.copy(number, start, rest).map_err(|e| failed(&e.to_string()))?;
            if length == 0 {
                return Err(failed("read past the end"));
            }
            offset += length as u64;
            rest = &mut rest[length..];
        }
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
        let file = Windows::open(path)?;
        let types =
            TypeInformation::new(&file).map_err(|e| BtfError::Invalid(path.into(), format!("{e:?}")))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_read_like_the_whole_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        // More windows than are kept, between what is none of theirs.
        let bytes: Vec<u8> = (0..WINDOW * (WINDOWS + 2) + 100).map(|i| (i / 7) as u8).collect();
        let around = [&[1; 11][..], &bytes, &[2; 5_000]].concat();
        std::fs::write(file.path(), around).expect("written");
        let place = Place { start: 11, end: 11 + bytes.len() as u64 };
        let kept = RefCell::new(vec![(None, Vec::new()); WINDOWS]);
        let windows = Windows { file: file.reopen().expect("open"), place, kept };
        for start in [0, 5, WINDOW - 3, WINDOW * WINDOWS - 1, 17, bytes.len() - 90] {
            let mut buffer = vec![0; 90];
            windows.read(start as u64, &mut buffer).expect("within");
            assert_eq!(buffer, bytes[start..start + 90], "{start}");
        }
        assert!(windows.read(bytes.len() as u64 - 5, &mut [0; 6]).is_err());
        assert!(windows.read(u64::MAX / 2, &mut [0; 6]).is_err());
    }
}
