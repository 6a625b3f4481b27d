//! The probes: thin adapters from a hook to the state machine of `trace-common`.
//!
//! All of them are `tp_btf` programs; `raw.rs` makes raw tracepoints of them. None waits, allocates or streams: a handler looks up the record of its thread,
//! calls one function of the state machine, and returns. Threads of no interest cost one array look-up.
#![no_std]
#![no_main]

mod calls;
mod conns;
mod file;
mod hooks;
#[path = "typed.rs"]
mod kind;
mod maps;
mod object;
mod programs;
mod read;
mod readiness;
mod signals;
mod slots;
mod stacks;
mod uring;
