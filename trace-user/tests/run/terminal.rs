//! Ctrl-C at a terminal reaches the command and trace at once: it is the command's.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Child;
use std::ptr::{null, null_mut};

use super::support::test_alone;
use super::{command, directory, report};

/// Starts it in a session of its own, on a new terminal, whose other side is returned.
fn on_a_terminal(mut command: std::process::Command) -> (Child, File) {
    let (mut ours, mut theirs) = (0, 0);
    // SAFETY: both descriptors are valid for writing; no name, settings or size are asked for.
    assert_eq!(unsafe { libc::openpty(&mut ours, &mut theirs, null_mut(), null(), null()) }, 0);
    // SAFETY: just opened, and nobody else's.
    let (ours, theirs) = unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
    let stream = || theirs.try_clone().unwrap();
    command.stdin(stream()).stdout(stream()).stderr(stream());
    let (master, slave) = (ours.as_raw_fd(), theirs.as_raw_fd());
    // SAFETY: system calls only.
    unsafe {
        command.pre_exec(move || {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            libc::close(master);
            libc::close(slave);
            Ok(())
        })
    };
    (command.spawn().unwrap(), ours)
}

/// Reads until the text has come, or until nobody is on the other side.
fn read_until(terminal: &mut File, text: &str) -> String {
    let mut said = String::new();
    let mut byte = [0];
    while !said.ends_with(text) && terminal.read(&mut byte).unwrap_or(0) == 1 {
        said.push(byte[0].into());
    }
    said
}

#[test]
fn an_interrupt_at_the_terminal_is_the_commands() {
    test_alone!();
    let directory = directory();
    let file = directory.path().join("r.json");
    let options = ["--output", file.to_str().unwrap()];
    // Three of them: it goes on after the first two. trace alone would have ended at the second.
    let script = "n=0; trap 'n=$((n+1)); echo got $n.' INT; echo ready.
                  while [ $n -lt 3 ]; do sleep 0.02; done; exit 6";
    let (mut child, mut terminal) = on_a_terminal(command(&options, &["sh", "-c", script]));
    read_until(&mut terminal, "ready.");
    for n in 1..=3 {
        terminal.write_all(b"\x03").unwrap();
        let said = read_until(&mut terminal, &format!("got {n}."));
        assert!(said.ends_with(&format!("got {n}.")), "{said:?}");
    }
    let said = read_until(&mut terminal, "status 6");
    assert!(said.ends_with("trace: sh exited with status 6"), "{said:?}");
    drop(read_until(&mut terminal, "\0"));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(report(&file).window.ended_by, "target-exit");
}
