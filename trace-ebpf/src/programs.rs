//! Which program a record is of: births and execs.

use aya_ebpf::helpers::bpf_get_current_comm;
use trace_common::{
    account::Account,
    call::CallState,
    ledger,
    thread::{Thread, flag},
};

use crate::{
    maps::PerCpu,
    slots::{self, calls_untraced, control},
};

/// Fills the zeroed record of a thread of process `tgid` that the current thread makes, all but its id. `maker` is the
/// record of the current thread if it joins its process.
#[inline(always)]
pub fn born(t: &mut Thread, tgid: u32, kernel_io: bool, maker: Option<&mut Thread>) {
    t.sleep = Account::Unknown as u8;
    t.tgid = tgid;
    t.call.state = CallState::None as u8;
    t.comm = bpf_get_current_comm().unwrap_or_default();
    if calls_untraced() {
        t.flags |= flag::UNSPLIT;
    }
    if let Some(at) = slots::moment() {
        ledger::birth(t, at.now, kernel_io);
        if calls_untraced() {
            t.call.state = CallState::None as u8;
        }
    } else if kernel_io {
        t.flags |= flag::KERNEL_IO;
    }
    match maker {
        Some(maker) => {
            maker.flags |= flag::THREADED;
            t.flags |= flag::THREADED | maker.flags & flag::EXECUTED;
            t.program_at = maker.program_at;
        }
        None => t.program_at = t.born_at,
    }
}

/// The current thread has executed a program: ends its record, and returns the slot of the one that the program begins
/// with, which still lacks its id. 0: it goes on with the record it has, either because there is no other (a loss), or
/// because all of it is one program; see [`Thread::is_preparing`].
///
/// # Safety
/// `t` is null or the record of the current thread, in its write section.
#[unsafe(no_mangle)]
#[inline(never)]
pub unsafe extern "C" fn executed(t: *mut Thread, now: u64) -> u32 {
    // SAFETY: see above.
    let Some(t) = (unsafe { t.as_mut() }) else { return 0 };
    let comm = bpf_get_current_comm().unwrap_or_default();
    let fresh = if t.is_preparing() { None } else { slots::fresh() };
    let Some((slot, fresh)) = fresh else {
        t.comm = comm;
        return 0;
    };
    // SAFETY: a new record that nobody else knows.
    let fresh = unsafe { &mut *fresh };
    ledger::exec(t, fresh, control!(start), now, &mut PerCpu);
    fresh.comm = comm;
    slot
}
