//! Signals that announce I/O: delivered to a handler, or dequeued by `rt_sigtimedwait`.

use aya_ebpf::helpers::bpf_probe_read_user;
use trace_common::{
    conn::Cover,
    loss::{Loss, Sink},
    signal::{Origin, Signals},
    syscall::FileKind,
    thread::Thread,
};

use crate::{
    calls, conns, file,
    maps::{PerCpu, SIGNALS},
    read::{Kernel, field},
    slots,
};

/// Of `siginfo_t`, which is ABI (`include/uapi/asm-generic/siginfo.h`): the code, and the descriptor of `SIGPOLL`.
const SI_CODE: u32 = 8;
/// See [`SI_CODE`].
const SI_FD: u32 = 24;
/// `SEND_SIG_PRIV`, `include/linux/sched/signal.h`: sent by the kernel, with `SI_KERNEL` and nothing else.
const SEND_SIG_PRIV: u64 = 1;
/// `SI_KERNEL`.
const SI_KERNEL: i32 = 0x80;

/// A signal is generated for a thread of process `tgid`: should it be dequeued without a `siginfo_t`, this proves where it
/// came from.
#[inline(always)]
pub fn generated(tgid: u32, sig: i32, info: Kernel) {
    let code = if info == SEND_SIG_PRIV { SI_KERNEL } else { field::<u32>(info, SI_CODE) as i32 };
    let origin = Origin::of(sig, code);
    if matches!(origin, Origin::Other) || !slots::is_target(tgid) {
        return;
    }
    let Some(at) = slots::moment() else { return };
    change(tgid, |signals| {
        signals.generated_at = at.now;
        signals.generated = sig as u32;
        signals.origin = origin as u32;
    });
}

/// No signal yet.
const NONE: Signals = Signals { sigio_at: 0, signalfd_at: 0, generated_at: 0, generated: 0, origin: 0 };

/// The current thread, of process `tgid`, read a signalfd.
#[inline(always)]
pub fn read_from_descriptor(tgid: u32, now: u64) {
    change(tgid, |signals| signals.signalfd_at = now);
}

#[inline(always)]
fn change(tgid: u32, f: impl FnOnce(&mut Signals)) {
    if SIGNALS.get_ptr_mut(tgid).is_none() && SIGNALS.insert(tgid, NONE, 0).is_err() {
        PerCpu.lose(Loss::MapFull);
    }
    if let Some(signals) = SIGNALS.get_ptr_mut(tgid) {
        // SAFETY: a non-null pointer into the map; the last of several writers wins, as it should.
        f(unsafe { &mut *signals });
    }
}

/// A signal is delivered to a handler of the current thread.
#[inline(always)]
pub fn delivered(t: &mut Thread, sig: i32, info: Kernel, now: u64) {
    let code = field::<u32>(info, SI_CODE) as i32;
    let fd: u32 = field(info, SI_FD);
    told(t, Origin::of(sig, code), fd, now);
}

/// `rt_sigtimedwait` returned signal `sig` to the current thread.
#[inline(always)]
pub fn dequeued(t: &mut Thread, sig: i32, now: u64) {
    let info = t.call.args[1];
    if info == 0 {
        // SAFETY: a plain read of a map's value.
        let last = unsafe { SIGNALS.get(t.tgid) }.copied().unwrap_or_default();
        let origin =
            if last.generated == sig as u32 { Origin::from_u8(last.origin as u8) } else { Origin::Other };
        let origin = if matches!(origin, Origin::Descriptor) { Origin::Sigio } else { origin };
        return told(t, origin, 0, now);
    }
    // SAFETY: the helper checks the addresses.
    let (code, fd) = unsafe {
        (
            bpf_probe_read_user((info + u64::from(SI_CODE)) as *const i32),
            bpf_probe_read_user((info + u64::from(SI_FD)) as *const u32),
        )
    };
    match (code, fd) {
        (Ok(code), Ok(fd)) => told(t, Origin::of(sig, code), fd, now),
        _ => PerCpu.lose(Loss::UserFaults),
    }
}

/// Where calls are not traced: a sleep in `rt_sigtimedwait` ended. Which descriptor the signal named is not known yet, so
/// it stands for all that ask for signals.
#[inline(always)]
pub fn woken(t: &mut Thread, now: u64) {
    // SAFETY: a plain read of a map's value.
    let last = unsafe { SIGNALS.get(t.tgid) }.copied().unwrap_or_default();
    if last.generated_at < t.off_at {
        return;
    }
    match Origin::from_u8(last.origin as u8) {
        Origin::Descriptor => {
            t.fd_signals += 1;
            change(t.tgid, |signals| signals.sigio_at = now);
        }
        origin => told(t, origin, 0, now),
    }
}

/// The thread was told: marks the connection that the signal names, or all that ask for signals.
#[inline(always)]
fn told(t: &mut Thread, origin: Origin, fd: u32, now: u64) {
    match origin {
        Origin::Other => {}
        Origin::Aio => t.aio_signals += 1,
        Origin::Descriptor => {
            t.fd_signals += 1;
            announce(fd, now);
        }
        Origin::Sigio => {
            t.sigio_signals += 1;
            change(t.tgid, |signals| signals.sigio_at = now);
        }
    }
}

#[inline(always)]
fn announce(fd: u32, now: u64) {
    let open = file::file_of_fd(calls::current(), u64::from(fd));
    if file::kind(open) as u8 != FileKind::Socket as u8 {
        return;
    }
    let sk = file::sock(open);
    if file::is_listener(sk) {
        return;
    }
    if let Some(conn) = conns::of_sock(sk, now - 1) {
        // SAFETY: a non-null pointer into the map.
        unsafe { (*conn).ready = Cover::signal(now) };
    }
}

/// The last signal to process `tgid` that stands for all of its `O_ASYNC` sockets.
#[inline(always)]
pub fn cover(tgid: u32) -> Cover {
    // SAFETY: a plain read of a map's value.
    unsafe { SIGNALS.get(tgid) }.map_or(Cover::NONE, Signals::cover)
}
