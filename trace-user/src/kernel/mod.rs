//! What this kernel is and allows: field offsets, rights, namespaces, and what `/proc` tells.

pub mod btf;
pub mod capability;
pub mod container;
pub mod drop;
pub mod ids;
pub mod lockdown;
pub mod names;
pub mod namespace;
pub mod proc;
pub mod rights;
pub mod types;
