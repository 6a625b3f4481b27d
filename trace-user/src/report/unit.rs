//! Numbers for people: three significant digits and a unit.

/// A time: `1.23 ms`.
pub fn time(ns: u64) -> String {
    let (number, unit) = scaled_time(ns);
    format!("{number} {unit}")
}

/// A time without the blank, for narrow cells; at most 6 columns below 41 years.
pub fn tight_time(ns: u64) -> String {
    let (number, unit) = scaled_time(ns);
    format!("{number}{unit}")
}

/// `part` of `whole` in percent: `98.1%`; an empty whole has no parts.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".into();
    }
    percent_of_share(part as f64 / whole as f64)
}

/// A share in percent. What is more than nothing never shows as `0.0%`.
pub fn percent_of_share(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p <= 0.0 => "0%".into(),
        p if p < 0.1 => "<0.1%".into(),
        p if p < 99.95 => format!("{p:.1}%"),
        p => format!("{p:.0}%"),
    }
}

/// A count with its thousands apart: `12,345`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size: `1.23 MB`, in powers of 1000.
pub fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{} kB", three_digits(n as f64 / 1e3)),
        1_000_000..1_000_000_000 => format!("{} MB", three_digits(n as f64 / 1e6)),
        _ => format!("{} GB", three_digits(n as f64 / 1e9)),
    }
}

/// A measured value or a threshold, which may be a share or a count.
pub fn value(v: f64) -> String {
    if v.fract() == 0.0 && v.abs() < 1e15 { format!("{v:.0}") } else { format!("{v:.2}") }
}

/// `1 thread`, `2 threads`.
pub fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

fn scaled_time(ns: u64) -> (String, &'static str) {
    let n = ns as f64;
    match ns {
        0..1_000 => (ns.to_string(), "ns"),
        1_000..999_500 => (three_digits(n / 1e3), "µs"),
        999_500..999_500_000 => (three_digits(n / 1e6), "ms"),
        999_500_000..999_500_000_000 => (three_digits(n / 1e9), "s"),
        _ => (three_digits(n / 3.6e12), "h"),
    }
}

fn three_digits(x: f64) -> String {
    match x {
        x if x < 9.995 => format!("{x:.2}"),
        x if x < 99.95 => format!("{x:.1}"),
        x => format!("{x:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_unit() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_234, "1.23 µs"),
            (999_999, "1.00 ms"),
            (45_100_000, "45.1 ms"),
            (10_000_000_000, "10.0 s"),
            (3_600_000_000_000, "1.00 h"),
        ];
        for (ns, text) in cases {
            assert_eq!(time(ns), text);
            assert!(tight_time(ns).chars().count() <= 6);
        }
    }

    #[test]
    fn something_is_never_shown_as_nothing() {
        assert_eq!(percent(1, 1_000_000), "<0.1%");
        assert_eq!(percent(0, 10), "0%");
        assert_eq!(percent(0, 0), "–");
        assert_eq!(percent(10, 10), "100%");
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(123), "123");
    }
}
