//! The JSON report of `trace`, as far as it is compared.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::workspace;

/// A report.
#[derive(Clone, Debug, Deserialize)]
pub struct Reading {
    /// What measured.
    pub tool: Tool,
    /// Where.
    pub host: Host,
    /// When.
    pub window: Window,
    /// What it says.
    pub verdict: Verdicts,
}

/// What measured.
#[derive(Clone, Debug, Deserialize)]
pub struct Tool {
    /// Its release.
    pub version: String,
}

/// Where.
#[derive(Clone, Debug, Deserialize)]
pub struct Host {
    /// The kernel's release.
    pub kernel: String,
}

/// When.
#[derive(Clone, Debug, Deserialize)]
pub struct Window {
    /// RFC 3339.
    pub started_at: String,
    /// Its length.
    pub duration_ns: u64,
}

/// Both answers.
#[derive(Clone, Debug, Deserialize)]
pub struct Verdicts {
    /// How callers wait.
    pub io_model: Verdict,
    /// How connections are spread.
    pub server_model: Verdict,
}

/// One answer.
#[derive(Clone, Debug, Deserialize)]
pub struct Verdict {
    /// The model.
    pub name: String,
    /// `high`, `medium`, `low`, or nothing where there is no answer.
    pub confidence: Option<String>,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// The models that were left.
    pub alternatives: Vec<Alternative>,
}

impl Verdict {
    /// The model and how sure it is.
    pub fn text(&self) -> String {
        match &self.confidence {
            Some(confidence) => format!("{} ({confidence})", self.name),
            None => self.name.clone(),
        }
    }
}

/// A fact for or against an answer.
#[derive(Clone, Debug, Deserialize)]
pub struct Evidence {
    /// Its name.
    pub code: String,
    /// In words.
    pub text: String,
    /// Whether it speaks for the answer.
    #[serde(rename = "for")]
    pub supports: bool,
}

/// A model that was left.
#[derive(Clone, Debug, Deserialize)]
pub struct Alternative {
    /// The model.
    pub name: String,
}

/// Reads a report.
///
/// # Errors
/// When there is none, or one of another schema.
pub fn read(file: &Path) -> Result<Reading> {
    let text = workspace::read_text(file)?;
    serde_json::from_str(&text).with_context(|| format!("cannot understand {}", file.display()))
}
