//! The maps of the loaded probes, as typed handles.

use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result, anyhow};
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues, Queue, RingBuf};
use aya::{Ebpf, Pod};
use trace_common::account::Account;
use trace_common::call::LoggedCall;
use trace_common::conn::{Conn, Peer, PeerKey};
use trace_common::hist::{self, Histogram};
use trace_common::kernel::Control;
use trace_common::loss::Losses;
use trace_common::thread::{Thread, flag};
use trace_common::turn::{PARTS, Part, Turns};
use trace_common::uring::Ring;

use super::Tier;

/// A foreign plain type as a map value.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Plain<T>(T);

// SAFETY: all of these are `repr(C)`, made of integers, and without padding that is ever looked at.
unsafe impl Pod for Plain<Control> {}
// SAFETY: see above.
unsafe impl Pod for Plain<Conn> {}
// SAFETY: see above.
unsafe impl Pod for Plain<Peer> {}
// SAFETY: see above.
unsafe impl Pod for Plain<PeerKey> {}
// SAFETY: see above.
unsafe impl Pod for Plain<Turns> {}
// SAFETY: see above.
unsafe impl Pod for Plain<Ring> {}
// SAFETY: see above.
unsafe impl Pod for Plain<Losses> {}
// SAFETY: see above.
unsafe impl Pod for Plain<Histogram> {}

/// Attempts to read a record that is being written before the row is marked torn (DESIGN §8).
const TORN_TRIES: u32 = 3;

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
}

/// Typed handles on all maps.
pub struct Maps {
    tid_slot: Array<MapData, u32>,
    slots: Slots,
    free: Queue<MapData, u32>,
    control: Array<MapData, Plain<Control>>,
    conns: HashMap<MapData, u64, Plain<Conn>>,
    peers: HashMap<MapData, Plain<PeerKey>, Plain<Peer>>,
    turns: PerCpuArray<MapData, Plain<Turns>>,
    turn_times: PerCpuArray<MapData, Plain<Histogram>>,
    rings: HashMap<MapData, u64, Plain<Ring>>,
    listen_ports: Array<MapData, u64>,
    losses: PerCpuArray<MapData, Plain<Losses>>,
    distributions: PerCpuArray<MapData, Plain<Histogram>>,
    logged: RingBuf<MapData>,
    bytes: u64,
    tier: Tier,
}

impl Maps {
    /// Takes all maps out of the object loaded for `tier`.
    ///
    /// # Errors
    /// If one is missing or of another type: the object is not of this build.
    pub fn take(ebpf: &mut Ebpf, tier: Tier) -> Result<Maps> {
        let bytes = total_bytes(ebpf);
        let slots = Slots::map(take(ebpf, "SLOTS")?)?;
        Ok(Maps {
            tid_slot: Array::try_from(take(ebpf, "TID_SLOT")?)?,
            slots,
            free: Queue::try_from(take(ebpf, "FREE_SLOTS")?)?,
            control: Array::try_from(take(ebpf, "CONTROL")?)?,
            conns: HashMap::try_from(take(ebpf, "CONNS")?)?,
            peers: HashMap::try_from(take(ebpf, "PEERS")?)?,
            turns: PerCpuArray::try_from(take(ebpf, "TURNS")?)?,
            turn_times: PerCpuArray::try_from(take(ebpf, "TURN_TIMES")?)?,
            rings: HashMap::try_from(take(ebpf, "RINGS")?)?,
            listen_ports: Array::try_from(take(ebpf, "LISTEN_PORTS")?)?,
            losses: PerCpuArray::try_from(take(ebpf, "LOSSES")?)?,
            distributions: PerCpuArray::try_from(take(ebpf, "DISTRIBUTIONS")?)?,
            logged: RingBuf::try_from(take(ebpf, "LOGGED")?)?,
            bytes,
            tier,
        })
    }

    /// Memory of all maps, estimated from key size, value size and length.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of records.
    pub fn slot_count(&self) -> u32 {
        self.slots.count
    }

    /// Hands slot `slot` out, zeroed, for a thread to come.
    ///
    /// # Errors
    /// If the queue refuses.
    pub fn free(&mut self, slot: u32) -> Result<()> {
        self.slots.zero(slot);
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

    /// The slot of thread `tid`; 0 if it has none.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub fn slot_of(&self, tid: u32) -> Result<u32> {
        match self.tid_slot.get(&tid, 0) {
            Err(MapError::OutOfBounds { .. }) => Ok(0),
            slot => slot.context("the table of thread ids"),
        }
    }

