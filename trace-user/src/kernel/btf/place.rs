//! Where in a file the types are: all of it, or a section of an image of the kernel that runs.

use std::fs::File;
use std::path::Path;

use object::elf::{ELF_NOTE_GNU, FileHeader64, NT_GNU_BUILD_ID};
use object::read::elf::{ElfFile64, NoteIterator};
use object::{Endianness, Object as _, ObjectSection as _, ReadCache};

use super::BtfError;

/// The notes of the running kernel (`kernel/ksysfs.c`), its build id among them.
const NOTES: &str = "/sys/kernel/notes";
/// The section of an ELF file that holds types.
const SECTION: &str = ".BTF";
/// `BTF_MAGIC` (include/uapi/linux/btf.h), as this machine writes it.
const MAGIC: [u8; 2] = 0xeb9f_u16.to_le_bytes();
/// `ELFMAG`.
const ELF: [u8; 2] = *b"\x7fE";

/// A part of a file, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where it begins.
    pub start: u64,
    /// Where it ends; beyond the file, if that is where it ends.
    pub end: u64,
}

impl Place {
    /// Finds the types in `file`, which lies at `path`.
    ///
    /// # Errors
    /// If there are none, or they are those of another kernel than the one that runs.
    pub fn find(file: &File, path: &Path) -> Result<Place, BtfError> {
        let mut magic = [0; 2];
        std::os::unix::fs::FileExt::read_exact_at(file, &mut magic, 0)
            .map_err(|e| BtfError::Missing(path.into(), e))?;
        match magic {
            MAGIC => Ok(Place { start: 0, end: u64::MAX }),
            ELF => section(file, path, running_build_id().as_deref()),
            _ => Err(BtfError::Invalid(path.into(), "it is neither BTF nor an ELF file".into())),
        }
    }
}

/// The section with the types, of an image whose build id, if it has one, is `running`, if that is known.
fn section(file: &File, path: &Path, running: Option<&[u8]>) -> Result<Place, BtfError> {
    let invalid = |e: object::Error| BtfError::Invalid(path.into(), e.to_string());
    let cache = ReadCache::new(file);
    let image: ElfFile64<'_, Endianness, _> = ElfFile64::parse(&cache).map_err(invalid)?;
    let own = image.build_id().map_err(invalid)?;
    if let (Some(own), Some(running)) = (own, running)
        && own != running
    {
        return Err(BtfError::OfAnother { path: path.into(), own: hex(own), running: hex(running) });
    }
    let section = image.section_by_name(SECTION);
    let range = section.and_then(|section| section.file_range()).filter(|(_, length)| *length > 0);
    let (start, length) = range.ok_or_else(|| BtfError::NoSection(path.into()))?;
    Ok(Place { start, end: start.saturating_add(length) })
}

/// The build id of the kernel that runs; `None` if it does not tell.
fn running_build_id() -> Option<Vec<u8>> {
    build_id(&std::fs::read(NOTES).ok()?)
}

fn build_id(notes: &[u8]) -> Option<Vec<u8>> {
    let endian = Endianness::default();
    let mut notes = NoteIterator::<FileHeader64<Endianness>>::new(endian, 4_u64, notes).ok()?;
    while let Some(note) = notes.next().ok()? {
        if note.name() == ELF_NOTE_GNU && note.n_type(endian) == NT_GNU_BUILD_ID {
            return Some(note.desc().to_vec());
        }
    }
    None
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use object::write::Object;
    use object::{Architecture, BinaryFormat, SectionKind};
    use tempfile::NamedTempFile;

    use super::*;

    /// A note with a build id (`Elf64_Nhdr`, name, descriptor).
    fn note(id: &[u8]) -> Vec<u8> {
        let words = [ELF_NOTE_GNU.len() as u32 + 1, id.len() as u32, NT_GNU_BUILD_ID];
        let mut note: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        note.extend(b"GNU\0");
        note.extend(id);
        note
    }

    fn image(sections: &[(&str, SectionKind, &[u8])]) -> NamedTempFile {
        let mut image = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
        for (name, kind, bytes) in sections {
            let section = image.add_section(Vec::new(), name.as_bytes().to_vec(), *kind);
            image.append_section_data(section, bytes, 4);
        }
        let mut file = NamedTempFile::new().expect("a file");
        file.write_all(&image.write().expect("an image")).expect("written");
        file
    }

    fn found(file: &NamedTempFile, running: &[u8]) -> Result<Vec<u8>, BtfError> {
        let place = section(file.as_file(), file.path(), Some(running))?;
        let bytes = std::fs::read(file.path()).expect("read");
        Ok(bytes[place.start as usize..place.end as usize].to_vec())
    }

    #[test]
    fn types_are_found_in_an_image_of_the_running_kernel_and_refused_in_another() {
        let types = (SECTION, SectionKind::ReadOnlyData, &b"\x9f\xebtypes"[..]);
        let id = note(&[0xab; 20]);
        let with_id = image(&[types, (".notes", SectionKind::Note, &id)]);
        assert_eq!(found(&with_id, &[0xab; 20]).expect("its own"), types.2);
        let refused = found(&with_id, &[0xcd; 20]).expect_err("another").to_string();
        assert!(refused.contains(&"ab".repeat(20)) && refused.contains(&"cd".repeat(20)), "{refused}");
        // What cannot be compared is not refused.
        assert_eq!(found(&image(&[types]), &[0xab; 20]).expect("without an id"), types.2);
        let stripped = image(&[(".notes", SectionKind::Note, &id)]);
        assert!(matches!(found(&stripped, &[0xab; 20]), Err(BtfError::NoSection(_))));
    }

    #[test]
    fn what_is_neither_types_nor_an_image_is_refused() {
        let mut file = NamedTempFile::new().expect("a file");
        let find = |file: &NamedTempFile| Place::find(file.as_file(), file.path());
        assert!(matches!(find(&file), Err(BtfError::Missing(..))));
        file.write_all(b"\x9f\xeb").expect("written");
        assert_eq!(find(&file).expect("BTF"), Place { start: 0, end: u64::MAX });
        for bytes in ["#!/bin/sh", "\x7fELF"] {
            std::fs::write(file.path(), bytes).expect("written");
            assert!(matches!(find(&file), Err(BtfError::Invalid(..))), "{bytes}");
        }
    }

    #[test]
    fn the_build_id_is_found_among_other_notes() {
        let mut notes = 4_u32.to_le_bytes().to_vec();
        notes.extend(4_u32.to_le_bytes());
        notes.extend(7_u32.to_le_bytes());
        notes.extend(b"Xen\0data");
        notes.extend(note(&[1, 2, 3, 4]));
        assert_eq!(build_id(&notes), Some(vec![1, 2, 3, 4]));
        assert_eq!(build_id(&notes[..20]), None);
        assert_eq!(build_id(&notes[..30]), None);
    }
}
