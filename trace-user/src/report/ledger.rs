//! The time ledger as it is written.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use trace_common::account::Account;

/// Time by account. Written as one `<account>_ns` key for each of [`Account::ALL`], in their order; `null` for those that
/// the tier does not measure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger(pub BTreeMap<Account, u64>);

impl Ledger {
    /// Time in `account`.
    pub fn ns(&self, account: Account) -> u64 {
        self.0.get(&account).copied().unwrap_or(0)
    }

    /// Nothing in each of the accounts that `kind` holds for; the others are not measured.
    pub fn zero(kind: impl Fn(Account) -> bool) -> Ledger {
        Ledger(Account::ALL.into_iter().filter(|&a| kind(a)).map(|a| (a, 0)).collect())
    }

    /// Whether time in `account` was measured.
    pub fn has(&self, account: Account) -> bool {
        self.0.contains_key(&account)
    }

    /// Adds `other` to it.
    pub fn add(&mut self, other: &BTreeMap<Account, u64>) {
        for (&account, &ns) in other {
            *self.0.entry(account).or_default() += ns;
        }
    }

    /// Time in the accounts that `kind` holds for.
    pub fn sum(&self, kind: impl Fn(Account) -> bool) -> u64 {
        Account::ALL.into_iter().filter(|&a| kind(a)).map(|a| self.ns(a)).sum()
    }
}

impl Serialize for Ledger {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Account::ALL.map(|a| (format!("{}_ns", a.name()), self.0.get(&a))))
    }
}

impl<'de> Deserialize<'de> for Ledger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ledger, D::Error> {
        let by_key = BTreeMap::<String, Option<u64>>::deserialize(deserializer)?;
        let ns = |a: Account| Some((a, by_key.get(&format!("{}_ns", a.name())).copied().unwrap_or(Some(0))?));
        Ok(Ledger(Account::ALL.into_iter().filter_map(ns).collect()))
    }
}

impl JsonSchema for Ledger {
    fn schema_name() -> Cow<'static, str> {
        "Ledger".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let keys = Account::ALL.map(|a| format!("{}_ns", a.name()));
        let time = |key: &String| {
            let text = format!(
                "Time in the account {}, ns; null where the tier lacks it.",
                key.trim_end_matches("_ns")
            );
            (key.clone(), serde_json::json!({"type": ["integer", "null"], "minimum": 0, "description": text}))
        };
        let properties: serde_json::Map<String, serde_json::Value> = keys.iter().map(time).collect();
        json_schema!({
            "type": "object",
            "description": "Time by account, ns; adds up to the time lived in the window.",
            "properties": properties,
            "required": keys,
        })
    }
}
