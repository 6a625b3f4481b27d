//! The guest's file system: busybox, the programs and their libraries, in one uncompressed cpio archive.
//! Uncompressed, because the emulated processor would take longer to unpack it than QEMU to load it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::init;
use crate::{ldd, process, workspace};

/// The directories that the script mounts on, and where programs expect to write.
const DIRECTORIES: [&str; 7] = ["bin", "dev", "proc", "sys", "tmp", "root", "etc"];

/// What to run in the guest.
#[derive(Clone, Debug)]
pub struct Payload {
    /// The executable to run; it goes to /bin.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its variables.
    pub variables: Vec<(String, String)>,
    /// Other files that go to /bin, with their libraries.
    pub files: Vec<PathBuf>,
}

impl Payload {
    /// One program and nothing else.
    pub fn of_program(program: &Path) -> Self {
        // Turning the kernel's statistics of programs on patches code that the other emulated CPU may be running.
        let variables =
            ["TRACE_IN_VM", "TRACE_NO_COST_SAMPLE"].map(|name| (name.to_owned(), "1".to_owned())).into();
        Self { program: program.to_owned(), arguments: Vec::new(), variables, files: Vec::new() }
    }

    /// Where the program lies in the guest.
    pub fn guest_command(&self) -> String {
        guest_path(&self.program)
    }
}

/// Where a file of the host lies in the guest.
pub fn guest_path(file: &Path) -> String {
    format!("/bin/{}", file.file_name().unwrap_or_default().to_string_lossy())
}

/// Packs the payload into an archive; returns its path.
///
/// # Errors
/// When busybox or cpio is missing, or a file cannot be read.
pub fn pack(archive: &Path, payload: &Payload) -> Result<PathBuf> {
    let need = |name: &str| {
        workspace::find_program(name)
            .with_context(|| format!("there is no {name} here; run `cargo xtask setup --vm`"))
    };
    let (busybox, _) = (need("busybox")?, need("cpio")?);
    let tree = tempfile::tempdir()?;
    for directory in DIRECTORIES {
        fs::create_dir(tree.path().join(directory))?;
    }
    copy(&busybox, tree.path(), "/bin/busybox")?;
    let mut libraries: BTreeSet<PathBuf> = ldd::libraries(&busybox)?.into_iter().collect();
    for file in [&payload.program].into_iter().chain(&payload.files) {
        copy(file, tree.path(), &guest_path(file))?;
        libraries.extend(ldd::libraries(file)?);
    }
    for library in &libraries {
        copy(library, tree.path(), &library.to_string_lossy())?;
    }
    fs::write(tree.path().join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(tree.path().join("etc/group"), "root:x:0:\n")?;
    let script = tree.path().join("init");
    fs::write(&script, init::script(payload))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    if let Some(parent) = archive.parent() {
        fs::create_dir_all(parent)?;
    }
    cpio(tree.path(), archive)?;
    Ok(archive.to_owned())
}

/// Copies a file into the tree, without its debug information where `strip` can remove it: a test executable
/// with it takes most of the guest's memory.
fn copy(from: &Path, tree: &Path, guest: &str) -> Result<()> {
    let to = tree.join(guest.trim_start_matches('/'));
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, &to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    // Refused for what is no executable, and then not needed.
    let _ = Command::new("strip").arg("--strip-debug").arg(&to).stderr(Stdio::null()).status();
    Ok(())
}

/// Packs a tree in the format that the kernel reads.
fn cpio(tree: &Path, archive: &Path) -> Result<()> {
    let script =
        format!("find . | cpio --quiet -o -H newc -R 0:0 > {}", process::quote(&archive.to_string_lossy()));
    process::run(Command::new("sh").arg("-c").arg(script).current_dir(tree))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_host_go_to_bin() {
        assert_eq!(guest_path(Path::new("/work/target/debug/trace")), "/bin/trace");
    }
}
