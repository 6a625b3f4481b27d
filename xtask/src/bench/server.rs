//! The servers and their clients: server on CPU 0, client on CPU 1, tools wherever the kernel puts them.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Lines};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::process::{Owned, cpu_ns, tree};
use crate::process;

/// Connections of each client.
pub const CONNECTIONS: u32 = 20;
/// Most time that a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// redis-server under redis-benchmark
    Redis,
    /// nginx, one worker, under wrk
    Nginx,
    /// memcached, four threads, under the clients of trace-fixture
    Memcached,
    /// One thread per connection: trace-fixture's `blocking`, under the same clients
    Threads,
    /// Microloops instead of a server
    Loops,
}

impl Kind {
    /// The servers.
    pub const SERVERS: [Kind; 4] = [Kind::Redis, Kind::Nginx, Kind::Memcached, Kind::Threads];

    /// As on the page.
    pub fn title(self) -> &'static str {
        match self {
            Kind::Redis => "redis-server under redis-benchmark (GET)",
            Kind::Nginx => "nginx (master and one worker, a file of 612 bytes) under wrk",
            Kind::Memcached => "memcached (4 threads, get) under trace-fixture press",
            Kind::Threads => {
                "a thread per connection (trace-fixture blocking, echo of 64 bytes) under trace-fixture press"
            }
            Kind::Loops => "microloops",
        }
    }

    /// Whether the requirements on servers speak of it: of those with a reactor, in their words "all three".
    pub fn is_required(self) -> bool {
        matches!(self, Kind::Redis | Kind::Nginx | Kind::Memcached)
    }
}

/// What a client saw, and what it cost the server.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Seen {
    /// Requests answered.
    pub requests: u64,
    /// Requests per second.
    pub per_second: f64,
    /// CPU time of the server's processes per request, ns.
    pub cpu_ns: f64,
    /// Latency that 99 % of the requests did not exceed, ns.
    pub p99_ns: Option<f64>,
}

/// Clients that have connected.
pub struct Clients {
    process: Owned,
    said: Lines<BufReader<ChildStdout>>,
}

impl Clients {
    fn line(&mut self) -> Result<String> {
        Ok(self.said.next().context("the clients ended early")??)
    }
}

/// A running server.
pub struct Server {
    kind: Kind,
    port: u16,
    process: Owned,
    trace: std::path::PathBuf,
}

