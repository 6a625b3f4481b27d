//! What the numbers of a saved snapshot come to. A file is not to be trusted, and everything beyond this adds
//! them up.
//!
//! Where all integers of a file together are below 2⁶³, no sum of some of them overflows, not even one that counts
//! each twice. This is checked once, here, and not at every addition of the model and the reports.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The integers of a snapshot together stay below this. A thousand threads reach it after some weeks: each nanosecond
/// stands in four or five places.
pub const MAX_SUM: u128 = 1 << 63;

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// All integers that are ever added up.
    pub sum: u128,
    /// Values of any kind, which bounds the memory that they take.
    pub values: u64,
}

/// Weighs a document.
///
/// # Errors
/// If it is no JSON.
pub fn weigh(json: &[u8]) -> serde_json::Result<Weight> {
    let mut weight = Weight::default();
    let mut document = serde_json::Deserializer::from_slice(json);
    Scale { weight: &mut weight, place: Place::Document }.deserialize(&mut document)?;
    document.end()?;
    Ok(weight)
}

/// Where in the document a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Document,
    Snapshot,
    Turns,
    Distributions,
    Buckets,
    Bucket,
    /// What is added up.
    Summed,
    /// What is only shown.
    Shown,
}

impl Place {
    fn field(self, name: &str) -> Place {
        match (self, name) {
            (Place::Document, "snapshot") => Place::Snapshot,
            (Place::Snapshot, "turns") => Place::Turns,
            (Place::Snapshot, "distributions") | (Place::Turns, "times") => Place::Distributions,
            // They hold moments of a clock.
            (Place::Snapshot, "calls" | "timeline") => Place::Shown,
            (Place::Distributions, _) => Place::Buckets,
            (Place::Shown, _) => Place::Shown,
            _ => Place::Summed,
        }
    }

    fn element(self, index: usize) -> Place {
        match (self, index) {
            (Place::Buckets, _) => Place::Bucket,
            // The largest value of a bucket; that of the last is 2⁶⁴ − 1.
            (Place::Bucket, 0) | (Place::Shown, _) => Place::Shown,
            _ => Place::Summed,
        }
    }
}

/// One value on the scale.
struct Scale<'a> {
    weight: &'a mut Weight,
    place: Place,
}

impl Scale<'_> {
    fn put(self, n: u64) {
        self.weight.values += 1;
        if self.place != Place::Shown {
            self.weight.sum += u128::from(n);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Scale<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scale<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<(), E> {
        self.put(n);
        Ok(())
    }

    fn visit_i64<E: Error>(self, n: i64) -> Result<(), E> {
        self.put(n.unsigned_abs());
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.put(0);
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.put(0);
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.put(0);
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.put(0);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Scale { weight, place } = self;
        weight.values += 1;
        let mut index = 0;
        while elements.next_element_seed(Scale { weight, place: place.element(index) })?.is_some() {
            index += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Scale { weight, place } = self;
        weight.values += 1;
        while let Some(place) = fields.next_key_seed(Field(place))? {
            fields.next_value_seed(Scale { weight, place })?;
        }
        Ok(())
    }
}

/// A name of a field, as the place that it leads to.
struct Field(Place);

impl<'de> DeserializeSeed<'de> for Field {
    type Value = Place;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Place, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Field {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Place, E> {
        Ok(self.0.field(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(json: &str) -> u128 {
        weigh(json.as_bytes()).expect("JSON").sum
    }

    #[test]
    fn everything_that_is_added_up_is_weighed() {
        assert_eq!(
            sum(r#"{"snapshot": {"threads": [{"a": 1, "calls": [2]}, {"b": [[3, 4]]}], "c": 5}}"#),
            15
        );
        assert_eq!(sum(r#"{"snapshot": {"a": -7, "b": 0.5, "c": "9", "d": null, "e": true}}"#), 7);
        assert_eq!(sum("[18446744073709551615, 18446744073709551615]"), 2 * u128::from(u64::MAX));
    }

    #[test]
    fn edges_of_buckets_and_moments_are_not() {
        let json = r#"{"snapshot": {"distributions": {"copy": [[18446744073709551615, 3], [9, 4]]}, "calls": [{"at": 9}],
            "timeline": {"threads": [{"spans": [[1, 2, 3]]}]},
            "turns": {"totals": {"count": 1}, "times": {"build": [[18446744073709551615, 2]]}}}}"#;
        assert_eq!(sum(json), 10);
    }

    #[test]
    fn values_are_counted_with_what_holds_them() {
        assert_eq!(weigh(br#"{"a": [1, "x", []]}"#).expect("JSON").values, 5);
        assert!(weigh(b"{} {}").is_err() && weigh(b"{").is_err());
    }
}
