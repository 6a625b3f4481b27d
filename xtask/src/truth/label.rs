//! What is known of the servers: labels, subsets, and reasons of disagreements. All are files in `truth/`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::axis::{Axis, Load};
use crate::workspace;

/// The models that an expert would accept, the preferred one first.
#[derive(Clone, Debug, Deserialize)]
pub struct Label {
    /// How callers wait.
    pub io_model: Vec<String>,
    /// How connections are spread.
    pub server_model: Vec<String>,
    /// What the label rests on.
    pub why: String,
}

/// Why configurations get another verdict than their label.
#[derive(Debug, Deserialize)]
pub struct Reason {
    axis: String,
    configurations: Vec<String>,
    loads: Vec<String>,
    reason: String,
}

impl Reason {
    fn is_for(&self, axis: Axis, name: &str, load: Load) -> bool {
        let is = |list: &[String], what: &str| list.iter().any(|entry| entry == what);
        self.axis == axis.name() && is(&self.configurations, name) && is(&self.loads, load.name())
    }
}

/// The known reason, or nothing.
pub fn reason<'a>(reasons: &'a [Reason], axis: Axis, name: &str, load: Load) -> &'a str {
    reasons.iter().find(|entry| entry.is_for(axis, name, load)).map_or("", |entry| &entry.reason)
}

/// All labels, by the configuration's name.
pub fn labels(root: &Path) -> Result<BTreeMap<String, Label>> {
    parse(&root.join("truth/expected.json"))
}

/// All known reasons.
pub fn reasons(root: &Path) -> Result<Vec<Reason>> {
    parse(&root.join("truth/reasons.json"))
}

fn parse<T: serde::de::DeserializeOwned>(file: &Path) -> Result<T> {
    let text = workspace::read_text(file)?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what it should be", file.display()))
}

/// The names in a file of `truth/subsets`: one a line, without those behind a `#`.
pub fn subset(root: &Path, name: &str) -> Result<Vec<String>> {
    Ok(names(&workspace::read_text(&root.join("truth/subsets").join(name))?))
}

fn names(text: &str) -> Vec<String> {
    let words = text.lines().filter_map(|line| line.split('#').next()).map(str::trim);
    words.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models_exist(axis: Axis, name: &str, models: &[String]) {
        assert!(!models.is_empty(), "{name}");
        assert!(models.iter().all(|model| axis.models().contains(&model.as_str())), "{name}: {models:?}");
    }

    #[test]
    fn every_server_has_a_label_and_every_label_a_server_and_models_that_exist() {
        let root = workspace::root();
        let labels = labels(&root).unwrap();
        assert!(labels.len() >= 60);
        for (name, label) in &labels {
            assert!(root.join(format!("truth/servers/{name}.sh")).exists(), "{name}");
            Axis::ALL.iter().for_each(|axis| models_exist(*axis, name, axis.accepted(label)));
        }
        let servers = std::fs::read_dir(root.join("truth/servers")).unwrap();
        assert_eq!(servers.count(), labels.len());
    }

    #[test]
    fn the_subset_of_ci_and_the_reasons_name_configurations_that_exist() {
        let root = workspace::root();
        let labels = labels(&root).unwrap();
        let subset = subset(&root, "ci").unwrap();
        assert!(subset.len() >= 12);
        let explained = reasons(&root).unwrap().into_iter().flat_map(|reason| reason.configurations);
        for name in subset.into_iter().chain(explained) {
            assert!(labels.contains_key(&name), "{name}");
        }
    }

    #[test]
    fn a_subset_may_say_why() {
        assert_eq!(names("# short\nredis  # a loop\n\n nginx-1w\n"), ["redis", "nginx-1w"]);
    }
}