impl Server {
    /// Starts it, and waits until it listens.
    ///
    /// # Errors
    /// When it does not.
    pub fn start(kind: Kind, trace: &Path, scratch: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = on_cpu(0);
        let text = port.to_string();
        match kind {
            Kind::Redis => {
                command.args(["redis-server", "--port", &text, "--bind", "127.0.0.1"]);
                command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(scratch);
            }
            Kind::Nginx => {
                let directory = scratch.join("nginx");
                configure_nginx(&directory, port)?;
                command.arg("nginx").arg("-p").arg(&directory).arg("-c").arg(directory.join("nginx.conf"));
            }
            Kind::Memcached => {
                command.args(["memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", &text, "-t", "4"]);
            }
            Kind::Threads => {
                command.arg(trace).args(["fixture", "serve", "blocking", "--port", &text]);
            }
            Kind::Loops => bail!("loops are no server"),
        }
        let log = File::create(scratch.join("server.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut process = Owned::start(&mut command)?;
        let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        process.wait_until(PATIENCE, "it listened", listens)?;
        Ok(Self { kind, port, process, trace: trace.to_owned() })
    }

    /// Its processes.
    pub fn pids(&self) -> Vec<u32> {
        tree(self.process.pid())
    }

    /// Clients that connect now and begin later: so threads that serve connections are there when a tool attaches, which
    /// `perf trace -p` does not follow to those that are born later. None where the clients connect for themselves.
    ///
    /// # Errors
    /// When they cannot connect.
    pub fn connect(&self, time: Duration) -> Result<Option<Clients>> {
        let text = "x".repeat(64);
        let (request, prime): ([&str; 4], _) = match self.kind {
            Kind::Memcached => {
                (["--send", "get k\\r\\n", "--reply", "25"], Some("set k 0 0 5\\r\\nabcde\\r\\n"))
            }
            Kind::Threads => (["--send", &text, "--reply", "64"], None),
            _ => return Ok(None),
        };
        let mut client = on_cpu(1);
        client.arg(&self.trace).args(["fixture", "press", "--port", &self.port.to_string()]);
        client.args(["--connections", &CONNECTIONS.to_string(), "--duration", &time.as_millis().to_string()]);
        client.args(request);
        if let Some(prime) = prime {
            client.args(["--prime", prime]);
        }
        client.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Owned::start(&mut client)?;
        let stdout = process.child().stdout.take().context("no stdout")?;
        let mut clients = Clients { process, said: BufReader::new(stdout).lines() };
        clients.line()?;
        Ok(Some(clients))
    }

    /// Drives it for about this long, by these clients if it has its own; `rate`: requests per second to expect.
    ///
    /// # Errors
    /// When the client fails.
    pub fn drive(&self, time: Duration, rate: f64, clients: Option<Clients>) -> Result<Seen> {
        match (clients, self.kind) {
            (Some(clients), _) => self.press(clients),
            (None, Kind::Redis) => self.redis_benchmark(time, rate),
            (None, _) => self.wrk(time),
        }
    }

    /// Drives it without any tool.
    ///
    /// # Errors
    /// When the client fails.
    pub fn drive_bare(&self, time: Duration, rate: f64) -> Result<Seen> {
        self.drive(time, rate, self.connect(time)?)
    }

    /// redis-benchmark knows no duration: it gets as many requests as are expected to take that long.
    fn redis_benchmark(&self, time: Duration, rate: f64) -> Result<Seen> {
        let requests = ((rate * time.as_secs_f64()) as u64).max(1_000);
        let mut client = on_cpu(1);
        client.args(["redis-benchmark", "-p", &self.port.to_string(), "-c", &CONNECTIONS.to_string()]);
        client.args(["-t", "get", "--csv", "-n", &requests.to_string()]);
        let (said, cpu_ns) = self.charge(|| process::capture(&mut client))?;
        let line =
            said.lines().find(|line| line.starts_with("\"GET\"")).context("redis-benchmark was silent")?;
        let words: Vec<f64> =
            line.split(',').skip(1).map(|word| word.trim_matches('"').parse()).collect::<Result<_, _>>()?;
        let [per_second, .., p99_ms, _max] = words[..] else { bail!("redis-benchmark said {line}") };
        Ok(Seen { requests, per_second, cpu_ns: cpu_ns as f64 / requests as f64, p99_ns: Some(p99_ms * 1e6) })
    }

    /// wrk takes whole seconds.
    fn wrk(&self, time: Duration) -> Result<Seen> {
        let mut client = on_cpu(1);
        let seconds = time.as_secs_f64().round().max(1.0);
        client.args(["wrk", "-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "--latency"]);
        client.arg(format!("http://127.0.0.1:{}/index.html", self.port));
        let (said, cpu_ns) = self.charge(|| process::capture(&mut client))?;
        let after = |word: &str| said.lines().find_map(|line| line.trim().strip_prefix(word));
        let requests = said.lines().find_map(|line| line.trim().split_once(" requests in "));
        let requests: u64 = requests.context("wrk counted nothing")?.0.parse()?;
        let per_second: f64 = after("Requests/sec:").context("wrk said no rate")?.trim().parse()?;
        if after("Non-2xx").is_some() || after("Socket errors").is_some() {
            bail!("wrk met errors: {said}");
        }
        let p99_ns = after("99%").and_then(|text| duration_ns(text.trim()));
        Ok(Seen { requests, per_second, cpu_ns: cpu_ns as f64 / requests.max(1) as f64, p99_ns })
    }

    /// The connections of these clients are closed after the server's time was taken.
    fn press(&self, mut clients: Clients) -> Result<Seen> {
        #[derive(Deserialize)]
        struct Pressed {
            requests: u64,
            wall_ns: u64,
            p99_ns: u64,
        }
        let (said, cpu_ns) = self.charge(|| {
            // Closing its stdin is the word to begin.
            drop(clients.process.child().stdin.take());
            clients.line()
        })?;
        let Pressed { requests, wall_ns, p99_ns } = serde_json::from_str(&said)?;
        let count = requests.max(1) as f64;
        Ok(Seen {
            requests,
            per_second: count * 1e9 / wall_ns as f64,
            cpu_ns: cpu_ns as f64 / count,
            p99_ns: Some(p99_ns as f64),
        })
    }

    /// Does something, and says what CPU time the server used meanwhile.
    fn charge<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
        let pids = self.pids();
        let before = cpu_ns(&pids);
        let done = work()?;
        Ok((done, cpu_ns(&pids).saturating_sub(before)))
    }
}

/// `taskset`, to be followed by a command.
pub fn on_cpu(cpu: u32) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &cpu.to_string()]);
    command
}

fn configure_nginx(directory: &Path, port: u16) -> Result<()> {
    fs::create_dir_all(directory.join("www"))?;
    fs::write(directory.join("www/index.html"), "x".repeat(612))?;
    let here = directory.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String = temporary.map(|name| format!("{name}_temp_path {here}/{name}; ")).concat();
    let text = format!(
        "daemon off; worker_processes 1; user root; pid {here}/pid; error_log {here}/error.log;\n\
         events {{ worker_connections 512; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; {temporary}\n\
         server {{ listen 127.0.0.1:{port}; root {here}/www; }} }}\n"
    );
    fs::write(directory.join("nginx.conf"), text).context("cannot configure nginx")
}

/// `1.23ms` as wrk writes it.
fn duration_ns(text: &str) -> Option<f64> {
    let units = [("us", 1e3), ("ms", 1e6), ("m", 60e9), ("s", 1e9)];
    units.iter().find_map(|(unit, ns)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_wrk_writes_them() {
        assert_eq!(duration_ns("532.00us"), Some(532e3));
        assert_eq!(duration_ns("1.50ms"), Some(1.5e6));
        assert_eq!(duration_ns("2.00s"), Some(2e9));
        assert_eq!(duration_ns("2"), None);
    }
}
