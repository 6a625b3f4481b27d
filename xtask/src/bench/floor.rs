//! Attaches the empty programs, in this process.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf};

use crate::manifest::FLOOR;

/// Programs that tier `sched` does without (`trace-user/src/collect/tier.rs`).
const NOT_IN_SCHED: [&str; 4] = ["sys_enter", "sys_exit", "sched_waking", "skb_copy_datagram_iovec"];

/// Loads the object below `directory` and attaches its programs: those of tier `full`, or of `sched`. They are detached
/// when what is returned is dropped.
///
/// # Errors
/// When the kernel refuses one that is not a ring's (which an older kernel may lack).
pub fn attach(directory: &Path, full: bool) -> Result<Ebpf> {
    let path = directory.join(FLOOR);
    let object = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let btf = Btf::from_sys_fs().context("cannot read the kernel's types")?;
    let mut ebpf = Ebpf::load(&object).context("cannot load the empty programs")?;
    for (name, program) in ebpf.programs_mut() {
        if !full && NOT_IN_SCHED.contains(&name) {
            continue;
        }
        let program: &mut BtfTracePoint = program.try_into()?;
        let mut tracepoints: &[&str] = &[name];
        if name == "io_uring_submit" {
            tracepoints = &["io_uring_submit_req", "io_uring_submit_sqe"];
        }
        let loaded = tracepoints.iter().any(|tracepoint| program.load(tracepoint, &btf).is_ok());
        if !loaded && !name.starts_with("io_uring") && name != "sock_recv_length" {
            anyhow::bail!("the kernel refused an empty program on {name}");
        }
        if loaded {
            program.attach().with_context(|| format!("cannot attach to {name}"))?;
        }
    }
    Ok(ebpf)
}
