//! One boot of a guest in QEMU.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::console;
use super::kernel::Kernel;
use crate::process;

/// The kernel's command line: a serial console that stays silent but for errors, and an end instead of a
/// reboot on panic (QEMU is told not to reboot).
const COMMAND_LINE: &str = "console=ttyS0 loglevel=4 panic=-1 mitigations=off rdinit=/init";

/// How a boot went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The program's exit status.
    pub status: i32,
    /// From the start of QEMU to the start of the program.
    pub boot: Duration,
    /// From the start of QEMU to the program's end.
    pub total: Duration,
}

/// A QEMU that does not outlive this value.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have powered off by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Boots a kernel, passes the program's lines on, and powers off.
///
/// # Errors
/// When QEMU cannot be started, or the program does not end within the limit.
pub fn boot(kernel: &Kernel, initramfs: &Path, limit: Duration, keep: bool) -> Result<Outcome> {
    let mut command = qemu(kernel, initramfs);
    println!("vm: booting {}", kernel.release);
    if keep {
        println!("vm: {}", process::describe(&command));
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot run qemu-system-x86_64; run `cargo xtask setup --vm`")?;
    let output = child.stdout.take().context("QEMU has no output")?;
    let machine = Machine(child);
    let outcome = console::follow(&console::lines(output), limit, |line| println!("    {line}"));
    drop(machine);
    outcome
}

/// The machine: two emulated processors in two threads, because hardware virtualisation is not to be had
/// inside a virtual machine.
fn qemu(kernel: &Kernel, initramfs: &Path) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command
        // One thread for both CPUs: with one each, 6.1 and 6.12 locked up or panicked when a tracepoint was switched on
        // (an int3 that the other emulated CPU ran into).
        .args(["-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2", "-m", "1024"])
        .args(["-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", COMMAND_LINE]);
    command
}
