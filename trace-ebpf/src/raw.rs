//! The probes of `main.rs` as raw tracepoints, for kernels without BTF of their own: the same handlers, which are told apart
//! by [`kind`] alone.
#![no_std]
#![no_main]

mod calls;
mod conns;
mod file;
mod hooks;
#[path = "untyped.rs"]
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
