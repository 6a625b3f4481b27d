//! The numbers of a kernel's types, in the form that the loader wants.
//!
//! To load a program for a tracepoint, aya asks the kernel's types for one thing: the number of the typedef
//! `btf_trace_NAME` (`BtfTracePoint::load`). To get it, it makes 30 MB of objects of 5.5 MB of types, which takes some 50 ms.
//! Here it gets types of which all others are empty.

use std::collections::BTreeMap;

use aya::{Btf, BtfError, Endianness};

/// What the typedef of a tracepoint's function begins with.
pub const PREFIX: &str = "btf_trace_";
/// Most types that a kernel may have: some 140,000 are usual.
const MAX_TYPES: u32 = 1 << 22;

/// `info` of a forward declaration without a name, and of a typedef: the kind, in the bits from 24 on.
const FORWARD: u32 = 7 << 24;
const TYPEDEF: u32 = 8 << 24;

/// Types with the typedefs of tracepoints at their numbers, and nothing else.
///
/// # Errors
/// If a number is beyond [`MAX_TYPES`].
pub fn table(tracepoints: &BTreeMap<&'static str, u32>) -> Result<Btf, BtfError> {
    let last = tracepoints.values().copied().max().unwrap_or(0);
    if last > MAX_TYPES {
        return Err(BtfError::InvalidTypeInfo);
    }
    let mut types = [0, FORWARD, 0].repeat(last as usize);
    let mut strings = vec![0];
    for (name, id) in tracepoints {
        // `void` has no bytes.
        let Some(nth) = id.checked_sub(1) else { continue };
        let at = nth as usize * 3;
        types[at..at + 2].copy_from_slice(&[strings.len() as u32, TYPEDEF]);
        strings.extend_from_slice(PREFIX.as_bytes());
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
    }
    let length = types.len() as u32 * 4;
    // `struct btf_header`: magic and version; its length; offset and length of the types and of the strings.
    let header = [0x0001_EB9F, 24, 0, length, length, strings.len() as u32];
    let mut bytes: Vec<u8> = header.into_iter().chain(types).flat_map(u32::to_ne_bytes).collect();
    bytes.extend(strings);
    Btf::parse(&bytes, Endianness::default())
}

#[cfg(test)]
mod tests {
    use aya_obj::btf::BtfKind;

    use super::*;

    #[test]
    fn the_loader_finds_each_tracepoint_at_its_number() {
        let ids = BTreeMap::from([("sched_switch", 70_001), ("sys_enter", 3), ("sys_exit", 1)]);
        let btf = table(&ids).expect("types");
        let id = |name: &str| btf.id_by_type_name_kind(name, BtfKind::Typedef).ok();
        assert_eq!(id("btf_trace_sched_switch"), Some(70_001));
        assert_eq!(id("btf_trace_sys_enter"), Some(3));
        assert_eq!(id("btf_trace_sys_exit"), Some(1));
        assert_eq!(id("btf_trace_sys"), None);
    }

    #[test]
    fn a_number_that_no_kernel_has_is_refused() {
        assert!(table(&BTreeMap::from([("sys_enter", u32::MAX)])).is_err());
        assert!(table(&BTreeMap::new()).is_ok());
    }
}
