//! Real servers under a real client's load get the model that they have.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::real::{Client, Server, are_installed, program};
use support::report::Report;
use support::test_alone;

fn wrk(port: u16, args: &[&str]) -> Client {
    let url = format!("http://127.0.0.1:{port}/page.html");
    Client::program("wrk", &[&["-t", "2", "-c", "20", "-d", "60"], args, &[&url]].concat())
}

fn write_page(directory: &Path) {
    std::fs::write(directory.join("page.html"), vec![b'x'; 12 << 10]).unwrap();
}

fn is(report: &Report, model: &str) {
    let verdict = &report.verdict.io_model;
    let losses: Vec<_> = report.loss.iter().filter(|(_, count)| **count > 0).collect();
    println!("{} {:?}: {:?}, {losses:?}", verdict.name, verdict.confidence, verdict.shares);
    assert_eq!(verdict.name, model, "{verdict:#?}");
}

fn spreads(report: &Report, model: &str, units: &str) {
    let verdict = &report.verdict.server_model;
    println!("{verdict:?}, {:?}", roles(report));
    assert_eq!((&*verdict.name, verdict.units.as_deref()), (model, Some(units)), "{report:#?}");
}

/// How many living threads have each role.
fn roles(report: &Report) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    let threads = report.processes.iter().flat_map(|p| &p.threads);
    threads.filter_map(|t| t.role.as_deref()).for_each(|role| *counts.entry(role).or_default() += 1);
    counts
}

fn nginx(directory: &Path, port: u16) -> Command {
    let at = directory.display();
    write_page(directory);
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {at}/{kind};"))
        .concat();
    let config = format!(
        "user root; daemon off; worker_processes 4; pid {at}/pid; error_log stderr;
         events {{ worker_connections 512; }}
         http {{ access_log off; keepalive_requests 1000000; {temporary}
                 server {{ listen 127.0.0.1:{port}; root {at}; }} }}"
    );
    let file = directory.join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let mut nginx = program("nginx");
    nginx.arg("-p").arg(directory).arg("-e").arg("stderr").arg("-c").arg(file);
    nginx
}

#[test]
fn nginx_with_four_workers_multiplexes_seen_from_its_master() {
    test_alone!();
    if !are_installed(&["nginx", "wrk"]) {
        return;
    }
    let server = Server::start(nginx);
    let report = server.traced_under(|port| wrk(port, &[]));
    assert_eq!(report.target.processes, 5, "the master and its workers");
    is(&report, "multiplexing");
    let master = report.process(server.pid());
    assert_ne!(master.io_model.as_deref(), Some("signal-driven"), "{master:#?}");
    spreads(&report, "multi-reactor", "process");
    assert_eq!(report.verdict.server_model.count, Some(4), "also those without a connection");
    assert_eq!(roles(&report), BTreeMap::from([("reactor", 4), ("supervisor", 1)]));
}

/// Its channels to the workers have O_ASYNC, it sleeps in sigsuspend, and signals wake it; but none says that data came.
#[test]
fn nginxs_master_with_o_async_is_not_signal_driven() {
    test_alone!();
    if !are_installed(&["nginx", "wrk"]) {
        return;
    }
    let server = Server::start(nginx);
    assert!(has_o_async(server.pid()), "this nginx does not have what makes it look signal-driven");
    let report = server.traced_with(&["--no-follow"], |port| {
        // It answers with new workers, and the old ones' ends are signals too.
        rustix::process::kill_process(server.process(), rustix::process::Signal::HUP).unwrap();
        wrk(port, &[])
    });
    assert_eq!(report.target.processes, 1, "the master alone");
    assert_ne!(report.verdict.io_model.name, "signal-driven", "{:#?}", report.verdict.io_model);
    assert!(report.ns("wait_signal") > 0, "it waited for signals: {report:#?}");
}

