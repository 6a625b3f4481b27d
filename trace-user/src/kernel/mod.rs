//! What this kernel is and allows: field offsets, and what `/proc` tells.

pub mod btf;
pub mod container;
pub mod names;
pub mod proc;
