//! What the guest writes to its serial console: the program's lines are passed on, the reports are timed.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::guest::Outcome;
use super::init::{self, Report};

/// How many lines of the console an error shows.
const TAIL: usize = 30;

/// Reads lines in a thread of its own, so that waiting for the next one can have a limit.
pub fn lines(console: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut console = BufReader::new(console);
        let mut line = Vec::new();
        while console.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            // Without the BIOS's escape sequences, which would clear our terminal.
            let text = String::from_utf8_lossy(&line).replace(|c: char| c.is_control() && c != '\t', "");
            if sender.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    receiver
}

/// Follows the console until the program has ended.
///
/// # Errors
/// When the console closes or the time is up before that; the message ends with the console's last lines.
pub fn follow(lines: &Receiver<String>, limit: Duration, pass_on: impl Fn(&str)) -> Result<Outcome> {
    let start = Instant::now();
    let mut boot = None;
    let mut tail = VecDeque::new();
    loop {
        let line = match lines.recv_timeout(limit.saturating_sub(start.elapsed())) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                bail!("{}", stopped(&format!("within {limit:?}"), boot, &tail))
            }
            Err(RecvTimeoutError::Disconnected) => {
                bail!("{}", stopped("before QEMU ended", boot, &tail))
            }
        };
        match init::report(&line) {
            Some(Report::Up(_)) => boot = Some(start.elapsed()),
            Some(Report::Ended(status)) => {
                let total = start.elapsed();
                return Ok(Outcome { status, boot: boot.unwrap_or(total), total });
            }
            None if boot.is_some() => pass_on(&line),
            None => {}
        }
        tail.push_back(line);
        if tail.len() > TAIL {
            tail.pop_front();
        }
    }
}

/// The message about a program without an end.
fn stopped(when: &str, boot: Option<Duration>, tail: &VecDeque<String>) -> String {
    let missing =
        if boot.is_some() { "the program did not end" } else { "the guest did not start the program" };
    let shown: Vec<_> = tail.iter().map(String::as_str).collect();
    format!("{missing} {when}; the console's last lines:\n{}", shown.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn follow_text(text: &'static str) -> Result<Outcome> {
        follow(&lines(text.as_bytes()), LIMIT, |_| {})
    }

    #[test]
    fn the_status_of_the_program_is_the_outcome() {
        let outcome = follow_text("Linux\r\n@@xtask-vm up 6.1\r\nhello\r\n@@xtask-vm ended 3\r\n").unwrap();
        assert_eq!(outcome.status, 3);
        assert!(outcome.boot <= outcome.total);
    }

    #[test]
    fn a_panic_at_boot_is_shown_and_said_to_be_at_boot() {
        let error = follow_text("Linux\r\nKernel panic - not syncing\r\n").unwrap_err().to_string();
        assert!(error.starts_with("the guest did not start the program before QEMU ended"), "{error}");
        assert!(error.ends_with("Kernel panic - not syncing"), "{error}");
    }

    #[test]
    fn a_guest_that_hangs_is_given_up() {
        let (sender, receiver) = mpsc::channel();
        sender.send("@@xtask-vm up 6.1".to_owned()).unwrap();
        let error = follow(&receiver, Duration::from_millis(20), |_| {}).unwrap_err().to_string();
        assert!(error.starts_with("the program did not end within 20ms"), "{error}");
    }
}
