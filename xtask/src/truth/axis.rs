//! What is compared: two axes at three loads.

use std::fmt;

use super::label::Label;
use super::report::{Reading, Verdict};

/// The verdict of a tool that does not commit itself.
pub const INCONCLUSIVE: &str = "inconclusive";

/// How much a server has to do while it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Load {
    /// Nobody asks it anything.
    None,
    /// A single client over a single connection.
    One,
    /// Several connections.
    Many,
}

impl Load {
    /// From the least to the most.
    pub const ALL: [Load; 3] = [Load::None, Load::One, Load::Many];

    /// As `truth/lab` and the page call it.
    pub fn name(self) -> &'static str {
        match self {
            Load::None => "none",
            Load::One => "one",
            Load::Many => "many",
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// One of the two questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// How does a caller wait?
    Io,
    /// How are connections spread?
    Server,
}

impl Axis {
    /// Both.
    pub const ALL: [Axis; 2] = [Axis::Io, Axis::Server];

    /// The field of the report.
    pub fn name(self) -> &'static str {
        match self {
            Axis::Io => "io_model",
            Axis::Server => "server_model",
        }
    }

    /// What may be expected or said (DESIGN §2 and §3), in the order of the page's tables.
    pub fn models(self) -> &'static [&'static str] {
        match self {
            Axis::Io => &[
                "blocking",
                "nonblocking",
                "multiplexing",
                "signal-driven",
                "asynchronous",
                "mixed",
                INCONCLUSIVE,
            ],
            Axis::Server => &[
                "iterative",
                "thread-per-connection",
                "process-per-connection",
                "thread-pool",
                "process-pool",
                "single-reactor",
                "reactor-with-workers",
                "multi-reactor",
                "proactor",
                "none",
                INCONCLUSIVE,
            ],
        }
    }

    /// The accepted answers, the preferred one first.
    pub fn accepted(self, label: &Label) -> &[String] {
        match self {
            Axis::Io => &label.io_model,
            Axis::Server => &label.server_model,
        }
    }

    /// The answer.
    pub fn verdict(self, reading: &Reading) -> &Verdict {
        match self {
            Axis::Io => &reading.verdict.io_model,
            Axis::Server => &reading.verdict.server_model,
        }
    }
}
