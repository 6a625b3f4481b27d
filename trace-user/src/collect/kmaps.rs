//! The maps of the loaded probes, as typed handles.

use anyhow::{Context, Result, anyhow};
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, PerCpuValues, RingBuf};
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
use super::slots::Slots;

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

/// Typed handles on all maps.
pub struct Maps {
    tid_slot: Array<MapData, u32>,
    /// The records of threads.
    pub slots: Slots,
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
    /// Takes all maps out of the object loaded for `tier`, and makes the records of `threads` and of those that may be
    /// born, but no more than `limit`.
    ///
    /// # Errors
    /// If one is missing or of another type: the object is not of this build. If the kernel has no memory for the records.
    pub fn take(ebpf: &mut Ebpf, tier: Tier, threads: u32, limit: Option<u32>) -> Result<Maps> {
        let bytes = total_bytes(ebpf);
        let mut slots = Slots::take(ebpf, limit)?;
        slots.grow(threads)?;
        Ok(Maps {
            tid_slot: Array::try_from(take(ebpf, "TID_SLOT")?)?,
            slots,
            control: Array::try_from(take(ebpf, ".data.control")?)?,
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
        self.bytes + self.slots.bytes()
    }

    /// The slot of thread `tid`; 0 if it has none.
    pub fn slot_of(&self, tid: u32) -> u32 {
        self.tid_slot.get(&tid, 0).unwrap_or(0)
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
    pub fn connections(&self) -> Vec<Conn> {
        self.conns.iter().flatten().map(|(_, conn)| conn.0).collect()
    }

    /// What connections came to whose record gave way to another one's, by peer.
    pub fn peers(&self) -> Vec<(PeerKey, Peer)> {
        self.peers.iter().flatten().map(|(key, peer)| (key.0, peer.0)).collect()
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
    pub fn rings(&self) -> Vec<Ring> {
        self.rings.iter().flatten().map(|(_, ring)| ring.0).collect()
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
        let keys: Vec<Plain<PeerKey>> = self.peers.keys().flatten().collect();
        for key in keys {
            self.peers.remove(&key)?;
        }
        let keys: Vec<u64> = self.conns.keys().flatten().collect();
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

/// Takes map `name` out of the object.
///
/// # Errors
/// If it has none: it is not of this build.
pub fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
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
