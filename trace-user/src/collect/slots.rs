//! The records of threads, mapped into this process: reading them takes no system call. They lie in chunks; further ones
//! are made while the target grows.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result, anyhow};
use aya::Ebpf;
use aya::maps::{Map, MapData, MapError, Queue};
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY;
use trace_common::slot::{self, CHUNK, CHUNKS, MOST};
use trace_common::thread::{Thread, flag};

use super::kmaps::take;

/// Attempts to read a record that is being written before the row is marked torn (DESIGN §8).
const TORN_TRIES: u32 = 3;
/// `BPF_F_MMAPABLE`, `include/uapi/linux/bpf.h`.
const MMAPABLE: u32 = 1 << 10;
/// `BPF_MAP_UPDATE_BATCH`, `include/uapi/linux/bpf.h`.
const UPDATE_BATCH: libc::c_int = 26;
/// Fewest records that are free after a look.
const LEAST_FREE: u32 = 2_048;

/// What a look at a record without copying it tells.
#[derive(Clone, Copy, Debug)]
pub struct Brief {
    /// Slot.
    pub slot: u32,
    /// Thread id.
    pub tid: u32,
    /// Process id.
    pub tgid: u32,
    /// Where the thread is.
    pub sched: u8,
    /// When its program began; see [`Thread::program_at`].
    pub program_at: u64,
    /// Whether that was by an exec.
    pub by_exec: bool,
}

impl Brief {
    /// Its program: process, and beginning.
    pub fn program(&self) -> (u32, u64) {
        (self.tgid, self.program_at)
    }
}

/// Records that should be there for so many living threads, of which so many were born since the last look: as many free
/// ones as half of them, and four times the births. A look comes every 20 to 100 ms.
pub fn wanted(living: usize, births: usize) -> u32 {
    let [living, births] = [living, births].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    let free = (living / 2).max(births.saturating_mul(4)).max(LEAST_FREE);
    // Slot 0 is not used.
    living.saturating_add(free).saturating_add(1)
}

/// All records.
pub struct Slots {
    outer: MapData,
    free: Queue<MapData, u32>,
    chunks: Vec<Chunk>,
    /// Slots below this one have been handed out.
    count: u32,
    /// No slot from this one on is ever handed out.
    most: u32,
}

impl Slots {
    /// Takes the maps of the records out of the object; there is no record yet. `limit`: most records, for tests.
    ///
    /// # Errors
    /// If a map is missing or of another type: the object is not of this build.
    pub fn take(ebpf: &mut Ebpf, limit: Option<u32>) -> Result<Slots> {
        let Map::ArrayOfMaps(outer) = take(ebpf, "SLOTS")? else {
            return Err(anyhow!("SLOTS is no array of maps"));
        };
        let free = Queue::try_from(take(ebpf, "FREE_SLOTS")?)?;
        Ok(Slots {
            outer,
            free,
            chunks: Vec::new(),
            count: 1,
            most: limit.map_or(MOST, |limit| limit.min(MOST)),
        })
    }

    /// Number of records, the one in slot 0 included, which is not used.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Memory of the records, bytes.
    pub fn bytes(&self) -> u64 {
        self.chunks.len() as u64 * Chunk::BYTES as u64
    }

    /// Makes records until there are `wanted` of them, or as many as there may be, and hands the new ones out.
    ///
    /// # Errors
    /// If the kernel has no memory for them, or this process may not make maps (any more).
    pub fn grow(&mut self, wanted: u32) -> Result<()> {
        let wanted = wanted.min(self.most);
        if wanted <= self.count {
            return Ok(());
        }
        let before = self.chunks.len();
        let mut refused = Ok(());
        while refused.is_ok() && self.chunks.len() < wanted.div_ceil(CHUNK) as usize {
            refused = Chunk::new().map(|chunk| self.chunks.push(chunk));
        }
        let added: Vec<u32> = (before as u32..self.chunks.len() as u32).collect();
        if !added.is_empty()
            && let Err(e) = publish(&self.outer, &added, &self.chunks[before..])
        {
            self.chunks.truncate(before);
            return Err(e).context("further records of threads");
        }
        // All that the chunks have room for.
        let until = (self.chunks.len() as u32 * CHUNK).min(self.most);
        for slot in self.count..until {
            self.free.push(slot, 0).context("the queue of free records")?;
        }
        self.count = until;
        refused
    }

    /// Hands slot `slot` out again, zeroed, for a thread to come.
    ///
    /// # Errors
    /// If the queue refuses.
    pub fn give(&mut self, slot: u32) -> Result<()> {
        // SAFETY: within the mapping; a free slot has no other user.
        unsafe { std::ptr::write_bytes(self.at(slot), 0, 1) };
        self.free.push(slot, 0).context("the queue of free records")
    }

    /// Takes a free slot; none if all are in use.
    ///
    /// # Errors
    /// If the queue cannot be read.
    pub fn allocate(&mut self) -> Result<Option<u32>> {
        match self.free.pop(0) {
            Err(MapError::ElementNotFound) => Ok(None),
            slot => slot.map(Some).context("the queue of free records"),
        }
    }