    /// Gives thread `tid` a record, of which nothing was seen yet.
    ///
    /// # Errors
    /// If the thread id is beyond the table.
    pub fn register(&mut self, tid: u32, tgid: u32, slot: u32, kernel_io: bool) -> Result<()> {
        let mut record = Thread::unseen(tid, tgid);
        if kernel_io {
            record.flags |= flag::KERNEL_IO;
        }
        if self.tier == Tier::Sched {
            record.flags |= flag::UNSPLIT;
        }
        self.slots.write(slot, &record);
        self.tid_slot.set(tid, slot, 0).with_context(|| format!("thread {tid} is beyond pid_max"))
    }

    /// Takes thread `tid` out of the target.
    ///
    /// # Errors
    /// If the thread id is beyond the table.
    pub fn unregister(&mut self, tid: u32) -> Result<()> {
        self.tid_slot.set(tid, 0, 0).context("unregister")
    }

    /// Thread, process and state of the record in `slot`, without a consistent copy of the rest.
    pub fn brief(&self, slot: u32) -> Option<Brief> {
        self.slots.brief(slot)
    }

    /// The record in `slot`, and whether it may be torn; `None` if the slot is not in use.
    pub fn record(&self, slot: u32) -> Option<(Thread, bool)> {
        self.slots.read(slot)
    }

    /// Sets window and switches.
    ///
    /// # Errors
    /// If the map refuses.
    pub fn set_control(&mut self, control: Control) -> Result<()> {
        self.control.set(0, Plain(control), 0).context("control")
    }

    /// Marks a local port as one of the target's listeners.
    ///
    /// # Errors
    /// If the map refuses.
    pub fn listen_on(&mut self, port: u16) -> Result<()> {
        let word = u32::from(port >> 6);
        let bits = self.listen_ports.get(&word, 0)? | 1 << (port & 63);
        self.listen_ports.set(word, bits, 0).context("listen ports")
    }

    /// All connections.
    ///
    /// # Errors
    /// If the map cannot be read. What vanishes meanwhile is not listed.
    pub fn connections(&self) -> Result<Vec<Conn>> {
        self.conns.iter().map(|item| Ok(item?.1.0)).collect::<Result<_>>().context("connections")
    }

    /// What connections came to whose record gave way to another one's, by peer.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn peers(&self) -> Result<Vec<(PeerKey, Peer)>> {
        let all = self.peers.iter().map(|item| item.map(|(key, peer)| (key.0, peer.0)));
        all.collect::<Result<_, _>>().context("peers")
    }

    /// Turns that have ended, summed over CPUs.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn turns(&self) -> Result<Turns> {
        let mut sum = Turns::default();
        for Plain(cpu) in self.turns.get(&0, 0)?.iter() {
            sum.merge(cpu);
        }
        Ok(sum)
    }

    /// The distributions of their parts, as [`Maps::distribution`].
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn turn_times(&self) -> Result<[Vec<(u64, u64)>; PARTS]> {
        let mut times = [const { Vec::new() }; PARTS];
        for (part, buckets) in Part::ALL.into_iter().zip(&mut times) {
            *buckets = buckets_of(&self.turn_times, part as u32)?;
        }
        Ok(times)
    }

    /// All rings.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn rings(&self) -> Result<Vec<Ring>> {
        self.rings.iter().map(|item| Ok(item?.1.0)).collect::<Result<_>>().context("rings")
    }

    /// Loss counters, summed over CPUs.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn losses(&self) -> Result<Losses> {
        let mut sum = Losses::ZERO;
        for cpu in self.losses.get(&0, 0)?.iter() {
            for (total, count) in sum.counts.iter_mut().zip(cpu.0.counts) {
                *total += count;
            }
        }
        Ok(sum)
    }

    /// The distribution of `account`, summed over CPUs: (largest value of the bucket, count).
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn distribution(&self, account: Account) -> Result<Vec<(u64, u64)>> {
        buckets_of(&self.distributions, account as u32)
    }

    /// Forgets what the canary left: losses, distributions, turns, connections.
    ///
    /// # Errors
    /// If a map refuses.
    pub fn forget(&mut self) -> Result<()> {
        let cpus = aya::util::nr_cpus().map_err(|(what, e)| anyhow!("{what}: {e}"))?;
        self.losses.set(0, PerCpuValues::try_from(vec![Plain(Losses::ZERO); cpus])?, 0)?;
        let empty = Histogram { counts: [0; hist::SLOTS] };
        for account in Account::ALL {
            self.distributions.set(account as u32, PerCpuValues::try_from(vec![Plain(empty); cpus])?, 0)?;
        }
        for part in Part::ALL {
            self.turn_times.set(part as u32, PerCpuValues::try_from(vec![Plain(empty); cpus])?, 0)?;
        }
        self.turns.set(0, PerCpuValues::try_from(vec![Plain(Turns::default()); cpus])?, 0)?;
        let keys: Vec<Plain<PeerKey>> = self.peers.keys().collect::<Result<_, _>>()?;
        for key in keys {
            self.peers.remove(&key)?;
        }
        let keys: Vec<u64> = self.conns.keys().collect::<Result<_, _>>()?;
        for key in keys {
            self.conns.remove(&key)?;
        }
        Ok(())
    }

    /// Logged receives that came since the last call.
    pub fn logged(&mut self) -> Vec<LoggedCall> {
        let mut calls = Vec::new();
        while let Some(item) = self.logged.next() {
            if item.len() >= size_of::<LoggedCall>() {
                // SAFETY: the probes write whole records of this type, which has no invalid bit patterns.
                calls.push(unsafe { item.as_ptr().cast::<LoggedCall>().read_unaligned() });
            }
        }
        calls
    }
}

