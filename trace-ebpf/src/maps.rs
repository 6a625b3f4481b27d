//! The maps, and the read-only global with the kernel's offsets.

use core::cell::UnsafeCell;

use aya_ebpf::{
    bindings::bpf_map_type::BPF_MAP_TYPE_ARRAY,
    btf_maps::ArrayOfMaps,
    helpers::generated::bpf_map_lookup_elem,
    macros::{btf_map, map},
    maps::{Array, HashMap, LruHashMap, PerCpuArray, Queue, RingBuf},
};
use trace_common::{
    account::Account,
    call::LoggedCall,
    conn::{Conn, Epoll, Peer, PeerKey, Pipe},
    hist::Histogram,
    kernel::{Control, MISSING, Offsets},
    loss::{Loss, Losses, Sink},
    signal::Signals,
    slot::{CHUNK, CHUNKS, MOST},
    thread::Thread,
    timeline::{self, Entry, Note},
    turn::{PARTS, Part, Spent, Turns},
    uring::{Multishot, RequestKey, Ring},
};

use crate::{read::offset, stacks::PLACES};

/// `BPF_F_MMAPABLE`: user space reads the records without a system call.
const MMAPABLE: usize = 1 << 10;

/// Where this kernel keeps its fields; user space overrides it before loading.
#[unsafe(no_mangle)]
pub static OFFSETS: Offsets = Offsets::UNSET;

/// Slot of a thread by thread id; 0 for none. As long as `pid_max`.
#[map]
pub static TID_SLOT: Array<u32> = Array::with_max_entries(32_768, 0);
/// Records of threads, in chunks that user space adds while the target grows. Slot 0 is not used.
#[btf_map]
pub static SLOTS: ArrayOfMaps<Chunk, { CHUNKS as usize }> = ArrayOfMaps::new();
/// Zeroed slots for threads to come.
#[map]
pub static FREE_SLOTS: Queue<u32> = Queue::with_max_entries(MOST, 0);
/// The window and the switches, in a map of its own, which user space writes.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.control")]
pub static CONTROL: Shared<Control> = Shared::new(Control::SHUT);
/// Connections by `struct sock *`.
#[map]
pub static CONNS: LruHashMap<u64, Conn> = LruHashMap::with_max_entries(16_384, 0);
/// What connections came to whose record gave way to another one's.
#[map]
pub static PEERS: LruHashMap<PeerKey, Peer> = LruHashMap::with_max_entries(4_096, 0);
/// Turns that ended.
#[map]
pub static TURNS: PerCpuArray<Turns> = PerCpuArray::with_max_entries(1, 0);
/// Distributions of their parts, by [`trace_common::turn::Part`].
#[map]
pub static TURN_TIMES: PerCpuArray<Histogram> = PerCpuArray::with_max_entries(PARTS as u32, 0);
/// Where the record of a new connection is made: it is too large for the stack, 512 bytes for a whole chain of calls.
#[map]
pub static NEW_CONN: PerCpuArray<Conn> = PerCpuArray::with_max_entries(1, 0);
/// Epoll instances by `struct eventpoll *`.
#[map]
pub static EPOLLS: LruHashMap<u64, Epoll> = LruHashMap::with_max_entries(1_024, 0);
/// Pipes by `struct inode *`, and ends of unix socket pairs by `struct sock *`.
#[map]
pub static PIPES: LruHashMap<u64, Pipe> = LruHashMap::with_max_entries(1_024, 0);
/// Rings by `struct io_ring_ctx *`.
#[map]
pub static RINGS: HashMap<u64, Ring> = HashMap::with_max_entries(1_024, 0);
/// Where the record of a new ring is made; as [`NEW_CONN`].
#[map]
pub static NEW_RING: PerCpuArray<Ring> = PerCpuArray::with_max_entries(1, 0);
/// Multishot requests in flight.
#[map]
pub static MULTISHOTS: LruHashMap<RequestKey, Multishot> = LruHashMap::with_max_entries(16_384, 0);
/// Marks of requests in flight by `struct io_kiocb *`; see [`trace_common::uring::mark`].
#[map]
pub static REQUESTS: LruHashMap<u64, u32> = LruHashMap::with_max_entries(16_384, 0);
/// What the signals of a process said last, by process id.
#[map]
pub static SIGNALS: LruHashMap<u32, Signals> = LruHashMap::with_max_entries(1_024, 0);
/// Local ports of the target's listeners, one bit each.
#[map]
pub static LISTEN_PORTS: Array<u64> = Array::with_max_entries(1_024, 0);
/// What was lost.
#[map]
pub static LOSSES: PerCpuArray<Losses> = PerCpuArray::with_max_entries(1, 0);
/// Distributions by account.
#[map]
pub static DISTRIBUTIONS: PerCpuArray<Histogram> = PerCpuArray::with_max_entries(Account::SLOTS as u32, 0);
/// Logged receives; written only when they were asked for.
#[map]
pub static LOGGED: RingBuf = RingBuf::with_byte_size(1 << 20, 0);
/// The timeline. A page, the least that a ring can be: user space makes it larger if one is recorded.
#[map]
pub static TIMELINE: RingBuf = RingBuf::with_byte_size(1 << 12, 0);

/// What is remembered of kernel stacks; see [`crate::stacks`].
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.stacks")]
pub static STACKS: Shared<[u64; PLACES]> = Shared::new([0; PLACES]);

