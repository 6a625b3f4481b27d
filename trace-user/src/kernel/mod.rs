//! What this kernel is and allows: field offsets, capabilities, and what `/proc` tells.

pub mod btf;
pub mod caps;
pub mod names;
pub mod proc;