fn buckets_of(map: &PerCpuArray<MapData, Plain<Histogram>>, index: u32) -> Result<Vec<(u64, u64)>> {
    let cpus = map.get(&index, 0)?;
    Ok((0..hist::BUCKETS)
        .map(|b| (hist::upper(b), cpus.iter().map(|cpu| cpu.0.counts[b]).sum::<u64>()))
        .filter(|(_, count)| *count > 0)
        .collect())
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
    ebpf.take_map(name).ok_or_else(|| anyhow!("the probe object has no map {name}"))
}

fn total_bytes(ebpf: &Ebpf) -> u64 {
    ebpf.maps()
        .filter_map(|(_, map)| {
            let info = match map {
                Map::Array(data)
                | Map::Queue(data)
                | Map::HashMap(data)
                | Map::LruHashMap(data)
                | Map::RingBuf(data) => data.info().ok()?,
                Map::PerCpuArray(data) => {
                    let info = data.info().ok()?;
                    let cpus = aya::util::nr_cpus().ok()? as u64;
                    return Some(u64::from(info.value_size()) * u64::from(info.max_entries()) * cpus);
                }
                _ => return None,
            };
            let entry = u64::from(info.key_size()) + u64::from(info.value_size());
            Some(entry.max(1) * u64::from(info.max_entries()))
        })
        .sum()
}

/// The records, mapped into this process: reading them takes no system call.
struct Slots {
    base: *mut Thread,
    count: u32,
    length: usize,
    _map: MapData,
}

// SAFETY: the mapping is owned, and all access is volatile.
unsafe impl Send for Slots {}

impl Slots {
    fn map(map: Map) -> Result<Slots> {
        let Map::Array(data) = map else { return Err(anyhow!("SLOTS is no array")) };
        let info = data.info().context("SLOTS")?;
        let stride = info.value_size() as usize;
        anyhow::ensure!(stride == size_of::<Thread>(), "a record has {stride} bytes in the probe object");
        let count = info.max_entries();
        let length = (stride * count as usize).next_multiple_of(rustix::param::page_size());
        // SAFETY: a new shared mapping of the map's own memory.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                data.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error()).context("the records cannot be mapped");
        }
        Ok(Slots { base: base.cast(), count, length, _map: data })
    }

    fn at(&self, slot: u32) -> *mut Thread {
        assert!(slot < self.count, "slot {slot} of {}", self.count);
        // SAFETY: within the mapping, as checked.
        unsafe { self.base.add(slot as usize) }
    }

    fn zero(&self, slot: u32) {
        // SAFETY: within the mapping; a free slot has no other user.
        unsafe { std::ptr::write_bytes(self.at(slot), 0, 1) };
    }

    fn write(&self, slot: u32, record: &Thread) {
        // SAFETY: within the mapping; the slot is not published yet.
        unsafe { self.at(slot).write_volatile(*record) };
    }

    fn brief(&self, slot: u32) -> Option<Brief> {
        let at = self.at(slot);
        // SAFETY: within the mapping; each field is a plain integer.
        let (tid, tgid, sched) = unsafe {
            (
                (&raw const (*at).tid).read_volatile(),
                (&raw const (*at).tgid).read_volatile(),
                (&raw const (*at).sched).read_volatile(),
            )
        };
        (tid != 0).then_some(Brief { slot, tid, tgid, sched })
    }

    fn read(&self, slot: u32) -> Option<(Thread, bool)> {
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
}

impl Drop for Slots {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `map`.
        unsafe { libc::munmap(self.base.cast(), self.length) };
    }
}
