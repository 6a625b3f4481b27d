//! On saved trees of `/proc`.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// A `/proc` on disk.
struct Tree(TempDir);

impl Tree {
    fn new() -> Tree {
        Tree(tempfile::tempdir().expect("a directory"))
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }

    fn process(&self, pid: u32, ppid: u32, comm: &str, exe: &str) {
        self.task(pid, pid, ppid, comm, 'S', 0x40_0000);
        symlink(exe, self.path(&format!("{pid}/exe"))).expect("a link");
        std::fs::create_dir_all(self.path(&format!("{pid}/fd"))).expect("a directory");
    }

    fn task(&self, tid: u32, tgid: u32, ppid: u32, comm: &str, state: char, flags: u32) {
        let stat = format!("{tid} ({comm}) {state} {ppid} 1 1 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0");
        self.file(&format!("{tid}/stat"), &stat);
        self.file(
            &format!("{tid}/status"),
            &format!("Name:\t{comm}\nTgid:\t{tgid}\nPid:\t{tid}\nNSpid:\t{tid}\n"),
        );
    }

    fn holds(&self, pid: u32, fd: u32, inode: u64) {
        symlink(format!("socket:[{inode}]"), self.path(&format!("{pid}/fd/{fd}"))).expect("a link");
    }

    fn net(&self, table: &str, sockets: &[(&str, &str, &str, u64)]) {
        let line = |&(local, remote, state, inode): &(&str, &str, &str, u64)| {
            format!("   0: {local} {remote} {state} 0:0 00:0 0  0  0 {inode} 1 0 100 0\n")
        };
        let lines: String = sockets.iter().map(line).collect();
        self.file(&format!("net/{table}"), &format!("  sl  local_address rem_address   st ...\n{lines}"));
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn resolve(&self, spec: Spec) -> Result<Vec<u32>, Failure> {
        resolve(self.0.path(), &spec, 999)
    }

    fn port(&self, port: u16) -> Result<Vec<u32>, Failure> {
        self.resolve(Spec::Port(port))
    }

    fn name(&self, name: &str) -> Result<Vec<u32>, Failure> {
        self.resolve(Spec::Name(name.into()))
    }
}

/// nginx: a master that holds the listener on 8080 with two workers, and a client of it.
fn nginx() -> Tree {
    let tree = Tree::new();
    tree.process(1, 0, "systemd", "/usr/lib/systemd/systemd");
    tree.process(10, 1, "nginx", "/usr/sbin/nginx");
    tree.process(11, 10, "nginx", "/usr/sbin/nginx");
    tree.process(12, 10, "nginx", "/usr/sbin/nginx");
    tree.process(20, 1, "curl", "/usr/bin/curl");
    tree.net(
        "tcp",
        &[
            ("0100007F:1F90", "00000000:0000", "0A", 500),
            ("0100007F:1F90", "0100007F:D431", "01", 501),
            ("0100007F:D431", "0100007F:1F90", "01", 502),
        ],
    );
    [10, 11, 12].iter().for_each(|&pid| tree.holds(pid, 6, 500));
    tree.holds(11, 7, 501);
    tree.holds(20, 3, 502);
    tree
}

fn refused(result: Result<Vec<u32>, Failure>) -> (Code, String) {
    let failure = result.expect_err("a failure");
    (failure.code, failure.to_string())
}

#[test]
fn a_port_is_the_topmost_process_that_holds_its_listener() {
    assert_eq!(nginx().port(8080).expect("nginx"), [10]);
}

#[test]
fn the_port_of_a_client_is_no_server() {
    let (code, text) = refused(nginx().port(0xD431));
    assert_eq!(code, Code::NoTarget);
    assert!(text.contains("54321"), "{text}");
}

#[test]
fn systemd_that_activates_a_service_is_not_the_server() {
    let tree = nginx();
    tree.holds(1, 40, 500);
    assert_eq!(tree.port(8080).expect("nginx"), [10]);
}

#[test]
fn workers_whose_parent_closed_the_listener_are_one_server() {
    let tree = Tree::new();
    tree.process(10, 1, "sh", "/bin/sh");
    for pid in [11, 12] {
        tree.process(pid, 10, "worker", "/srv/worker");
        tree.holds(pid, 3, 500);
    }
    tree.net(
        "tcp6",
        &[("00000000000000000000000000000000:1F90", "00000000000000000000000000000000:0000", "0A", 500)],
    );
    assert_eq!(tree.port(8080).expect("both"), [11, 12]);
}

#[test]
fn unrelated_listeners_on_one_port_are_listed() {
    let tree = nginx();
    tree.process(30, 1, "other", "/usr/bin/other");
    tree.net("udp", &[("0200007F:1F90", "00000000:0000", "07", 600)]);
    tree.holds(30, 3, 600);
    let (code, text) = refused(tree.port(8080));
    assert_eq!(code, Code::Usage);
    assert!(text.contains("10 (nginx)") && text.contains("30 (other)"), "{text}");
}

#[test]
fn a_name_is_the_topmost_process_of_that_name() {
    assert_eq!(nginx().name("nginx").expect("nginx"), [10]);
}

#[test]
fn a_name_may_be_that_of_the_executable() {
    let tree = Tree::new();
    tree.process(10, 1, "renamed) (x", "/usr/sbin/server (deleted)");
    assert_eq!(tree.name("server").expect("by its file"), [10]);
    assert_eq!(tree.name("renamed) (x").expect("by its name"), [10]);
}

#[test]
fn unrelated_processes_of_one_name_are_listed() {
    let tree = nginx();
    tree.process(40, 1, "nginx", "/opt/nginx");
    let (code, text) = refused(tree.name("nginx"));
    assert_eq!(code, Code::Usage);
    assert!(text.contains("10 (nginx)") && text.contains("40 (nginx)") && !text.contains("11"), "{text}");
}

#[test]
fn a_missing_name_shows_similar_ones() {
    let (code, text) = refused(nginx().name("nginxx"));
    assert_eq!(code, Code::NoTarget);
    assert!(text.contains("similar names: nginx"), "{text}");
}

#[test]
fn pids_that_cannot_be_targets_say_why() {
    let tree = nginx();
    tree.task(2, 2, 0, "kthreadd", 'S', 0x20_8040);
    tree.task(13, 11, 10, "nginx", 'S', 0x40_0040);
    tree.task(14, 14, 10, "dead", 'Z', 0x40_000c);
    tree.process(999, 1, "trace", "/usr/bin/trace");
    let cases = [
        (2, Code::Usage, "kernel thread"),
        (13, Code::Usage, "--pid 11"),
        (14, Code::NoTarget, "zombie"),
        (999, Code::Usage, "itself"),
        (777, Code::NoTarget, "no process 777"),
    ];
    for (pid, code, text) in cases {
        let (got, message) = refused(tree.resolve(Spec::Pids(vec![pid])));
        assert_eq!(got, code, "{message}");
        assert!(message.contains(text), "{message}");
    }
    assert_eq!(tree.resolve(Spec::Pids(vec![11, 20])).expect("both"), [11, 20]);
}

#[test]
fn a_pid_of_a_container_is_translated_in_the_message() {
    let tree = nginx();
    tree.file("11/status", "Name:\tnginx\nTgid:\t11\nPid:\t11\nNSpid:\t11\t77\n");
    let (_, text) = refused(tree.resolve(Spec::Pids(vec![77])));
    assert!(text.contains("process 11 here"), "{text}");
}

impl Tree {
    fn list(&self) -> list::Listing {
        list::list(self.0.path(), 999)
    }
}

#[test]
fn workers_are_listed_under_the_process_that_attach_takes() {
    let tree = nginx();
    tree.file("10/cgroup", "0::/system.slice/nginx.service\n");
    let listing = tree.list();
    let [server] = &listing.servers[..] else { panic!("{listing:#?}") };
    assert_eq!((server.pid, &server.processes[..], server.threads), (10, &[10, 11, 12][..], 3));
    let listens: Vec<String> = server.listens.iter().map(|l| format!("{}:{}", l.address, l.port)).collect();
    assert_eq!(listens, ["127.0.0.1:8080"]);
    assert_eq!(server.container, None);
    assert_eq!(server.attach, list::Attach { pid: 10, port: Some(8080), name: Some("nginx".into()) });
    assert_eq!(tree.port(8080).expect("nginx"), [10]);
    assert_eq!((listing.unseen.processes, listing.unseen.sockets), (0, 0));
}

#[test]
fn unrelated_servers_of_one_port_and_name_are_listed_by_their_pids() {
    let tree = nginx();
    tree.process(30, 1, "nginx", "/opt/nginx");
    tree.net("udp", &[("0200007F:1F90", "00000000:0000", "07", 600)]);
    tree.holds(30, 3, 600);
    let listing = tree.list();
    let rows: Vec<_> =
        listing.servers.iter().map(|s| (s.pid, s.attach.port, s.attach.name.clone())).collect();
    assert_eq!(rows, [(10, None, None), (30, None, None)]);
}

#[test]
fn sockets_whose_owner_may_not_be_seen_are_counted() {
    let tree = nginx();
    tree.process(30, 1, "secret", "/opt/secret");
    std::fs::remove_dir(tree.path("30/fd")).expect("removed");
    tree.task(2, 2, 0, "kthreadd", 'S', 0x20_8040);
    tree.net("udp", &[("0200007F:0035", "00000000:0000", "07", 600)]);
    let listing = tree.list();
    assert_eq!((listing.unseen.processes, listing.unseen.sockets), (1, 1), "{listing:#?}");
    assert_eq!(listing.unseen.listens[0].port, 53);
    assert_eq!(listing.servers.len(), 1);
}

#[test]
fn a_child_with_a_port_of_its_own_is_a_server_of_its_own() {
    let tree = nginx();
    tree.process(5, 1, "supervisor", "/usr/bin/supervisor");
    tree.net(
        "tcp6",
        &[("00000000000000000000000000000000:2329", "00000000000000000000000000000000:0000", "0A", 700)],
    );
    tree.holds(5, 3, 700);
    tree.process(6, 5, "child", "/usr/bin/child");
    tree.net("udp", &[("00000000:0035", "00000000:0000", "07", 701)]);
    tree.holds(6, 3, 701);
    let pids: Vec<u32> = tree.list().servers.iter().map(|s| s.pid).collect();
    assert_eq!(pids, [6, 10, 5]);
}
