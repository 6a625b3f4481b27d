//! The JSON Schema of the report, generated from its types, so that it cannot differ from them.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::report::schema::{Report, VERSION};

/// The schema (draft 2020-12) of every report that this version writes.
///
/// Objects may have more properties than it names: fields are added within a major version.
pub fn document() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Report>();
    schema.insert("title".to_owned(), json!(format!("Report of trace, schema_version {VERSION}")));
    schema.to_value()
}

/// A field of the report, as the schema describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where it stands: `processes[].threads[].lived_ns`; `{}` is any key of a map.
    pub path: String,
    /// What it is, in the words of the type's documentation.
    pub text: String,
}

/// All fields of the report, in the order of their paths. A verdict within a verdict (`upstream`, `storage`) has the same
/// fields again, which are listed once.
pub fn fields() -> &'static [Field] {
    static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
        let root = document();
        let mut fields = Vec::new();
        walk(&root, &root, "", &mut Vec::new(), &mut fields);
        fields.sort_by(|a, b| a.path.cmp(&b.path));
        fields.dedup_by(|a, b| a.path == b.path);
        fields
    });
    &FIELDS
}

/// Adds the fields below `node`; `within` are the definitions that it is part of.
fn walk(root: &Value, node: &Value, path: &str, within: &mut Vec<String>, fields: &mut Vec<Field>) {
    if let Some(name) = node["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
        if within.iter().any(|outer| outer == name) {
            return;
        }
        within.push(name.to_owned());
        walk(root, &root["$defs"][name], path, within, fields);
        within.pop();
    }
    for choice in ["anyOf", "allOf", "oneOf"].into_iter().filter_map(|key| node[key].as_array()).flatten() {
        walk(root, choice, path, within, fields);
    }
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let text = property["description"].as_str().unwrap_or_default();
        fields.push(Field { path: path.clone(), text: plain(text) });
        walk(root, property, &path, within, fields);
    }
    if node["items"].is_object() {
        walk(root, &node["items"], &format!("{path}[]"), within, fields);
    }
    if node["additionalProperties"].is_object() {
        walk(root, &node["additionalProperties"], &format!("{path}.{{}}"), within, fields);
    }
}

/// A sentence of rustdoc without its links and line breaks.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("[`", "`").replace("`]", "`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;
    use crate::report::{build, sample};

    fn errors(instance: &Value) -> Vec<String> {
        let validator = jsonschema::draft202012::new(&document()).expect("the schema is one itself");
        validator.iter_errors(instance).map(|e| format!("{}: {e}", e.instance_path())).collect()
    }

    fn report() -> Value {
        let snapshot = sample::snapshot(2);
        serde_json::to_value(build::build(&snapshot, &model::classify(&snapshot))).expect("JSON")
    }

    #[test]
    fn it_is_a_schema_of_the_draft_that_it_names() {
        let schema = document();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(jsonschema::draft202012::meta::validate(&schema).is_ok());
    }

    #[test]
    fn a_report_is_valid_and_one_without_a_field_or_of_another_type_is_not() {
        assert_eq!(errors(&report()), Vec::<String>::new());
        for key in report().as_object().expect("an object").keys() {
            let mut less = report();
            less.as_object_mut().expect("an object").remove(key);
            assert!(!errors(&less).is_empty(), "{key} may be left out");
        }
        let mut other = report();
        other["processes"][0]["threads"][0]["ledger"]["copy_ns"] = json!("much");
        assert!(!errors(&other).is_empty());
        other = report();
        other["verdict"]["io_model"]["name"] = json!("telepathy");
        assert!(!errors(&other).is_empty());
        other = report();
        other["more"] = json!("a later version may");
        assert!(errors(&other).is_empty());
    }

    #[test]
    fn every_field_has_a_text_and_a_path() {
        let fields = fields();
        for field in fields {
            assert!(!field.text.is_empty(), "{} has no text", field.path);
        }
        for path in ["turns.count", "processes[].threads[].ledger.copy_ns", "verdict.io_model.evidence[].for"]
        {
            assert!(fields.iter().any(|f| f.path == path), "no {path}");
        }
    }
}
