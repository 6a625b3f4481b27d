//! Saved measurements: `--output FILE.trace`, and `trace report`.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

#[path = "snapshot/hostile.rs"]
mod hostile;
#[path = "snapshot/packed.rs"]
mod packed;
mod support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};

use fixtures::Mode;
use fixtures::load::Pattern;
use packed::{SAVED, pack, saved, unpack};
use serde_json::json;
use support::programs::{load, serve, trace};
use support::test_alone;
use tempfile::{NamedTempFile, TempDir};

fn run(args: &[&str]) -> Output {
    Command::new(trace()).args(args).output().unwrap()
}

/// `trace report` of a file with these bytes.
fn report_on(bytes: &[u8]) -> Output {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    run(&["report", file.path().to_str().unwrap()])
}

/// Exit code 2, nothing on stdout, and an error with this text.
#[track_caller]
fn refused(output: &Output, text: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty());
    assert!(stderr.contains("trace: error: cannot report on") && stderr.contains(text), "{text}: {stderr}");
}

#[track_caller]
fn stdout(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn a_saved_measurement_gives_the_report_of_its_attach_byte_for_byte() {
    test_alone!();
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let text = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    let server = serve(Mode::Blocking, "");
    let _clients = load(Pattern::PingPong, &server, "--connections 4 --requests 1000 --think 5");
    let pid = server.pid().to_string();
    for threads in [&[][..], &["--threads"]] {
        let files = ["--output", &path("a.trace"), &path("a.json"), "--output", &path("a.txt"), "--force"];
        let attach = ["attach", "--pid", &pid, "--duration", "1s", "--calls", "5", "--quiet"];
        let attached = run(&[&attach[..], &files, threads].concat());
        assert_eq!(stdout(&attached), text("a.txt"));
        let again = |more: &[&str]| run(&[&["report", &path("a.trace")], threads, more].concat());
        assert_eq!(stdout(&again(&[])), text("a.txt"));
        assert_eq!(stdout(&again(&["--format", "json"])), text("a.json"));
        let files = ["--output", &path("b.txt"), &path("b.json"), &path("b.trace"), "--force"];
        assert_eq!(stdout(&again(&files)), text("a.txt"));
        assert_eq!((text("b.txt"), text("b.json")), (text("a.txt"), text("a.json")));
        let bytes = |name: &str| std::fs::read(directory.path().join(name)).unwrap();
        assert!(bytes("a.trace") == bytes("b.trace"), "the same measurement makes the same file");
        assert_eq!(std::fs::metadata(path("a.trace")).unwrap().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_file_of_the_first_version_is_still_read_and_needs_no_privileges() {
    let output = run(&["report", SAVED]);
    let text = stdout(&output);
    assert!(text.contains("I/O model: blocking"), "{text}");
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Nobody may not enter every target directory.
    let directory = TempDir::new_in("/tmp").unwrap();
    let (program, file) = (directory.path().join("trace"), directory.path().join("saved.trace"));
    std::fs::copy(trace(), &program).unwrap();
    std::fs::copy(SAVED, &file).unwrap();
    for (path, mode) in [(directory.path(), 0o755), (&program, 0o755), (&file, 0o644)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let nobody = ["--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--"];
    let output =
        Command::new("setpriv").args(nobody).arg(&program).arg("report").arg(&file).output().unwrap();
    assert_eq!(stdout(&output), text);
}

#[test]
fn an_older_minor_version_lacks_fields_and_a_newer_one_has_more() {
    let mut document = saved();
    document["version"] = json!("1.999");
    document["snapshot"]["weather"] = json!({"rain": true});
    document["snapshot"].as_object_mut().unwrap().remove("calls").unwrap();
    for thread in document["snapshot"]["threads"].as_array_mut().unwrap() {
        thread["mood"] = json!("fine");
        for field in ["announced", "storage", "storage_syscall"] {
            thread.as_object_mut().unwrap().remove(field).unwrap();
        }
    }
    assert_eq!(stdout(&report_on(&pack(&document))), stdout(&run(&["report", SAVED])));
}

#[test]
fn another_major_version_is_refused_with_both_versions() {
    for version in ["2.0", "0.9", "1", "one", "1.x", "99999999999999999999.0", ""] {
        let mut document = json!({"format": "trace-snapshot", "tool": "7.1.0"});
        document["version"] = json!(version);
        let output = report_on(&pack(&document));
        refused(&output, &format!("it has version {version} of the format, written by trace 7.1.0"));
        refused(&output, "reads 1.0");
    }
}

#[test]
fn what_is_no_saved_measurement_is_refused() {
    refused(&run(&["report", "/nonexistent.trace"]), "No such file");
    refused(&run(&["report", "/"]), "Is a directory");
    refused(&run(&["report", "/dev/zero"]), "does not begin as one does");
    refused(&report_on(b""), "it is empty");
    refused(&report_on(b"\x1f"), "does not begin as one does");
    refused(&report_on(&std::fs::read(trace()).unwrap()), "does not begin as one does");
    let report = run(&["report", SAVED, "--format", "json"]);
    refused(&report_on(stdout(&report).as_bytes()), "only a .trace file");
    refused(&report_on(&pack(&json!({"format": "something", "version": "1.0"}))), "something else");
    for foreign in [json!({}), json!([]), json!(7), json!({"format": 1, "version": []})] {
        refused(&report_on(&pack(&foreign)), "it does not say that it is one");
    }
}

#[test]
fn a_damaged_file_is_refused() {
    let whole = std::fs::read(SAVED).unwrap();
    for length in 2..whole.len() {
        if length % 37 == 0 || length + 9 > whole.len() {
            refused(&report_on(&whole[..length]), "it is damaged: its end is missing");
        }
    }
    refused(&report_on(&[&whole[..], b"\n"].concat()), "something follows its end");
    refused(&report_on(&[&whole[..], &whole].concat()), "something follows its end");
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 4;
    refused(&report_on(&changed), "it is damaged");
    let mut document = saved();
    document["snapshot"].as_object_mut().unwrap().remove("window").unwrap();
    refused(&report_on(&pack(&document)), "missing field `window`");
}

#[test]
fn numbers_that_no_measurement_reaches_are_refused() {
    for number in [u64::MAX, 1 << 63] {
        let mut document = saved();
        document["snapshot"]["threads"][0]["lived_ns"] = json!(number);
        refused(&report_on(&pack(&document)), "2^63 or more");
    }
    let mut document = saved();
    document["snapshot"]["threads"][0]["lived_ns"] = json!(-1);
    refused(&report_on(&pack(&document)), "it is damaged");
}

#[test]
fn a_bomb_is_refused_before_it_fills_memory() {
    let mut bomb = unpack(&std::fs::read(SAVED).unwrap());
    bomb.resize(200 << 20, b' ');
    refused(&report_on(&packed::compress(&bomb)), "it holds more than 134217728 bytes");
    let mut document = saved();
    document["snapshot"]["degraded"] = vec![""; 9 << 20].into();
    refused(&report_on(&pack(&document)), "it holds more than 8388608 values");
}

#[test]
fn an_output_is_refused_as_by_attach() {
    let directory = TempDir::new().unwrap();
    let old = directory.path().join("old.json");
    std::fs::write(&old, "old").unwrap();
    let output = run(&["report", SAVED, "--output", old.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "old");
    assert_eq!(run(&["report", SAVED, "--output", "a.xml"]).status.code(), Some(2));
    assert!(!Path::new("a.xml").exists());
}
