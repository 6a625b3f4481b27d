//! Values that expectations are about: what kinds there are, how they are typed, and how they compare.

use std::cmp::Ordering;
use std::fmt;

use crate::model::verdict::Confidence;
use crate::names::{self, nearest};
use crate::report::unit;

/// What a quantity is measured in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of these names.
    Choice(Vec<String>),
    /// Any text.
    Text,
    /// `low`, `medium` or `high`.
    Confidence,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count,
    /// A time.
    Time,
    /// A part of a whole, 0…1; also typed in percent.
    Share,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A name, or any text.
    Text(String),
    /// A confidence.
    Confidence(Confidence),
    /// A flag.
    Flag(bool),
    /// A whole number.
    Count(u64),
    /// A time in ns.
    Time(f64),
    /// A part of a whole, 0…1.
    Share(f64),
}

impl Kind {
    /// Reads a value as it is typed.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        match self {
            Kind::Choice(names) => choice(text, names).map(Value::Text),
            Kind::Text if text.is_empty() => Err("nothing stands after the comparison".to_owned()),
            Kind::Text => Ok(Value::Text(text.to_owned())),
            Kind::Confidence => {
                let names: Vec<String> = names::CONFIDENCES.map(|c| names::confidence(c).to_owned()).into();
                let name = choice(text, &names)?;
                let found = names::CONFIDENCES.into_iter().find(|c| names::confidence(*c) == name);
                found.map(Value::Confidence).ok_or(name)
            }
            Kind::Flag => {
                choice(text, &["true".to_owned(), "false".to_owned()]).map(|name| Value::Flag(name == "true"))
            }
            Kind::Count => count(text).map(Value::Count),
            Kind::Time => time(text).map(Value::Time),
            Kind::Share => share(text).map(Value::Share),
        }
    }

    /// Whether one value of it can be more than another.
    pub fn is_ordered(&self) -> bool {
        !matches!(self, Kind::Choice(_) | Kind::Text | Kind::Flag)
    }
}

impl Value {
    /// How it compares with another one of its kind; `None` for another kind.
    pub fn compare(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::Confidence(a), Value::Confidence(b)) => Some(a.cmp(b)),
            (Value::Flag(a), Value::Flag(b)) => Some(a.cmp(b)),
            (Value::Count(a), Value::Count(b)) => Some(a.cmp(b)),
            (Value::Time(a), Value::Time(b)) | (Value::Share(a), Value::Share(b)) => a.partial_cmp(b),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Confidence(confidence) => f.write_str(names::confidence(*confidence)),
            Value::Flag(flag) => write!(f, "{flag}"),
            Value::Count(n) => f.write_str(&unit::count(*n)),
            Value::Time(ns) => f.write_str(&unit::time(*ns as u64)),
            // More digits than a table has: what was compared has to be seen.
            Value::Share(share) => write!(f, "{share:.4}"),
        }
    }
}

fn choice(text: &str, names: &[String]) -> Result<String, String> {
    if names.iter().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    Err(match nearest(text, names.iter().map(String::as_str)) {
        Some(near) => format!("{text:?} is no value of it; did you mean {near}?"),
        None => format!("{text:?} is no value of it; it is one of {}", names.join(", ")),
    })
}

fn count(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(n) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(n),
        _ => Err(format!("{text:?} is no count; it is a whole number, like 100")),
    }
}

/// Digits with at most one point, and no sign or exponent.
fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && !text.ends_with('.');
    text.parse().ok().filter(|n: &f64| plain && n.is_finite())
}

fn time(text: &str) -> Result<f64, String> {
    let known = "a time is a number with ns, us, ms, s, m or h, like 10ms";
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, unit) = text.split_at(at);
    let ns = match unit.trim_start() {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3600e9,
        "" if digits == "0" => 1.0,
        "" => return Err(format!("{text:?} has no unit; {known}")),
        _ => return Err(format!("{text:?} is no time; {known}")),
    };
    let n = number(digits).ok_or_else(|| format!("{text:?} is no time; {known}"))?;
    // The longest time that a report can hold.
    Some(n * ns).filter(|ns| *ns < u64::MAX as f64).ok_or_else(|| format!("{text:?} is too long"))
}

fn share(text: &str) -> Result<f64, String> {
    let wrong = || format!("{text:?} is no share; it is 0 to 1, like 0.9, or 0% to 100%");
    let share = match text.strip_suffix('%') {
        Some(percent) => number(percent.trim_end()).map(|n| n / 100.0),
        None => number(text),
    };
    share.filter(|s| *s <= 1.0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        let cases =
            [("10ms", 1e7), ("1.5 s", 1.5e9), ("20us", 2e4), ("20µs", 2e4), ("0", 0.0), ("2h", 7.2e12)];
        for (text, ns) in cases {
            assert_eq!(Kind::Time.parse(text), Ok(Value::Time(ns)), "{text}");
        }
        for text in
            ["", "10", "ms", "-1ms", "1e3s", "1.2.3s", "1.s", "10 parsecs", "nan", "9999999999999999h"]
        {
            assert!(Kind::Time.parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_up_to_one_or_a_hundred_percent() {
        assert_eq!(Kind::Share.parse("0.9"), Ok(Value::Share(0.9)));
        assert_eq!(Kind::Share.parse("90%"), Ok(Value::Share(0.9)));
        for text in ["", "1.1", "101%", "-0.1", "%", "inf", "0,5"] {
            assert!(Kind::Share.parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_are_whole_and_names_are_known() {
        assert_eq!(Kind::Count.parse("100"), Ok(Value::Count(100)));
        assert!(
            ["", "+1", "-1", "1.5", "99999999999999999999"].iter().all(|t| Kind::Count.parse(t).is_err())
        );
        assert_eq!(Kind::Confidence.parse("high"), Ok(Value::Confidence(Confidence::High)));
        assert!(Kind::Confidence.parse("hihg").is_err_and(|e| e.contains("did you mean high?")));
        assert!(Kind::Flag.parse("yes").is_err());
    }
}
