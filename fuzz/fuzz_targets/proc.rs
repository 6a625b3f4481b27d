//! What `/proc` and `/sys` say, names that a target gave itself included: one file of a saved tree holds any bytes, and
//! its readers find something in it or do not.
#![no_main]

use std::fs::{File, create_dir_all};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use trace_user::kernel::proc::Proc;
use trace_user::kernel::rights::{self, System};

/// The files, by the number that the first byte is.
const FILES: [&str; 14] = [
    "1/stat",
    "1/status",
    "1/cgroup",
    "1/task/1/stat",
    "1/task/1/syscall",
    "1/task/1/schedstat",
    "1/net/tcp",
    "1/net/tcp6",
    "1/net/udp",
    "stat",
    "sys/kernel/pid_max",
    "self/status",
    "self/timens_offsets",
    "security/lockdown",
];
/// The links.
const LINKS: [&str; 4] = ["1/exe", "1/fd/3", "self/ns/pid", "1/ns/net"];

struct Tree {
    root: PathBuf,
    files: Vec<File>,
}

/// In memory, made once for each process of the fuzzer.
static TREE: LazyLock<Tree> = LazyLock::new(|| {
    let root = PathBuf::from(format!("/dev/shm/trace-fuzz-{}", std::process::id()));
    let open = |name: &&str| {
        let path = root.join(name);
        create_dir_all(path.parent().expect("a file in it")).expect("a directory");
        File::create(path).expect("a file")
    };
    let files = FILES.iter().map(open).collect();
    for link in LINKS {
        create_dir_all(root.join(link).parent().expect("a link in it")).expect("a directory");
    }
    // SAFETY: the function is a plain one that takes nothing.
    unsafe { atexit(remove) };
    Tree { root, files }
});

unsafe extern "C" {
    safe fn _exit(code: i32) -> !;
    fn atexit(function: extern "C" fn()) -> i32;
}

extern "C" fn remove() {
    if std::fs::remove_dir_all(&TREE.root).is_err() {
        _exit(1);
    }
}

fn is_long(root: &Path, name: &str) -> bool {
    root.join(name).metadata().is_ok_and(|file| file.len() >= 2048)
}

/// What the readers of that file make of it.
fn read(root: &Path, name: &str) {
    let proc = Proc::at(root);
    let system =
        || System { proc: root.into(), security: root.join("security"), btf: root.join("btf"), own: 1 };
    match name {
        "1/stat" => {
            let names = proc.names(1);
            assert!(names.len() <= 2);
            assert_eq!(proc.process_stat(1).is_none(), proc.label(1) == "gone" && names.len() < 2);
            assert_eq!(proc.tree(&[1]).contains_key(&1), proc.start_ticks(1).is_some());
        }
        "1/status" => drop((proc.tgid(1), proc.inner_pid(1))),
        "1/cgroup" => {
            if let Some(container) = proc.container(1) {
                assert!(!container.to_string().is_empty());
            }
        }
        // Both readers of the same file; the one for many threads reads the beginning of a long one.
        "1/task/1/stat" => assert!(proc.tasks().stat(1, 1) == proc.stat(1, 1) || is_long(root, name)),
        "1/task/1/syscall" => assert!(proc.tasks().call(1, 1) == proc.call(1, 1) || is_long(root, name)),
        "1/task/1/schedstat" => {
            assert!(proc.tasks().schedstat(1, 1) == proc.schedstat(1, 1) || is_long(root, name));
        }
        "1/net/tcp" | "1/net/tcp6" | "1/net/udp" => {
            let listeners = proc.listeners(Some(1));
            assert!(listeners.iter().all(|l| l.inode != 0));
            let inodes = listeners.iter().map(|l| l.inode).collect();
            assert!(proc.listening(1, &inodes).len() <= listeners.len());
        }
        "stat" => drop(proc.steal_ns()),
        "sys/kernel/pid_max" => drop(proc.pid_max()),
        "1/exe" => drop((proc.exe(1), proc.exe_path(1), proc.names(1))),
        "1/fd/3" => drop((proc.file_kind(1, 3), proc.sockets(1))),
        "1/ns/net" => drop(proc.network_namespace(Some(1))),
        _ => assert_eq!(rights::needs(&system()).len(), 6),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, text)) = bytes.split_first() else { return };
    let (which, tree) = (usize::from(*which) % (FILES.len() + LINKS.len()), &*TREE);
    if let Some(file) = tree.files.get(which) {
        file.set_len(0).and_then(|()| file.write_all_at(text, 0)).expect("memory");
        read(&tree.root, FILES[which]);
        return;
    }
    let name = LINKS[which - FILES.len()];
    let (path, Ok(target)) = (tree.root.join(name), std::str::from_utf8(text)) else { return };
    // Neither an empty target nor one with a 0 byte is a link.
    if symlink(target, &path).is_ok() {
        read(&tree.root, name);
        std::fs::remove_file(path).expect("it was made just now");
    }
});
