//! The types of a kernel, as `--btf FILE` may name any file: both readers of them, ours and the loader's.
#![no_main]

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;

use aya::{Btf, Endianness};
use libfuzzer_sys::fuzz_target;
use trace_user::kernel::btf::Facts;

fuzz_target!(|bytes: &[u8]| {
    let Ok(fd) = rustix::fs::memfd_create("btf", rustix::fs::MemfdFlags::CLOEXEC) else { return };
    let mut file = File::from(fd);
    file.write_all(bytes).expect("memory");
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let facts = Facts::read(path.as_ref(), ["sched_switch", "io_uring_complete"].into_iter());
    if let Err(e) = facts {
        assert!(!e.to_string().is_empty());
    }
    let _ = Btf::parse(bytes, Endianness::default());
});
