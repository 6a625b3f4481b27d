//! Every command as somebody without any right works, or exits with its documented code and one clear message.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use fixtures::Mode;
use fixtures::spawn::{Fixture, Program};
use tempfile::TempDir;

use crate::support::programs::{serve, trace, words};

const AS_NOBODY: &str = "--reuid nobody --regid nogroup --clear-groups";
/// A saved measurement.
const SAVED: &str = "../truth/snapshots/redis-many.trace";

/// Nobody, with a copy of `trace` and a saved measurement: not every target directory may be entered.
struct Nobody {
    directory: TempDir,
    program: PathBuf,
}

impl Nobody {
    fn new() -> Nobody {
        let directory = TempDir::new_in("/tmp").unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        // By another process: a descriptor open for writing would be inherited by what tests beside this one start, and the
        // program be busy.
        for (from, to) in [(trace(), path("trace")), (SAVED.into(), path("a.trace"))] {
            assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
        }
        let program = path("trace");
        Nobody { directory, program }
    }

    fn saved(&self) -> String {
        self.directory.path().join("a.trace").display().to_string()
    }

    /// A server of nobody's own.
    fn serve(&self, mode: Mode) -> Fixture {
        let mut program = Program::new("setpriv");
        for word in words(AS_NOBODY) {
            program = program.arg(word);
        }
        program.arg(&self.program).arg("fixture").serve(mode, &[""; 0]).unwrap()
    }

    fn run(&self, args: &str) -> Output {
        let mut command = Command::new("setpriv");
        command.args(words(AS_NOBODY)).arg(&self.program).args(words(args));
        command.current_dir("/").stdin(Stdio::null()).output().unwrap()
    }
}

/// What a command is expected to do.
enum Expected {
    /// Exit code 0, a result, and no error.
    Works,
    /// This exit code, a result all the same, and no error: the result says it.
    Answers(i32),
    /// This exit code, a result, and one error with this text.
    Warns(i32, &'static str),
    /// This exit code, no result, and one error with this text.
    Refuses(i32, &'static str),
}
use Expected::{Answers, Refuses, Warns, Works};

impl Expected {
    /// The exit code, whether there is a result, and the text of the error.
    fn told(&self) -> (i32, bool, Option<&'static str>) {
        match *self {
            Works => (0, true, None),
            Answers(code) => (code, true, None),
            Warns(code, text) => (code, true, Some(text)),
            Refuses(code, text) => (code, false, Some(text)),
        }
    }
}

fn cases(nobody: &Nobody, others: &Fixture, own: &Fixture) -> Vec<(String, Expected)> {
    let (saved, pid, port, own) = (nobody.saved(), others.pid(), others.port(), own.pid());
    let without_rights = "CAP_BPF";
    vec![
        (format!("attach --pid {pid}"), Refuses(6, without_rights)),
        (format!("attach --pid {own}"), Refuses(6, without_rights)),
        (format!("attach --port {port}"), Refuses(6, "")),
        (format!("attach --pid {pid} --tier sched"), Refuses(6, without_rights)),
        (
            format!("attach --pid {pid} --timeline /tmp/trace-of-{pid}.json --tier auto"),
            Refuses(6, without_rights),
        ),
        ("attach --pid 4000000".to_owned(), Refuses(5, "does not exist")),
        ("attach --name no-such-name-at-all".to_owned(), Refuses(5, "no-such-name-at-all")),
        ("attach --pid 0".to_owned(), Refuses(2, "idle task")),
        (format!("attach --tier proc --duration 300ms --pid {own}"), Works),
        (format!("attach --tier auto --duration 300ms --pid {own}"), Works),
        // Of somebody else's process samples say what permission is missing.
        (format!("attach --tier proc --duration 300ms --pid {pid}"), Works),
        (format!("attach --tier proc --duration 300ms --strict --pid {own}"), Warns(8, "sampled")),
        ("run -- true".to_owned(), Refuses(6, without_rights)),
        ("run --tier proc -- true".to_owned(), Works),
        ("demo".to_owned(), Refuses(6, without_rights)),
        ("list".to_owned(), Works),
        (format!("report {saved}"), Works),
        (format!("report {saved} --output /root/r.json"), Refuses(2, "cannot create")),
        ("report /root/r.trace".to_owned(), Refuses(2, "Permission denied")),
        (format!("diff {saved} {saved}"), Works),
        (format!("check {saved} --expect io_model=multiplexing"), Works),
        (format!("check {saved} --expect io_model=blocking"), Answers(3)),
        ("explain multiplexing".to_owned(), Works),
        (format!("redact {saved} --output /proc/x.trace"), Refuses(2, "cannot create")),
        ("schema".to_owned(), Works),
        ("completions bash".to_owned(), Works),
        ("man".to_owned(), Works),
        ("doctor".to_owned(), Answers(6)),
    ]
}

#[test]
fn as_nobody_every_command_works_or_says_in_one_message_why_not() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("TRACE_REQUIRE_PRIVILEGED").is_none(), "no test may skip here");
        eprintln!("skipped: only root can become nobody");
        return;
    }
    let nobody = Nobody::new();
    let (others, own) = (serve(Mode::Epoll, ""), nobody.serve(Mode::Epoll));
    let cases = cases(&nobody, &others, &own);
    for (args, expected) in &cases {
        let output = nobody.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let (code, has_result, text) = expected.told();
        assert_eq!(output.status.code(), Some(code), "{args}: {said}");
        // The report on a command that is run is on stderr: stdout is the command's.
        let told = if args.starts_with("run ") && has_result { &output.stderr } else { &output.stdout };
        assert_eq!(!told.is_empty(), has_result, "{args}: {said}");
        assert_eq!(said.matches("trace: error: ").count(), usize::from(text.is_some()), "{args}: {said}");
        assert!(said.contains(text.unwrap_or_default()) && !said.contains("panicked"), "{args}: {said}");
        assert_eq!(said.contains("\n  why: "), text.is_some(), "{args}: {said}");
    }
    let tried: BTreeSet<&str> = cases.iter().map(|(args, _)| words(args)[0]).collect();
    let missing: Vec<String> =
        commands(&nobody).into_iter().filter(|name| !tried.contains(&**name)).collect();
    assert!(missing.is_empty(), "commands that are not tried: {missing:?}");
}

/// The commands that `trace --help` lists, but itself.
fn commands(nobody: &Nobody) -> Vec<String> {
    let help = String::from_utf8(nobody.run("--help").stdout).unwrap();
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<String> =
        names.map(|line| words(line)[0].to_owned()).filter(|name| name != "help").collect();
    assert!(names.len() > 5, "{help}");
    names
}