/// What a chunk of records is like, in the form of a map's definition; it is never made by itself. All have this length, so that
/// the verifier puts the look-up in line (`array_map_meta_equal`, `kernel/bpf/arraymap.c`). Sizes stand for types: up to 6.2
/// a map that was made with types and one without, as user space makes them, are not alike (`bpf_map_meta_equal` compares
/// `timer_off`, `kernel/bpf/map_in_map.c`).
#[repr(C)]
pub struct Chunk {
    r#type: *const [i32; BPF_MAP_TYPE_ARRAY as usize],
    key_size: *const [i32; size_of::<u32>()],
    value_size: *const [i32; size_of::<Thread>()],
    max_entries: *const [i32; CHUNK as usize],
    map_flags: *const [i32; MMAPABLE],
}

impl Chunk {
    /// The record at `place`.
    #[inline(always)]
    pub fn get_ptr_mut(&self, place: u32) -> Option<*mut Thread> {
        let key = (&raw const place).cast();
        // SAFETY: `self` is what the kernel keeps in `SLOTS`, and the key has the size that it names.
        let found = unsafe { bpf_map_lookup_elem(core::ptr::from_ref(self).cast_mut().cast(), key) };
        if found.is_null() { None } else { Some(found.cast()) }
    }
}

/// A global that somebody else writes, too: a load of it is never folded.
#[repr(transparent)]
pub struct Shared<T>(UnsafeCell<T>);

// SAFETY: it gives out pointers only, and all access is volatile.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// With an initial value.
    pub const fn new(value: T) -> Shared<T> {
        Shared(UnsafeCell::new(value))
    }

    /// Where it is.
    #[inline(always)]
    pub const fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// `BPF_RB_NO_WAKEUP`: user space looks by itself.
const NO_WAKEUP: u64 = 1;

/// The loss counters and distributions of this CPU.
pub struct PerCpu;

impl Sink for PerCpu {
    #[inline(always)]
    fn lose(&mut self, loss: Loss) {
        count_loss(loss as u32);
    }

    #[inline(always)]
    fn observe(&mut self, account: Account, nanos: u64) {
        count_time(account as u32, nanos);
    }

    #[inline(always)]
    fn turn(&mut self, spent: Spent) {
        count_turn(spent.receive_ns, spent.build_ns, spent.send_ns);
    }

    #[inline(always)]
    fn mark(&mut self, entry: Entry) {
        if offset!(timeline) != MISSING {
            timeline_entry(entry.from, entry.to, entry.key, entry.who(), entry.what);
        }
    }

    #[inline(always)]
    fn mark_conn(&mut self, conn: &Conn, note: Note, until: u64) {
        if offset!(timeline) != MISSING {
            // SAFETY: a record in a map.
            unsafe { timeline_conn(conn, note as u32, until) };
        }
    }
}

/// Verified by itself, as [`count_time`], and not anew for each of the hundreds of paths that lead to it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count_loss(loss: u32) -> u32 {
    add_loss(loss);
    0
}

#[inline(always)]
fn add_loss(loss: u32) {
    if let Some(losses) = LOSSES.get_ptr_mut(0) {
        // SAFETY: a non-null pointer into this CPU's copy; tracing programs run with preemption off.
        let losses = unsafe { &mut *losses };
        let i = loss as usize & (trace_common::loss::SLOTS - 1);
        losses.counts[i] = losses.counts[i].wrapping_add(1);
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count_time(account: u32, nanos: u64) -> u32 {
    if let Some(histogram) = DISTRIBUTIONS.get_ptr_mut(account) {
        // SAFETY: as in `add_loss`.
        unsafe { (*histogram).record(nanos) };
    }
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count_turn(receive_ns: u64, build_ns: u64, send_ns: u64) -> u32 {
    let spent = Spent { receive_ns, build_ns, send_ns };
    if let Some(turns) = TURNS.get_ptr_mut(0) {
        // SAFETY: as in `add_loss`.
        unsafe { (*turns).add(spent) };
    }
    for part in Part::ALL {
        if let Some(histogram) = TURN_TIMES.get_ptr_mut(part as u32) {
            // SAFETY: as in `add_loss`.
            unsafe { (*histogram).record(spent.of(part)) };
        }
    }
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn timeline_entry(from: u64, to: u64, key: u64, who: u64, what: u32) -> u32 {
    let entry = Entry { from, to, key, tid: (who >> 32) as u32, tgid: who as u32, what, reserved: 0 };
    if !entry.is_empty() {
        put(entry);
    }
    0
}

/// See [`timeline::tell`].
///
/// # Safety
/// `conn` is null or the record of a connection.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn timeline_conn(conn: *const Conn, note: u32, until: u64) -> u32 {
    // SAFETY: see above.
    if let Some(conn) = unsafe { conn.as_ref() } {
        timeline::tell(conn, note, until, |e| _ = timeline_entry(e.from, e.to, e.key, e.who(), e.what));
    }
    0
}

#[inline(always)]
fn put(entry: Entry) {
    match TIMELINE.reserve::<Entry>(0) {
        Some(mut place) => {
            place.write(entry);
            place.submit(NO_WAKEUP);
        }
        // No further call: this one is the last of a chain whose frames together are as large as the stack may be.
        None => add_loss(Loss::TimelineDropped as u32),
    }
}

/// Sends one logged receive to user space.
#[inline(always)]
pub fn log_call(call: &LoggedCall) {
    if LOGGED.output::<LoggedCall>(call, 0).is_err() {
        PerCpu.lose(Loss::RingFull);
    }
}
