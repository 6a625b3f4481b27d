//! A kernel's types in the format BTF (`Documentation/bpf/btf.rst`, 6.18): where fields are, and which numbers types have.
//!
//! A kernel has 140,000 types, and a few dozen are asked for: they stay the bytes that they are, and one pass over them
//! notes where each begins and what the named ones are called.

use std::collections::HashMap;
use std::ops::Range;

/// `BTF_MAGIC`.
const MAGIC: u16 = 0xEB9F;
/// Bytes of `struct btf_header` that are looked at.
const HEADER: usize = 24;
/// Bytes of `struct btf_type`, which every type begins with.
const TYPE: usize = 12;
/// Links from a type to the one it stands for that are followed: qualifiers and typedefs.
const MAX_LINKS: usize = 32;
/// Anonymous structs and unions within each other that are looked into.
const MAX_NESTED: u32 = 16;
/// Longest name, bytes, with its end: `KSYM_NAME_LEN`, `include/linux/kallsyms.h`.
const MAX_NAME: usize = 512;
/// Members that are looked at for one field: `task_struct` has some 300.
const MAX_MEMBERS: u32 = 100_000;

/// `BTF_KIND_*`, `include/uapi/linux/btf.h`.
mod kind {
    pub const INT: u8 = 1;
    pub const PTR: u8 = 2;
    pub const ARRAY: u8 = 3;
    pub const STRUCT: u8 = 4;
    pub const UNION: u8 = 5;
    pub const ENUM: u8 = 6;
    pub const TYPEDEF: u8 = 8;
    pub const VOLATILE: u8 = 9;
    pub const CONST: u8 = 10;
    pub const RESTRICT: u8 = 11;
    pub const FUNC_PROTO: u8 = 13;
    pub const VAR: u8 = 14;
    pub const DATASEC: u8 = 15;
    pub const DECL_TAG: u8 = 17;
    pub const TYPE_TAG: u8 = 18;
    pub const ENUM64: u8 = 19;
}

/// The types of one file.
pub struct Types<'a> {
    bytes: &'a [u8],
    strings: Range<usize>,
    /// Where each type begins, by its number less one: 0 is `void`, which has no bytes.
    starts: Vec<u32>,
    structs: HashMap<&'a [u8], u32>,
    typedefs: HashMap<&'a [u8], u32>,
    enums: Vec<u32>,
}

/// The beginning of a type.
#[derive(Clone, Copy)]
struct Head {
    name: u32,
    kind: u8,
    /// `kind_flag`: members have the size of their bit field beside their offset.
    flag: bool,
    /// Entries that follow it.
    count: u32,
    /// The type that it points to or stands for; of some kinds, its size.
    target: u32,
    /// Where what follows it begins.
    body: usize,
}

/// A member of a struct or union.
#[derive(Clone, Copy)]
struct Member {
    name: u32,
    target: u32,
    bit: u32,
}

