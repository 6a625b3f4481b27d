//! `trace`: which I/O model a running process uses, and where its threads' time goes.
//!
//! One way through: hook → state machine → maps → snapshot → model → report.

pub mod check;
pub mod cli;
pub mod collect;
pub mod command;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod failure;
pub mod figures;
pub mod json_schema;
pub mod kernel;
pub mod model;
pub mod names;
pub mod plan;
pub mod redact;
pub mod report;
pub mod run;
pub mod saved;
pub mod snapshot;
pub mod target;
pub mod topics;