/// Whether a descriptor of the process has `FASYNC` (`include/uapi/asm-generic/fcntl.h`).
fn has_o_async(pid: u32) -> bool {
    let files = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().flatten();
    let flags = |text: String| {
        u32::from_str_radix(text.lines().find_map(|l| l.strip_prefix("flags:"))?.trim(), 8).ok()
    };
    let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    texts.filter_map(flags).any(|flags| flags & 0o20000 != 0)
}

#[test]
fn redis_multiplexes() {
    test_alone!();
    if !are_installed(&["redis-server", "redis-benchmark"]) {
        return;
    }
    let server = Server::start(|directory, port| {
        let mut redis = program("redis-server");
        redis.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ]);
        redis.arg(directory);
        redis
    });
    let benchmark = |port: u16| {
        let port = port.to_string();
        Client::program("redis-benchmark", &["-p", &port, "-c", "20", "-n", "100000000", "-t", "get", "-q"])
    };
    is(&server.traced_under(benchmark), "multiplexing");
}

#[test]
fn memcached_multiplexes() {
    test_alone!();
    if !are_installed(&["memcached"]) {
        return;
    }
    let server = Server::start(|_, port| {
        let mut memcached = program("memcached");
        memcached.args(["-u", "root", "-l", "127.0.0.1", "-t", "4", "-p", &port.to_string()]);
        memcached
    });
    let gets = |port: u16| {
        Client::threads(20, Duration::from_millis(1), move || {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            Box::new(move || {
                stream.write_all(b"set k 0 0 5\r\nabcde\r\n").unwrap();
                stream.read_exact(&mut [0; b"STORED\r\n".len()]).unwrap();
                stream.write_all(b"get k\r\n").unwrap();
                stream.read_exact(&mut [0; b"VALUE k 0 5\r\nabcde\r\nEND\r\n".len()]).unwrap();
            })
        })
    };
    is(&server.traced_under(gets), "multiplexing");
}

#[test]
fn lighttpd_multiplexes() {
    test_alone!();
    if !are_installed(&["lighttpd", "wrk"]) {
        return;
    }
    let server = Server::start(|directory, port| {
        write_page(directory);
        let config = format!(
            "server.document-root = \"{}\"\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\n\
             server.max-keep-alive-requests = 1000000\n",
            directory.display()
        );
        let file = directory.join("lighttpd.conf");
        std::fs::write(&file, config).unwrap();
        let mut lighttpd = program("lighttpd");
        lighttpd.arg("-D").arg("-f").arg(file);
        lighttpd
    });
    is(&server.traced_under(|port| wrk(port, &[])), "multiplexing");
}

#[test]
fn pythons_http_server_blocks() {
    test_alone!();
    if !are_installed(&["python3", "wrk"]) {
        return;
    }
    let server = Server::start(|directory, port| {
        write_page(directory);
        let mut python = program("python3");
        python.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]).arg(directory);
        python.arg(port.to_string());
        python
    });
    // wrk alone sends as it connects: the thread that is started for the connection hardly ever has to wait. More than a few
    // connections overflow this server's backlog of 5.
    let load = |port: u16| (wrk(port, &["-c", "4", "-H", "Connection: close"]), distant_clients(port));
    is(&server.traced_under(load), "blocking");
}

/// Clients whose request comes some milliseconds after their connection, as over a network.
fn distant_clients(port: u16) -> Client {
    Client::threads(4, Duration::from_millis(1), move || {
        Box::new(move || {
            // A connection that finds the backlog full is given up; others follow.
            let _ = distant_request(port);
        })
    })
}

fn distant_request(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    std::thread::sleep(Duration::from_millis(5));
    stream.write_all(b"GET /page.html HTTP/1.0\r\n\r\n")?;
    stream.read_to_end(&mut Vec::new()).map(|_| ())
}