impl<'a> Types<'a> {
    /// Reads `bytes`.
    ///
    /// # Errors
    /// What about them is not BTF of this machine.
    pub fn parse(bytes: &'a [u8]) -> Result<Types<'a>, String> {
        let header = bytes.get(..HEADER).ok_or("it is shorter than its header")?;
        let word = |at: usize| word(header, at).map_or(0, |word| word as usize);
        if u16::from_ne_bytes([header[0], header[1]]) != MAGIC {
            return Err("it does not begin with the magic number".to_owned());
        }
        let section = |offset: usize, length: usize| {
            let start = word(4) + offset;
            let range = start..start + length;
            (range.end <= bytes.len()).then_some(range).ok_or("it is shorter than its header says")
        };
        let (types, strings) = (section(word(8), word(12))?, section(word(16), word(20))?);
        let mut found = Types {
            bytes,
            strings,
            starts: Vec::with_capacity(types.len() / (2 * TYPE)),
            structs: HashMap::new(),
            typedefs: HashMap::new(),
            enums: Vec::new(),
        };
        found.list(types)?;
        Ok(found)
    }

    fn list(&mut self, types: Range<usize>) -> Result<(), String> {
        let mut at = types.start;
        while at < types.end {
            let head = self.head_at(at).ok_or("its last type is cut off")?;
            let id = self.starts.len() as u32 + 1;
            match head.kind {
                kind::STRUCT | kind::UNION => _ = self.structs.entry(self.string(head.name)).or_insert(id),
                kind::TYPEDEF => _ = self.typedefs.entry(self.string(head.name)).or_insert(id),
                kind::ENUM => self.enums.push(id),
                _ => {}
            }
            self.starts.push(at as u32);
            at = head.body + tail(head).ok_or_else(|| format!("it has a type of kind {}", head.kind))?;
        }
        if at == types.end { Ok(()) } else { Err("its last type is cut off".to_owned()) }
    }

    /// The number of a typedef.
    pub fn typedef(&self, name: &str) -> Option<u32> {
        self.typedefs.get(name.as_bytes()).copied()
    }

    /// Where the field at `path` is in the struct `container`, in bits from its beginning. A name in the path is that of a
    /// member, or of one of an anonymous struct or union among them.
    pub fn bit_of(&self, container: &str, path: &str) -> Option<u32> {
        let mut id = *self.structs.get(container.as_bytes())?;
        let mut bit: u32 = 0;
        let mut left = MAX_MEMBERS;
        for name in path.split('.') {
            let member = self.member(self.resolve(id)?, name, MAX_NESTED, &mut left)?;
            bit = bit.checked_add(member.bit)?;
            id = member.target;
        }
        Some(bit)
    }

    /// The value that some enum gives to `name`.
    pub fn enum_value(&self, name: &str) -> Option<u32> {
        self.enums.iter().filter_map(|id| self.head(*id)).find_map(|head| {
            let values = (0..head.count as usize).map(|nth| head.body + nth * 8);
            let at = values
                .into_iter()
                .find(|at| self.word(*at).is_some_and(|offset| self.string(offset) == name.as_bytes()))?;
            self.word(at + 4)
        })
    }

    /// The number of arguments of the function that a typedef of a pointer points to.
    pub fn arguments(&self, typedef: &str) -> Option<usize> {
        let pointer = self.head(self.resolve(self.typedef(typedef)?)?)?;
        let function = self.head(self.resolve(pointer.target)?)?;
        let is_one = pointer.kind == kind::PTR && function.kind == kind::FUNC_PROTO;
        is_one.then_some(function.count as usize)
    }

    /// The type that `id` stands for, without qualifiers and typedefs.
    fn resolve(&self, mut id: u32) -> Option<u32> {
        for _ in 0..MAX_LINKS {
            let head = self.head(id)?;
            match head.kind {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    id = head.target;
                }
                _ => return Some(id),
            }
        }
        None
    }

    /// Member `name` of the struct `id`; its offset is that from the beginning of this one, even if it is a member of an
    /// anonymous one within. `left`: members that may still be looked at.
    fn member(&self, id: u32, name: &str, nested: u32, left: &mut u32) -> Option<Member> {
        let head = self.head(id).filter(|head| matches!(head.kind, kind::STRUCT | kind::UNION))?;
        (0..head.count as usize).find_map(|nth| {
            *left = left.checked_sub(1)?;
            let member = self.member_at(head, head.body + nth * TYPE)?;
            if member.name != 0 {
                return (self.string(member.name) == name.as_bytes()).then_some(member);
            }
            let inner = self.member(self.resolve(member.target)?, name, nested.checked_sub(1)?, left)?;
            Some(Member { bit: inner.bit.checked_add(member.bit)?, ..inner })
        })
    }

    fn member_at(&self, head: Head, at: usize) -> Option<Member> {
        let offset = self.word(at + 8)?;
        let bit = if head.flag { offset & 0x00FF_FFFF } else { offset };
        Some(Member { name: self.word(at)?, target: self.word(at + 4)?, bit })
    }

