//! Figures that a tier may not give: `null` where they were not measured.

use std::borrow::Cow;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A figure, or that it was not measured. It then reads as nothing, so that sums need not ask; whoever shows it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured<T> {
    value: T,
    known: bool,
}

impl<T: Default> Measured<T> {
    /// `value`, if it was measured.
    pub fn when(known: bool, value: T) -> Measured<T> {
        Measured { value: if known { value } else { T::default() }, known }
    }
}

impl<T> Measured<T> {
    /// Whether it was measured.
    pub const fn is_known(&self) -> bool {
        self.known
    }
}

impl<T: Default> Default for Measured<T> {
    fn default() -> Self {
        Measured { value: T::default(), known: true }
    }
}

impl<T> Deref for Measured<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Serialize> Serialize for Measured<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.known.then_some(&self.value).serialize(serializer)
    }
}

impl<'de, T: Default + Deserialize<'de>> Deserialize<'de> for Measured<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Measured<T>, D::Error> {
        let value = Option::<T>::deserialize(deserializer)?;
        Ok(Measured { known: value.is_some(), value: value.unwrap_or_default() })
    }
}

impl<T: JsonSchema> JsonSchema for Measured<T> {
    fn schema_name() -> Cow<'static, str> {
        Option::<T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<T>::json_schema(generator)
    }

    fn inline_schema() -> bool {
        Option::<T>::inline_schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_null_and_reads_as_nothing() {
        let json = |m: &Measured<u64>| serde_json::to_string(m).expect("JSON");
        let [known, unknown] = [true, false].map(|known| Measured::when(known, 7));
        assert_eq!((json(&known), *known), ("7".to_owned(), 7));
        assert_eq!((json(&unknown), *unknown), ("null".to_owned(), 0));
        assert_eq!(serde_json::from_str::<Measured<u64>>("null").expect("a figure"), unknown);
        assert_eq!(serde_json::from_str::<Measured<u64>>("7").expect("a figure"), known);
    }
}