    /// Writes a record that nobody knows of yet.
    pub fn write(&self, slot: u32, record: &Thread) {
        // SAFETY: within the mapping; the slot is not published yet.
        unsafe { self.at(slot).write_volatile(*record) };
    }

    /// Thread, process and state of the record in `slot`, without a consistent copy of the rest.
    pub fn brief(&self, slot: u32) -> Option<Brief> {
        let at = self.at(slot);
        // SAFETY: within the mapping; each field is a plain integer.
        let (tid, tgid, sched, program_at, flags) = unsafe {
            (
                (&raw const (*at).tid).read_volatile(),
                (&raw const (*at).tgid).read_volatile(),
                (&raw const (*at).sched).read_volatile(),
                (&raw const (*at).program_at).read_volatile(),
                (&raw const (*at).flags).read_volatile(),
            )
        };
        let by_exec = flags & flag::EXECUTED != 0;
        (tid != 0).then_some(Brief { slot, tid, tgid, sched, program_at, by_exec })
    }

    /// The record in `slot`, and whether it may be torn; `None` if the slot is not in use.
    pub fn read(&self, slot: u32) -> Option<(Thread, bool)> {
        let at = self.at(slot);
        // SAFETY: within the mapping; each field is a plain integer, and the sequence tells whether the copy is whole.
        unsafe {
            if (&raw const (*at).tid).read_volatile() == 0 {
                return None;
            }
            for _ in 0..TORN_TRIES {
                let before = (&raw const (*at).seq).read_volatile();
                let record = at.read_volatile();
                let after = (&raw const (*at).seq).read_volatile();
                if before == after && before & 1 == 0 {
                    return Some((record, false));
                }
            }
            Some((at.read_volatile(), true))
        }
    }

    fn at(&self, slot: u32) -> *mut Thread {
        assert!(slot < self.count, "slot {slot} of {}", self.count);
        let chunk = &self.chunks[slot::chunk(slot) as usize];
        // SAFETY: within the mapping: a chunk has a record for each place.
        unsafe { chunk.base.add(slot::place(slot) as usize) }
    }
}

/// A map of [`CHUNK`] records, and its mapping.
struct Chunk {
    base: *mut Thread,
    map: MapData,
}

// SAFETY: the mapping is owned, and all access is volatile.
unsafe impl Send for Chunk {}

impl Chunk {
    const BYTES: usize = size_of::<Thread>() * CHUNK as usize;

    fn new() -> Result<Chunk> {
        let value_size = size_of::<Thread>() as u32;
        let definition = aya_obj::Map::new_from_params(
            BPF_MAP_TYPE_ARRAY as u32,
            size_of::<u32>() as u32,
            value_size,
            CHUNK,
            MMAPABLE,
        );
        let map = MapData::create(definition, "SLOTS.chunk", None).context("further records of threads")?;
        // SAFETY: a new shared mapping of the map's own memory.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                Self::BYTES.next_multiple_of(rustix::param::page_size()),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error()).context("the records cannot be mapped");
        }
        Ok(Chunk { base: base.cast(), map })
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`.
        unsafe { libc::munmap(self.base.cast(), Self::BYTES.next_multiple_of(rustix::param::page_size())) };
    }
}

/// `batch` of `union bpf_attr`, `include/uapi/linux/bpf.h`.
#[repr(C)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Lets the probes see `chunks` at `places` of the outer map, in one call: each takes a grace period of RCU, some 10 ms, or,
/// on older kernels, each chunk does (`maybe_wait_bpf_programs`, `kernel/bpf/syscall.c`).
fn publish(outer: &MapData, places: &[u32], chunks: &[Chunk]) -> io::Result<()> {
    debug_assert!(places.len() == chunks.len() && places.iter().all(|place| *place < CHUNKS));
    let fds: Vec<u32> = chunks.iter().map(|chunk| chunk.map.fd().as_fd().as_raw_fd() as u32).collect();
    let mut attributes = Batch {
        in_batch: 0,
        out_batch: 0,
        keys: places.as_ptr() as u64,
        values: fds.as_ptr() as u64,
        count: places.len() as u32,
        map_fd: outer.fd().as_fd().as_raw_fd() as u32,
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: the attributes, and what they point to, live until the call returns; the kernel writes `count`.
    let done = unsafe { libc::syscall(libc::SYS_bpf, UPDATE_BATCH, &raw mut attributes, size_of::<Batch>()) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_records_are_enough_for_what_may_be_born_until_the_next_look() {
        assert_eq!(wanted(1, 0), 1 + LEAST_FREE + 1);
        assert_eq!(wanted(10_000, 0), 15_001);
        assert_eq!(wanted(10_000, 5_000), 30_001);
        assert_eq!(wanted(usize::MAX, usize::MAX), u32::MAX);
    }
}
