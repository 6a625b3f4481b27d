//! Who is traced: whoever was chosen, whatever becomes of its id; each program that it executes; inside and outside of
//! PID namespaces; and in which container.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see its helpers as tests")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use support::machine::wait_for;
use support::programs::{trace, words};
use support::real::are_installed;
use support::report::{Process, Report};
use support::test_alone;
use support::tracer::Tracer;
use tempfile::TempDir;

/// Where the next process id is chosen (`kernel/pid_namespace.c`, with `CONFIG_CHECKPOINT_RESTORE`).
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

/// A process of the test's own that is ended with it.
struct Own(Child);

impl Own {
    fn start(command: &mut Command) -> Own {
        Own(command.spawn().unwrap())
    }

    /// One that sleeps.
    fn asleep() -> Own {
        Own::start(Command::new("sleep").arg("600"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends it: its id is free.
    fn end(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether the test can choose which id a process gets; prints why not.
fn can_choose_ids() -> bool {
    let can = std::fs::OpenOptions::new().write(true).open(LAST_PID).is_ok();
    if !can {
        assert!(std::env::var_os("TRACE_REQUIRE_PRIVILEGED").is_none(), "no test may skip here");
        eprintln!("skipped: {LAST_PID} cannot be written (root, and CONFIG_CHECKPOINT_RESTORE)");
    }
    can
}

/// A process that sleeps and has this id, which is free.
fn asleep_with_id(pid: u32) -> Own {
    let mut found = None;
    wait_for("a process with that id", || {
        std::fs::write(LAST_PID, (pid - 1).to_string()).unwrap();
        // Others on this machine fork, too.
        found = Some(Own::asleep()).filter(|own| own.pid() == pid);
        found.is_some()
    });
    found.unwrap()
}

/// The state letter of a process.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 1..].trim_start().chars().next()
}

/// `trace attach` that has stopped itself at this point.
fn stopped_at(point: &str, pid: u32, args: &[&str]) -> Tracer {
    let tracer = Tracer::start(pid, &[&["--stop-at", point], args].concat());
    wait_for("trace to stop itself", || state(tracer.pid()) == Some('T'));
    tracer
}

#[test]
fn an_id_that_is_another_processs_by_the_time_its_threads_get_records_is_refused() {
    test_alone!();
    if !can_choose_ids() {
        return;
    }
    for (tier, point) in [("full", "chosen"), ("full", "listed"), ("sched", "listed"), ("proc", "chosen")] {
        let chosen = Own::asleep();
        let pid = chosen.pid();
        let tracer = stopped_at(point, pid, &["--tier", tier, "--duration", "300ms"]);
        chosen.end();
        let _other = asleep_with_id(pid);
        tracer.signal(Signal::CONT);
        let ended = tracer.wait();
        assert_eq!(ended.status.code(), Some(5), "{tier}, {point}: {}", ended.stderr);
        assert!(ended.stdout.is_empty());
        for text in
            [&*format!("cannot attach to process {pid}"), "its id is that of another one by now (sleep)"]
        {
            assert!(ended.stderr.contains(text), "{tier}, {point}: no {text:?} in {}", ended.stderr);
        }
    }
}

#[test]
fn a_target_that_ends_before_its_threads_get_records_is_gone() {
    test_alone!();
    let chosen = Own::asleep();
    let pid = chosen.pid();
    let tracer = stopped_at("chosen", pid, &[]);
    chosen.end();
    tracer.signal(Signal::CONT);
    let ended = tracer.wait();
    assert_eq!(ended.status.code(), Some(5), "{}", ended.stderr);
    assert!(ended.stderr.contains("it ended before any of its threads was seen"), "{}", ended.stderr);
}

#[test]
fn who_has_the_id_of_a_descendant_that_ended_while_it_was_listed_is_none() {
    test_alone!();
    if !can_choose_ids() {
        return;
    }
    let script = "sleep 600 & echo $!; wait $!; sleep 600 & echo $!; wait";
    let mut parent = Own::start(Command::new("sh").args(["-c", script]).stdout(Stdio::piped()));
    let mut said = BufReader::new(parent.0.stdout.take().unwrap()).lines();
    let mut next = || said.next().unwrap().unwrap().parse::<u32>().unwrap();
    let first = next();
    let tracer = stopped_at("listed", parent.pid(), &["--duration", "300ms"]);
    let kill = |pid: u32| {
        let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    };
    kill(first);
    // Its parent has waited for it, and has another child.
    let second = next();
    let other = asleep_with_id(first);
    tracer.signal(Signal::CONT);
    let report = tracer.wait().report();
    let mut pids: Vec<u32> = report.processes.iter().map(|p| p.pid).collect();
    let mut wanted = [parent.pid(), second];
    pids.sort_unstable();
    wanted.sort_unstable();
    kill(second);
    assert_eq!(pids, wanted, "{} is none of it", other.pid());
    assert_eq!((report.target.processes, report.target.threads), (2, 2));
    assert_eq!(report.loss["threads_missed"], 0);
}

/// `trace run` of a command, and the report on it.
fn traced(options: &[&str], command: &[&str]) -> Report {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("r.json");
    let output = Command::new(trace())
        .args(["run", "--quiet", "--output", file.to_str().unwrap()])
        .args(options)
        .arg("--")
        .args(command)
        .env_remove("SUDO_UID")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Report = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    report.check();
    report
}

#[test]
fn two_processes_of_the_target_with_one_id_are_two() {
    test_alone!();
    if !can_choose_ids() || !are_installed(&["python3"]) {
        return;
    }
    let script = "import os, sys, time\n\
                  def child():\n    \
                      pid = os.fork()\n    \
                      if pid == 0: os._exit(0)\n    \
                      os.waitpid(pid, 0)\n    \
                      return pid\n\
                  first = child()\n\
                  until = time.monotonic() + 60\n\
                  while time.monotonic() < until:\n    \
                      open('/proc/sys/kernel/ns_last_pid', 'w').write(str(first - 1))\n    \
                      if child() == first: os.kill(os.getpid(), 9)";
    let report = traced(&[], &["/usr/bin/python3", "-c", script]);
    // Where others took the id first, the next ones came twice as well.
    let again: Vec<&Process> = report.processes.iter().filter(|p| p.epoch > 0).collect();
    assert!(!again.is_empty());
    for again in again {
        assert!(!again.by_exec && again.exited.threads == 1, "{again:#?}");
        let before = (again.pid, again.epoch - 1);
        let before = report.processes.iter().find(|p| (p.pid, p.epoch) == before).unwrap();
        assert!(before.exited.threads == 1 && before.began_ns < again.began_ns, "{before:#?}");
    }
    assert_eq!(report.target.processes, report.processes.len() as u64);
    assert_eq!(report.target.threads, report.target.processes);
}

/// A program that serves four connections of its own port one after another, then executes itself and serves four at once.
const SERVERS: &str = "
import os, select, socket, sys
def say(what): print(what, flush=True)
listener = socket.create_server(('127.0.0.1', 0))
say(listener.getsockname()[1])
if len(sys.argv) == 1:
    for _ in range(4):
        client = listener.accept()[0]
        while data := client.recv(64): client.send(data)
    os.execv(sys.executable, [sys.executable, __file__, 'at once'])
poll, clients, ended = select.epoll(), {}, 0
poll.register(listener, select.EPOLLIN)
while ended < 4:
    for fd, _ in poll.poll():
        if fd == listener.fileno():
            client = listener.accept()[0]
            clients[client.fileno()] = client
            poll.register(client, select.EPOLLIN)
        elif data := clients[fd].recv(64): clients[fd].send(data)
        else: clients.pop(fd).close(); ended += 1
say('done')
sys.stdin.read()
";

/// Exchanges on each of four connections.
const EXCHANGES: u64 = 20;

/// A script in a file of its own, run by python, that is told and tells.
struct Script {
    process: Own,
    stdin: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
    _directory: TempDir,
}

impl Script {
    fn start(text: &str) -> Script {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("script.py");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("/usr/bin/python3");
        let mut process = Own::start(command.arg(file).stdin(Stdio::piped()).stdout(Stdio::piped()));
        let stdin = process.0.stdin.take();
        let said = BufReader::new(process.0.stdout.take().unwrap());
        Script { process, stdin, said, _directory: directory }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn connect(&self, port: &str) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port.parse().unwrap())).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }
}

/// One exchange, after the server had time to fall asleep.
fn exchange(stream: &mut TcpStream) {
    std::thread::sleep(Duration::from_millis(2));
    stream.write_all(&[7; 32]).unwrap();
    stream.read_exact(&mut [0; 32]).unwrap();
}

#[test]
fn what_a_target_was_before_an_exec_and_what_it_is_after_it_stand_side_by_side() {
    test_alone!();
    if !are_installed(&["python3"]) {
        return;
    }
    for tier in ["full", "sched"] {
        let mut server = Script::start(SERVERS);
        let port = server.line();
        let tracer = Tracer::attach(server.process.pid(), &["--tier", tier]);
        for _ in 0..4 {
            let mut stream = server.connect(&port);
            (0..EXCHANGES).for_each(|_| exchange(&mut stream));
        }
        let port = server.line();
        let mut streams: Vec<_> = (0..4).map(|_| server.connect(&port)).collect();
        (0..EXCHANGES).for_each(|_| streams.iter_mut().for_each(exchange));
        drop(streams);
        assert_eq!(server.line(), "done");
        let report = tracer.interrupt();
        assert_eq!((report.target.processes, report.target.threads), (1, 1));
        let [before, after] = &report.processes[..] else { panic!("{:#?}", report.processes) };
        println!(
            "{tier}: {:?}, then {:?}; all: {:?}",
            before.io_model, after.io_model, report.verdict.io_model.name
        );
        for (program, epoch, model) in [(before, 0, "blocking"), (after, 1, "multiplexing")] {
            assert_eq!((program.pid, program.epoch), (server.process.pid(), epoch));
            assert_eq!((program.by_exec, program.alive), (epoch == 1, epoch == 1));
            assert_eq!(program.io_model.as_deref(), Some(model), "{tier}: {program:#?}");
            let receives = program.threads.first().map_or(program.exited.receives, |thread| thread.receives);
            assert_eq!(receives.with_data, 4 * EXCHANGES, "{tier}: {program:#?}");
            assert_eq!((receives.bytes, receives.eof), (32 * receives.with_data, 4), "{tier}: {program:#?}");
        }
        assert_eq!((before.exited.threads, after.threads.len()), (1, 1));
        assert_eq!(Some(before.exited.lived_ns), after.began_ns);
        let after = &after.threads[0];
        assert_eq!(before.exited.lived_ns + after.lived_ns, report.window.duration_ns);
        assert!(after.check.is_none(), "what the kernel had counted at the exec is not known");
        if tier == "full" {
            assert_eq!(before.exited.accepts.unwrap().accepted, 4);
            assert_eq!(after.accepts.unwrap().accepted, 4);
        }
    }
}

#[test]
fn a_thread_that_executes_a_program_takes_over_the_id_of_its_process() {
    test_alone!();
    if !are_installed(&["python3"]) {
        return;
    }
    let mut target = Script::start(
        "import os, sys, threading\n\
         print('ready', flush=True)\n\
         sys.stdin.readline()\n\
         thread = threading.Thread(target=lambda: os.execv('/bin/sh', ['sh', '-c', 'echo there; read x; exit']))\n\
         thread.start(); thread.join()",
    );
    target.line();
    let pid = target.process.pid();
    let tracer = Tracer::attach(pid, &[]);
    target.tell("now");
    assert_eq!(target.line(), "there");
    let report = tracer.interrupt();
    let [before, after] = &report.processes[..] else { panic!("{:#?}", report.processes) };
    assert_eq!((before.exited.threads, before.threads.len(), before.alive), (2, 0, false));
    assert_eq!((&*after.comm, after.pid, after.by_exec, after.alive), ("sh", pid, true, true));
    let [thread] = &after.threads[..] else { panic!("{after:#?}") };
    assert_eq!((thread.tid, after.exited.threads), (pid, 0));
    assert_eq!(after.began_ns.unwrap() + thread.lived_ns, report.window.duration_ns);
    assert_eq!((report.target.processes, report.target.threads), (1, 2));
    assert_eq!(report.loss["threads_missed"], 0);
}

#[test]
fn a_command_of_a_shell_is_one_program_and_so_is_what_a_wrapper_executes() {
    test_alone!();
    let report =
        traced(&[], &["sh", "-c", "for i in 1 2 3; do /bin/true; env /bin/true; done; exec env sleep 0.1"]);
    let programs: Vec<(u32, bool)> = report.processes.iter().map(|p| (p.epoch, p.by_exec)).collect();
    let executed: Vec<&str> = report.processes.iter().filter(|p| p.by_exec).map(|p| &*p.comm).collect();
    println!("{programs:?}");
    assert_eq!((report.target.processes, report.processes.len()), (7, 8));
    assert_eq!(executed, ["sleep"]);
    let alone = traced(&[], &["sleep", "0.1"]);
    assert_eq!((alone.target.processes, alone.processes.len()), (1, 1));
    assert!(!alone.processes[0].by_exec);
}

#[test]
fn an_exec_that_no_record_was_left_for_is_counted_and_goes_on_with_the_old_one() {
    test_alone!();
    let mut shell = Command::new("sh");
    shell.args(["-c", "read x; exec sh -c 'echo there; read x; exit'"]);
    let mut shell = Own::start(shell.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let tracer = Tracer::attach(shell.pid(), &["--limit-maps", "2"]);
    writeln!(shell.0.stdin.as_ref().unwrap(), "now").unwrap();
    BufReader::new(shell.0.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    let report = tracer.interrupt();
    assert_eq!((report.target.processes, report.processes.len()), (1, 1));
    assert_eq!(report.loss["slots_exhausted"], 1);
    assert_eq!(report.processes[0].threads[0].lived_ns, report.window.duration_ns);
}

/// Whether this is root, who can make namespaces and control groups; prints why a test is skipped if not.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("TRACE_REQUIRE_PRIVILEGED").is_none(), "no test may skip here");
        eprintln!("skipped: only root can make namespaces and control groups");
    }
    root
}

/// A process in a PID namespace of its own, by its id out here.
fn inside() -> (Own, u32) {
    let mut unshare = Command::new("unshare");
    let unshare = Own::start(unshare.args(words("--pid --fork --kill-child --mount-proc sleep 600")));
    let mut found = None;
    wait_for("the process inside", || {
        let children = |entry: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let (comm, rest) = stat.rsplit_once(')')?;
            let parent = rest.split_whitespace().nth(1)? == unshare.pid().to_string();
            (parent && comm.ends_with("(sleep")).then(|| entry.file_name().to_str()?.parse::<u32>().ok())?
        };
        found = std::fs::read_dir("/proc").unwrap().flatten().find_map(children);
        found.is_some()
    });
    (unshare, found.unwrap())
}

fn attached(pid: u32, args: &[&str]) -> Output {
    let attach = format!("attach --quiet --duration 200ms --pid {pid}");
    Command::new(trace()).args(words(&attach)).args(args).output().unwrap()
}

/// The report on a process.
fn report_on(pid: u32) -> Report {
    let output = attached(pid, &["--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Report = serde_json::from_slice(&output.stdout).unwrap();
    report.check();
    report
}

#[test]
fn from_outside_of_a_pid_namespace_a_target_inside_is_seen_with_both_ids_and_one_outside_with_one() {
    test_alone!();
    if !is_root() {
        return;
    }
    let (_namespace, pid) = inside();
    let report = report_on(pid);
    assert_eq!((report.process(pid).inner_pid, report.target.threads), (Some(1), 1));
    let text = String::from_utf8(attached(pid, &[]).stdout).unwrap();
    assert!(text.contains(&format!("In its own PID namespace, process {pid} is 1.")), "{text}");
    let outside = Own::asleep();
    assert_eq!(report_on(outside.pid()).process(outside.pid()).inner_pid, None);
}

#[test]
fn from_inside_of_a_pid_namespace_targets_inside_and_outside_are_refused_with_where_to_run_it() {
    test_alone!();
    if !is_root() {
        return;
    }
    let outside = Own::asleep();
    let outside = outside.pid().to_string();
    for (unshare, target) in [
        ("--pid --fork --mount-proc", "$!"),
        // Its own /proc does not show that one, the host's does.
        ("--pid --fork --mount-proc", &*outside),
        ("--pid --fork", &*outside),
    ] {
        let script = format!("sleep 600 & \"$0\" attach --pid {target} --duration 200ms");
        let mut command = Command::new("unshare");
        command.args(words(unshare)).args(["--kill-child", "sh", "-c", &script]).arg(trace());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{unshare}, {target}: {said}");
        for text in ["from inside a PID namespace trace would be blind", "run trace on the host"] {
            assert!(said.contains(text), "{unshare}, {target}: {said}");
        }
    }
}

/// A control group that is taken away again.
struct Group(PathBuf);

impl Group {
    /// One of this name, where control groups of version 2 can be made; prints why not.
    fn new(name: &str) -> Option<Group> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let of = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            (words.get(2) == Some(&"cgroup2")).then(|| Path::new(words[1]).join(name))
        };
        let made = mounts.lines().find_map(of).filter(|path| std::fs::create_dir_all(path).is_ok());
        if made.is_none() {
            eprintln!("skipped: no control group of version 2 can be made here");
        }
        made.map(Group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Who was in it may take a moment to leave it.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(support::machine::LOOK_AGAIN);
        }
    }
}

#[test]
fn the_container_of_a_target_is_named_by_its_control_group() {
    test_alone!();
    if !is_root() {
        return;
    }
    let id = "0123456789abcdef".repeat(4);
    for (name, runtime) in
        [(format!("docker-{id}.scope"), "docker"), (format!("libpod-{id}.scope"), "podman")]
    {
        let Some(group) = Group::new(&name) else { return };
        let target = Own::asleep();
        std::fs::write(group.0.join("cgroup.procs"), target.pid().to_string()).unwrap();
        let report = report_on(target.pid());
        let container = report.process(target.pid()).container.as_ref().unwrap();
        assert_eq!((&*container.runtime, &*container.id), (runtime, "0123456789ab"));
        let wanted = format!("(pid {}, in {runtime}:0123456789ab)", target.pid());
        for format in ["table", "markdown", "html"] {
            let text = String::from_utf8(attached(target.pid(), &["--format", format]).stdout).unwrap();
            assert!(text.contains(&wanted) || format == "markdown", "{format}: {text}");
            assert!(text.contains("0123456789ab"), "{format}: {text}");
        }
        target.end();
    }
    let free = Own::asleep();
    assert!(report_on(free.pid()).process(free.pid()).container.is_none());
}
