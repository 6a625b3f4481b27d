//! Programs that are told when the copy is done, and programs that have an io_uring and are not.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use support::real::{Client, Server, are_installed, holds, program, source};
use support::report::Report;
use support::test_alone;

/// The link of an io_uring's descriptor.
const RING: &str = "anon_inode:[io_uring]";
/// A request to an echo server.
const WORD: [u8; 64] = [b'x'; 64];
/// What fio reads at random, and how often: enough episodes, and time to sleep between.
const FILE_BYTES: usize = 64 << 20;
const READS_PER_SECOND: u32 = 2_000;

fn wrk(port: u16, path: &str) -> Client {
    let url = format!("http://127.0.0.1:{port}/{path}");
    Client::program("wrk", &["-t", "1", "-c", "20", "-d", "60", &url])
}

/// Clients that say something, hear it, and think.
fn echo_clients(port: u16) -> Client {
    Client::threads(10, Duration::from_millis(2), move || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_nodelay(true).unwrap();
        Box::new(move || {
            stream.write_all(&WORD).unwrap();
            let mut heard = [0; WORD.len()];
            stream.read_exact(&mut heard).unwrap();
            assert_eq!(heard, WORD);
        })
    })
}

/// Checks model, mechanism and qualifier, after printing what else the report says.
fn is(report: &Report, model: &str, mechanism: Option<&str>, qualifier: Option<&str>) {
    let verdict = &report.verdict.io_model;
    let losses: Vec<_> = report.loss.iter().filter(|(_, count)| **count > 0).collect();
    println!(
        "{} {:?} {:?} {:?}: {:?}, {losses:?}",
        verdict.name, verdict.mechanism, verdict.qualifier, verdict.confidence, verdict.shares
    );
    assert_eq!(verdict.name, model, "{verdict:#?}");
    if mechanism.is_some() {
        assert_eq!(verdict.mechanism.as_deref(), mechanism, "{verdict:#?}");
    }
    assert_eq!(verdict.qualifier.as_deref(), qualifier, "{verdict:#?}");
}

/// An echo server that `cargo xtask test` built.
fn echo_server_is_asynchronous(name: &str) {
    let path = format!("debug/{name}");
    if !are_installed(&[&path]) {
        return;
    }
    let server = Server::start(|_, port| {
        let mut server = program(&path);
        server.arg(port.to_string());
        server
    });
    assert!(holds(server.pid(), RING));
    is(&server.traced_amid(echo_clients), "asynchronous", Some("io_uring"), None);
}

#[test]
fn monoio_is_asynchronous() {
    test_alone!();
    echo_server_is_asynchronous("monoio-echo");
}

/// Its thread sleeps in epoll_wait: the ring sits in tokio's epoll set.
#[test]
fn tokio_uring_is_asynchronous_although_it_sleeps_in_epoll_wait() {
    test_alone!();
    echo_server_is_asynchronous("tokio-uring-echo");
}

/// Network and storage are kept apart.
#[test]
fn node_with_files_on_io_uring_multiplexes() {
    test_alone!();
    if !are_installed(&["venv/bin/node", "wrk"]) {
        return;
    }
    let server = Server::start(|directory, port| {
        let file = directory.join("page.html");
        std::fs::write(&file, [b'x'; 12 << 10]).unwrap();
        let mut node = program("venv/bin/node");
        node.env("UV_USE_IO_URING", "1").arg(source("files.js")).arg(port.to_string()).arg(file);
        node
    });
    let report = server.traced_amid(|port| wrk(port, ""));
    assert!(holds(server.pid(), RING), "this node reads files by other means");
    is(&report, "multiplexing", Some("epoll"), None);
}

/// Its ring carries epoll_ctl and nothing else.
#[test]
fn uvicorn_on_uvloop_multiplexes_although_it_has_a_ring() {
    test_alone!();
    if !are_installed(&["venv/bin/uvicorn", "wrk"]) {
        return;
    }
    let server = Server::start(|_, port| {
        let mut uvicorn = program("venv/bin/uvicorn");
        uvicorn.args(["--loop", "uvloop", "--http", "httptools", "--lifespan", "off", "--no-access-log"]);
        uvicorn.args(["--log-level", "warning", "--port", &port.to_string(), "--app-dir"]).arg(source(""));
        uvicorn.arg("hello:app").env("PYTHONDONTWRITEBYTECODE", "1");
        uvicorn
    });
    assert!(holds(server.pid(), RING), "this uvloop has no ring");
    is(&server.traced_amid(|port| wrk(port, "")), "multiplexing", Some("epoll"), None);
}

/// fio, which reads from a file at random and has no network.
fn fio(engine: &str) -> Option<Report> {
    if !are_installed(&["fio"]) {
        return None;
    }
    let worker = Server::start_worker(|directory| reads(engine, directory), has_read);
    Some(worker.traced_amid(|_| ()))
}

fn reads(engine: &str, directory: &Path) -> std::process::Command {
    let file = directory.join("file");
    std::fs::write(&file, vec![b'x'; FILE_BYTES]).unwrap();
    let mut fio = program("fio");
    fio.current_dir(directory).arg(format!("--filename={}", file.display()));
    fio.args(["--name=reads", "--rw=randread", "--bs=4k", "--direct=1", "--iodepth=8", "--thread"]);
    fio.args(["--time_based", "--runtime=300", "--output-format=terse"]);
    fio.arg(format!("--ioengine={engine}")).arg(format!("--rate_iops={READS_PER_SECOND}"));
    fio
}

/// Whether the process has read from a disk as its job does: a whole second's worth.
fn has_read(pid: u32) -> bool {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let bytes = io.lines().find_map(|line| line.strip_prefix("read_bytes: ")?.parse::<u64>().ok());
    bytes.is_some_and(|bytes| bytes >= u64::from(READS_PER_SECOND) * 4096)
}

#[test]
fn fio_on_io_uring_is_asynchronous_in_storage() {
    test_alone!();
    let Some(report) = fio("io_uring") else { return };
    is(&report, "asynchronous", Some("io_uring"), Some("storage"));
}

#[test]
fn fio_on_libaio_is_asynchronous_in_storage() {
    test_alone!();
    let Some(report) = fio("libaio") else { return };
    is(&report, "asynchronous", Some("libaio"), Some("storage"));
}

#[test]
fn fio_on_psync_blocks_in_storage() {
    test_alone!();
    let Some(report) = fio("psync") else { return };
    is(&report, "blocking", None, Some("storage"));
}