    fn head(&self, id: u32) -> Option<Head> {
        let start = self.starts.get((id as usize).checked_sub(1)?)?;
        self.head_at(*start as usize)
    }

    fn head_at(&self, at: usize) -> Option<Head> {
        let info = self.word(at + 4)?;
        Some(Head {
            name: self.word(at)?,
            kind: (info >> 24 & 0x1F) as u8,
            flag: info >> 31 != 0,
            count: info & 0xFFFF,
            target: self.word(at + 8)?,
            body: at + TYPE,
        })
    }

    fn word(&self, at: usize) -> Option<u32> {
        word(self.bytes, at)
    }

    /// The string at an offset of the strings; empty if there is none, or if it is longer than any name.
    fn string(&self, offset: u32) -> &'a [u8] {
        let rest = self.bytes[self.strings.clone()].get(offset as usize..).unwrap_or_default();
        let rest = &rest[..rest.len().min(MAX_NAME)];
        std::ffi::CStr::from_bytes_until_nul(rest).map_or(&[], |text| text.to_bytes())
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(word.try_into().ok()?))
}

/// Bytes of what follows the beginning of a type; `None` of a kind that is not known.
fn tail(head: Head) -> Option<usize> {
    let count = head.count as usize;
    Some(match head.kind {
        kind::INT | kind::VAR | kind::DECL_TAG => 4,
        kind::ARRAY => 12,
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * count,
        kind::ENUM | kind::FUNC_PROTO => 8 * count,
        // PTR, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FLOAT, TYPE_TAG.
        2 | 7..=12 | 16 | kind::TYPE_TAG => 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of types under construction.
    struct File {
        types: Vec<u32>,
        strings: Vec<u8>,
        last: u32,
    }

    impl File {
        fn new() -> File {
            File { types: Vec::new(), strings: vec![0], last: 0 }
        }

        fn name(&mut self, name: &str) -> u32 {
            if name.is_empty() {
                return 0;
            }
            let at = self.strings.len() as u32;
            self.strings.extend_from_slice(name.as_bytes());
            self.strings.push(0);
            at
        }

        /// Adds a type; returns its number.
        fn add(&mut self, name: &str, kind: u8, flag: bool, count: u32, target: u32, body: &[u32]) -> u32 {
            let name = self.name(name);
            self.types.extend([name, u32::from(flag) << 31 | u32::from(kind) << 24 | count, target]);
            self.types.extend(body);
            self.last += 1;
            self.last
        }

        /// Adds a struct with members: name, type, offset.
        fn structure(&mut self, name: &str, flag: bool, members: &[(&str, u32, u32)]) -> u32 {
            let body: Vec<u32> = members
                .iter()
                .flat_map(|(name, target, offset)| [self.name(name), *target, *offset])
                .collect();
            self.add(name, kind::STRUCT, flag, members.len() as u32, 0, &body)
        }

        fn bytes(&self) -> Vec<u8> {
            let (types, strings) = (self.types.len() as u32 * 4, self.strings.len() as u32);
            let header = [0x0001_EB9F, 24, 0, types, types, strings];
            let words = header.iter().chain(&self.types).flat_map(|word| word.to_ne_bytes());
            words.chain(self.strings.iter().copied()).collect()
        }
    }

    #[test]
    fn a_field_is_found_through_anonymous_members_and_typedefs() {
        let mut file = File::new();
        let int = file.add("int", kind::INT, false, 0, 4, &[32]);
        let path = file.structure("path", false, &[("mnt", int, 0), ("dentry", int, 64)]);
        let alias = file.add("path_t", kind::TYPEDEF, false, 0, path, &[]);
        let constant = file.add("", kind::CONST, false, 0, alias, &[]);
        let union = file.structure("", false, &[("f_path", constant, 0), ("__f_path", path, 0)]);
        file.structure("file", false, &[("f_mode", int, 0), ("", union, 128)]);
        let bytes = file.bytes();
        let types = Types::parse(&bytes).expect("types");
        assert_eq!(types.bit_of("file", "f_mode"), Some(0));
        assert_eq!(types.bit_of("file", "f_path"), Some(128));
        assert_eq!(types.bit_of("file", "f_path.dentry"), Some(192));
        for none in ["", "f_path.", "f_path.x", "dentry", "f_mode.x"] {
            assert_eq!(types.bit_of("file", none), None, "{none}");
        }
        assert_eq!(types.bit_of("path_t", "dentry"), None, "not a struct");
    }

    #[test]
    fn a_bit_field_has_its_size_beside_its_offset() {
        let mut file = File::new();
        let int = file.add("int", kind::INT, false, 0, 4, &[32]);
        file.structure("task_struct", true, &[("pid", int, 64), ("in_iowait", int, 1 << 24 | 100)]);
        let bytes = file.bytes();
        let types = Types::parse(&bytes).expect("types");
        assert_eq!(types.bit_of("task_struct", "pid"), Some(64));
        assert_eq!(types.bit_of("task_struct", "in_iowait"), Some(100));
    }

    #[test]
    fn tracepoints_have_numbers_and_arguments() {
        let mut file = File::new();
        let function = file.add("", kind::FUNC_PROTO, false, 2, 0, &[0, 0, 0, 0]);
        let pointer = file.add("", kind::PTR, false, 0, function, &[]);
        file.add("bits", kind::ENUM, false, 2, 4, &[1, 0, 1, 0]);
        let id = file.add("btf_trace_x", kind::TYPEDEF, false, 0, pointer, &[]);
        let (first, second) = (file.name("A_BIT"), file.name("B_BIT"));
        file.add("more", kind::ENUM, false, 2, 4, &[first, 7, second, 9]);
        let bytes = file.bytes();
        let types = Types::parse(&bytes).expect("types");
        assert_eq!((types.typedef("btf_trace_x"), types.typedef("btf_trace_y")), (Some(id), None));
        assert_eq!((types.arguments("btf_trace_x"), types.arguments("bits")), (Some(2), None));
        assert_eq!((types.enum_value("B_BIT"), types.enum_value("C_BIT")), (Some(9), None));
    }

    #[test]
    fn types_within_themselves_end() {
        let mut file = File::new();
        let members: Vec<_> = (0..1_000).map(|_| ("", 1, 8)).collect();
        file.structure("again", false, &members);
        file.add("loop", kind::TYPEDEF, false, 0, 2, &[]);
        let bytes = file.bytes();
        let types = Types::parse(&bytes).expect("types");
        assert_eq!(types.bit_of("again", "x"), None);
        assert_eq!(types.arguments("loop"), None);
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_refused() {
        let mut file = File::new();
        file.structure("one", false, &[("a", 0, 0)]);
        let bytes = file.bytes();
        assert!(Types::parse(&bytes).is_ok());
        for length in 0..bytes.len() {
            assert!(Types::parse(&bytes[..length]).is_err(), "{length}");
        }
        file.add("", 31, false, 0, 0, &[]);
        assert_eq!(Types::parse(&file.bytes()).err().as_deref(), Some("it has a type of kind 31"));
    }

    #[test]
    fn the_running_kernel_s_types_are_read_as_the_loader_reads_them() {
        let Ok(bytes) = std::fs::read(super::super::btf::VMLINUX) else {
            println!("skipped: this kernel has no types");
            return;
        };
        let types = Types::parse(&bytes).expect("types");
        let theirs = aya::Btf::parse(&bytes, aya::Endianness::default()).expect("types");
        for name in ["btf_trace_sched_switch", "btf_trace_sys_exit"] {
            let id = theirs.id_by_type_name_kind(name, aya_obj::btf::BtfKind::Typedef).ok();
            assert_eq!(types.typedef(name), id, "{name}");
        }
        assert_eq!(types.arguments("btf_trace_sys_exit"), Some(3));
    }
}
