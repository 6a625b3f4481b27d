//! The canary: before anything is measured, a helper thread of the tool does known receives through the same probes.
//!
//! If the report cannot say that all of them were seen, the probes are blind and the verdict must not look healthy.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use trace_common::kernel::Control;

use super::clock;
use super::kmaps::Maps;
use crate::failure::{Code, Failure};
use crate::kernel::proc::Proc;
use crate::snapshot::Calibration;

/// Receives of which the first ones find their bytes waiting and the others sleep.
const RECEIVES: usize = 23;
/// … that find their bytes waiting: of one byte, so that their cost is the floor.
const READY: usize = 11;
/// Bytes of a receive that sleeps.
const SIZE: usize = 64;
/// How long the canary may take before it is given up.
const DEADLINE: Duration = Duration::from_secs(2);

/// Lets the canary sing with `control`'s switches, and leaves gate, losses and distributions as if it had not been.
///
/// # Errors
/// If a map refuses or the thread cannot be made.
pub fn run(maps: &mut Maps, proc: &Proc, control: Control) -> Result<(Calibration, u64)> {
    let slot = maps.slots.allocate().context("no free record for the canary")?;
    let (mut near, far) = UnixStream::pair().context("socket pair of the canary")?;
    near.write_all(&[0; READY])?;
    let (tell, told) = mpsc::channel();
    let (start, started) = mpsc::channel::<()>();
    let (finish, finished) = mpsc::channel::<()>();
    let helper = std::thread::Builder::new()
        .name("trace-canary".into())
        .spawn(move || sing(far, &tell, &started, &finished))
        .context("the canary's thread")?;
    let tid = told.recv()?;
    let pid = std::process::id();
    maps.register(tid, pid, slot, false)?;
    maps.set_control(Control { start: clock::now(), epoch: 1, log_calls: 1, ..control })?;
    start.send(())?;
    let driven = drive(&mut near, proc, pid, tid);
    let singing = told.recv_timeout(DEADLINE);
    maps.set_control(control)?;
    let (calibration, rq_offset) = read(maps, slot);
    maps.unregister(tid)?;
    finish.send(()).ok();
    drop(near);
    let _ = helper.join();
    maps.slots.give(slot)?;
    maps.forget()?;
    driven?;
    singing.context("the canary did not finish")?;
    Ok((calibration, rq_offset))
}

/// Whether the probes hear anything: a measurement that does not see what `trace` itself did sees nobody.
///
/// # Errors
/// With [`Code::Kernel`] if they saw none of it.
pub fn check(calibration: &Calibration) -> Result<(), Failure> {
    let Calibration { done, measured, .. } = calibration;
    if *measured > 0 {
        return Ok(());
    }
    let why = format!("they are attached, and saw {measured} of {done} receives that trace did itself");
    Err(Failure::new(Code::Kernel, "the probes are blind here", why).fix(
        "run trace on the host, outside of containers and sandboxes; trace doctor shows what was checked",
    ))
}

/// The helper thread: tells its id, receives, says that it is done, and waits to be let go.
fn sing(
    mut far: UnixStream,
    tell: &mpsc::Sender<u32>,
    started: &mpsc::Receiver<()>,
    finished: &mpsc::Receiver<()>,
) {
    let mut buffer = [0; SIZE];
    let tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
    if tell.send(tid).is_err() || started.recv().is_err() {
        return;
    }
    for i in 0..RECEIVES {
        let want = if i < READY { 1 } else { SIZE };
        if !matches!(far.read(&mut buffer[..want]), Ok(got) if got == want) {
            return;
        }
    }
    let _ = tell.send(tid);
    let _ = finished.recv();
}

/// Writes for each receive that is to sleep, once it sleeps.
fn drive(near: &mut UnixStream, proc: &Proc, pid: u32, tid: u32) -> Result<()> {
    for _ in READY..RECEIVES {
        let begin = Instant::now();
        while proc
            .call(pid, tid)
            .flatten()
            .is_none_or(|(nr, _)| nr != libc::SYS_read as u32 && nr != libc::SYS_recvfrom as u32)
        {
            if begin.elapsed() > DEADLINE {
                bail!("the canary's receive did not fall asleep");
            }
            std::thread::yield_now();
        }
        near.write_all(&[0; SIZE])?;
        let mut spins = 0;
        while proc.call(pid, tid).flatten().is_some() && spins < 1_000 {
            spins += 1;
            std::thread::yield_now();
        }
    }
    Ok(())
}

/// What was measured, and the distance of the scheduler's clock from ours.
fn read(maps: &mut Maps, slot: u32) -> (Calibration, u64) {
    let mut rq_offset = 0;
    let mut calibration = Calibration {
        done: RECEIVES as u64,
        done_bytes: (READY + (RECEIVES - READY) * SIZE) as u64,
        ..Calibration::default()
    };
    if let Some((record, _)) = maps.slots.read(slot) {
        calibration.measured = record.receives.with_data;
        calibration.measured_bytes = record.receives.bytes;
        calibration.measured_slept = record.receives.slept;
        rq_offset = record.rq_offset;
    }
    let mut ready: Vec<u64> =
        maps.logged().iter().filter(|c| c.result == 1).map(|c| c.copy_ns + c.kernel_ns).collect();
    ready.sort_unstable();
    // Where nothing on a CPU is told apart there is no floor.
    calibration.floor_ns = ready.get(ready.len() / 2).copied().filter(|ns| *ns > 0);
    (calibration, rq_offset)
}
