//! Tests of the manifest.

use super::*;

/// A file system in miniature that has everything the hash covers.
fn workspace_with(probe: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("Cargo.toml", "[workspace]\n[profile.release]\nlto = true # why\n\n[profile.dev]\nopt-level = 1\n"),
        ("Cargo.lock", "[[package]]\nname = \"aya-ebpf\"\nversion = \"0.2.1\"\n"),
        ("trace-common/Cargo.toml", ""),
        ("trace-common/src/lib.rs", ""),
        ("trace-ebpf/Cargo.toml", ""),
        ("trace-ebpf/src/main.rs", probe),
    ] {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn manifest(root: &Path, object: &[u8]) -> Manifest {
    Manifest {
        sources_sha256: sources_sha256(root).unwrap(),
        object_sha256: hex(Sha256::digest(object).as_slice()),
        raw_sha256: hex(Sha256::digest(RAW).as_slice()),
        floor_sha256: hex(Sha256::digest(FLOOR).as_slice()),
        rustc: String::new(),
        bpf_linker: String::new(),
        llvm: String::new(),
    }
}

#[test]
fn the_hash_does_not_depend_on_the_order_of_files() {
    let entry = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    let forwards = hash(vec![entry("a", "1"), entry("b", "2")]);
    assert_eq!(forwards, hash(vec![entry("b", "2"), entry("a", "1")]));
    assert_ne!(forwards, hash(vec![entry("a", "12"), entry("b", "")]));
    assert_ne!(forwards, hash(vec![entry("ab", "1"), entry("", "2")]));
}

#[test]
fn two_checkouts_of_the_same_sources_have_the_same_hash() {
    let (one, other, changed) = (workspace_with("x"), workspace_with("x"), workspace_with("y"));
    let hash = |root: &tempfile::TempDir| sources_sha256(root.path()).unwrap();
    assert_eq!(hash(&one), hash(&other));
    assert_ne!(hash(&one), hash(&changed));
}

#[test]
fn an_unrelated_dependency_does_not_change_the_hash_but_the_probes_library_does() {
    let root = workspace_with("x");
    let before = sources_sha256(root.path()).unwrap();
    let lock = |text: &str| fs::write(root.path().join("Cargo.lock"), text).unwrap();
    let ours = "[[package]]\nname = \"aya-ebpf\"\nversion = \"0.2.1\"\n";
    lock(&format!("[[package]]\nname = \"serde\"\nversion = \"9\"\n{ours}"));
    assert_eq!(sources_sha256(root.path()).unwrap(), before);
    lock(&ours.replace("0.2.1", "0.2.2"));
    assert_ne!(sources_sha256(root.path()).unwrap(), before);
}

#[test]
fn only_the_release_profile_counts() {
    let text = "[profile.dev]\na = 1\n[profile.release]\nb = 2 # why\n\n[profile.release.package.x]\nc = 3\n[x]\nd = 4\n";
    assert_eq!(release_profile(text), "[profile.release]\nb = 2\n[profile.release.package.x]\nc = 3\n");
}

#[test]
fn changed_sources_and_a_changed_object_are_told_apart() {
    let root = workspace_with("x");
    let directory = root.path().join("prebuilt");
    let bytes = |text: &str| text.as_bytes().to_vec();
    let objects = Objects { probes: bytes("object"), raw: bytes(RAW), floor: bytes(FLOOR) };
    manifest(root.path(), b"object").write(&directory, &objects).unwrap();
    Manifest::verify(root.path(), &directory).unwrap();

    fs::write(directory.join(OBJECT), b"other").unwrap();
    let error = Manifest::verify(root.path(), &directory).unwrap_err().to_string();
    assert!(error.contains("is not the object of its manifest") && error.contains("build-ebpf"), "{error}");

    fs::write(directory.join(OBJECT), b"object").unwrap();
    for other in [RAW, FLOOR] {
        fs::write(directory.join(other), b"other").unwrap();
        let error = Manifest::verify(root.path(), &directory).unwrap_err().to_string();
        assert!(error.contains(&format!("{other} is not the object")), "{error}");
        fs::write(directory.join(other), other).unwrap();
    }

    fs::write(root.path().join("trace-ebpf/src/main.rs"), "changed").unwrap();
    let error = Manifest::verify(root.path(), &directory).unwrap_err().to_string();
    assert!(error.contains("sources of the probes changed") && error.contains("build-ebpf"), "{error}");
}

#[test]
fn a_missing_manifest_names_the_command_that_makes_it() {
    let root = tempfile::tempdir().unwrap();
    let error = format!("{:#}", Manifest::verify(root.path(), root.path()).unwrap_err());
    assert!(error.contains("cargo xtask build-ebpf") && error.contains("MANIFEST.json"), "{error}");
}