fn apache_event(directory: &Path, port: u16) -> Command {
    let at = directory.display();
    write_page(directory);
    let modules: String =
        ["mpm_event", "authz_core"].map(|m| format!("LoadModule {m}_module modules/mod_{m}.so\n")).concat();
    let config = format!(
        "ServerName localhost\nServerRoot /usr/lib/apache2\nPidFile {at}/pid\nErrorLog {at}/errors\n\
         Listen 127.0.0.1:{port}\n{modules}User www-data\nGroup www-data\nDefaultRuntimeDir {at}\n\
         DocumentRoot {at}\nMaxKeepAliveRequests 0\nStartServers 2\nServerLimit 2\nThreadsPerChild 10\n\
         MaxRequestWorkers 20\n<Directory {at}>\nRequire all granted\n</Directory>\n"
    );
    let file = directory.join("apache.conf");
    std::fs::write(&file, config).unwrap();
    let mut apache = program("apache2");
    apache.args(["-D", "FOREGROUND", "-f"]).arg(file);
    apache
}

#[test]
fn in_apaches_event_model_a_listener_hands_requests_to_pool_workers() {
    test_alone!();
    if !are_installed(&["apache2", "wrk"]) {
        return;
    }
    let report = Server::start(apache_event).traced_under(|port| wrk(port, &[]));
    is(&report, "multiplexing");
    spreads(&report, "reactor-with-workers", "thread");
    let roles = roles(&report);
    let of = |role| roles.get(role).copied().unwrap_or(0);
    assert!((1..=2).contains(&(of("reactor") + of("acceptor"))), "one listener a process: {roles:?}");
    assert!(of("pool-worker") >= 4, "{roles:?}");
    assert_eq!(of("supervisor"), 1, "{roles:?}");
}

/// Where the newest PostgreSQL has its programs: they are not on the search path.
fn postgresql() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").unwrap().flatten();
    versions.map(|v| v.path().join("bin")).filter(|bin| bin.join("postgres").exists()).max().unwrap()
}

/// It refuses to run as root.
fn as_postgres(name: &str) -> Command {
    let mut command = program("setpriv");
    command
        .args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"])
        .arg(postgresql().join(name));
    command.stderr(Stdio::null());
    command
}

#[test]
fn each_of_pgbenchs_clients_has_a_process_of_postgresql() {
    test_alone!();
    if !are_installed(&["pgbench", "setpriv"]) {
        return;
    }
    // Every directory above it must let that user in.
    let data = tempfile::TempDir::new_in("/var/tmp").unwrap();
    let path = data.path().to_str().unwrap();
    assert!(program("chown").args(["postgres", path]).status().unwrap().success());
    let made = as_postgres("initdb").args(["-A", "trust", "-N", "-D", path]).status().unwrap();
    assert!(made.success());
    let server = Server::start(|_, port| {
        let mut postgres = as_postgres("postgres");
        postgres.args([
            "-D",
            path,
            "-h",
            "127.0.0.1",
            "-k",
            path,
            "-c",
            "fsync=off",
            "-p",
            &port.to_string(),
        ]);
        postgres
    });
    let port = server.port.to_string();
    let with = |args: &[&str]| {
        let to = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres"];
        [&to, args, &["postgres"]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut fill = program("pgbench");
    assert!(fill.args(with(&["-i", "-q"])).stderr(Stdio::null()).status().unwrap().success());
    let load = with(&["-c", "8", "-j", "1", "-T", "60", "-S"]);
    let load: Vec<&str> = load.iter().map(String::as_str).collect();
    let report = server.traced_under(|_| Client::program("pgbench", &load));
    is(&report, "blocking");
    assert_eq!(report.verdict.io_model.qualifier.as_deref(), Some("emulated"));
    spreads(&report, "process-per-connection", "process");
    let roles = roles(&report);
    assert_eq!(roles.get("connection-worker"), Some(&8), "{roles:?}");
    let main = &report.process(server.pid()).threads[0];
    assert!(matches!(main.role.as_deref(), Some("acceptor" | "supervisor")), "{main:#?}");
}
