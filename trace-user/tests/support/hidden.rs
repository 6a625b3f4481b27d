//! A machine that shows less than this one: directories that are hidden from a test and from what it starts, in a mount
//! namespace of their own.

use std::ffi::CString;
use std::fs;
use std::io::{Error, Write as _};
use std::ptr::null;
use std::sync::LazyLock;

use tempfile::NamedTempFile;

/// Where a kernel shows its types.
const TYPES: &str = "/sys/kernel/btf";
/// This kernel's, from before they were hidden.
static OWN: LazyLock<Vec<u8>> = LazyLock::new(|| fs::read(format!("{TYPES}/vmlinux")).unwrap());

/// Whether this is root, who can hide something; prints why a test is skipped if not.
pub fn is_possible() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("TRACE_REQUIRE_PRIVILEGED").is_none(), "no test may skip here");
        eprintln!("skipped: only root has mount namespaces");
    }
    root
}

/// Puts an empty directory in the place of `directory`, for the calling thread and what it starts.
pub fn hide(directory: &str) {
    // SAFETY: no memory is involved; a thread may leave the file system attributes of the others (unshare(2)).
    succeeded(unsafe { libc::unshare(libc::CLONE_NEWNS) });
    let (nothing, root) = (c"none", c"/");
    let at = CString::new(directory).unwrap();
    let private = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: strings that live until the calls return.
    unsafe {
        succeeded(libc::mount(nothing.as_ptr(), root.as_ptr(), null(), private, null()));
        succeeded(libc::mount(nothing.as_ptr(), at.as_ptr(), c"tmpfs".as_ptr(), 0, null()));
    }
}

fn succeeded(answer: i32) {
    assert_eq!(answer, 0, "{}", Error::last_os_error());
}

/// This kernel's types.
pub fn types() -> &'static [u8] {
    &OWN
}

/// Hides this kernel's types, and returns a copy of them.
pub fn hide_types() -> NamedTempFile {
    let copy = file(types());
    hide(TYPES);
    copy
}

/// A file with these bytes.
pub fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new_in("/tmp").unwrap();
    file.write_all(bytes).unwrap();
    file
}
