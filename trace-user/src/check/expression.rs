//! Expectations as they are typed: `NAME COMPARISON VALUE`, without a comparison of two names or an operator between
//! expectations.

use std::cmp::Ordering;

use super::value::{Kind, Value};
use super::vocabulary::{Quantity, Vocabulary};

/// How a measured value is to compare with the wanted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    Other,
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `<`
    Less,
}

/// Longer ones first, since `>` begins `>=`.
const COMPARISONS: [(&str, Comparison); 7] = [
    ("!=", Comparison::Other),
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    ("==", Comparison::Equal),
    ("=", Comparison::Equal),
    (">", Comparison::More),
    ("<", Comparison::Less),
];

/// Something that a report is expected to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// As it was typed.
    pub text: String,
    /// What is looked at.
    pub quantity: Quantity,
    /// How it is to compare.
    pub comparison: Comparison,
    /// With what.
    pub wanted: Value,
}

/// Why a text is no expectation, and what would be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misspelt {
    /// What is wrong.
    pub why: String,
    /// What to type instead.
    pub fix: String,
}

impl Comparison {
    /// Whether it holds where a measured value compares so with the wanted one.
    pub fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::Other => ordering.is_ne(),
            Comparison::AtLeast => ordering.is_ge(),
            Comparison::AtMost => ordering.is_le(),
            Comparison::More => ordering.is_gt(),
            Comparison::Less => ordering.is_lt(),
        }
    }

    fn needs_order(self) -> bool {
        !matches!(self, Comparison::Equal | Comparison::Other)
    }
}

/// Reads an expectation.
///
/// # Errors
/// With the nearest name where one is misspelt; no text makes it panic.
pub fn parse(text: &str, vocabulary: &Vocabulary) -> Result<Expectation, Misspelt> {
    let (name, comparison, wanted) = split(text)?;
    let Some(entry) = vocabulary.find(name) else {
        let fix = match vocabulary.nearest(name) {
            Some(near) => format!("did you mean {near}? All names: trace check --names"),
            None => "all names: trace check --names".to_owned(),
        };
        return Err(Misspelt { why: format!("{name:?} is no name that can be checked"), fix });
    };
    if comparison.needs_order() && !entry.kind.is_ordered() {
        let why = format!("{name} is one of several, and none of them is more than another");
        return Err(Misspelt { why, fix: format!("{name}={wanted} or {name}!={wanted}") });
    }
    let value = entry.kind.parse(wanted).map_err(|why| Misspelt { why, fix: example(name, &entry.kind) })?;
    Ok(Expectation {
        text: text.trim().to_owned(),
        quantity: entry.quantity.clone(),
        comparison,
        wanted: value,
    })
}

fn split(text: &str) -> Result<(&str, Comparison, &str), Misspelt> {
    let at = text.find(['=', '<', '>', '!']).unwrap_or(text.len());
    let (name, rest) = text.split_at(at);
    let found =
        COMPARISONS.iter().find_map(|(sign, comparison)| Some((rest.strip_prefix(sign)?, *comparison)));
    match found {
        Some((wanted, comparison)) => Ok((name.trim(), comparison, wanted.trim())),
        None => Err(Misspelt {
            why: "it has no comparison: =, !=, >=, <=, > or <".to_owned(),
            fix: "NAME=VALUE, like io_model=multiplexing or wait_data.p99<=10ms".to_owned(),
        }),
    }
}

fn example(name: &str, kind: &Kind) -> String {
    match kind {
        Kind::Choice(names) => format!("{name}={}", names.join(" or ")),
        Kind::Text => format!("{name}=TEXT"),
        Kind::Confidence => format!("{name}>=medium"),
        Kind::Flag => format!("{name}=true"),
        Kind::Count => format!("{name}<=100"),
        Kind::Time => format!("{name}<=10ms"),
        Kind::Share => format!("{name}>=0.9"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Expectation, Misspelt> {
        parse(text, &Vocabulary::of(None))
    }

    #[test]
    fn every_kind_of_expectation_is_read() {
        for text in [
            "io_model=multiplexing",
            "io_model.confidence>=medium",
            "server_model=multi-reactor",
            "server_model.count=4",
            "shares.multiplexing>=0.9",
            "account.wait_data.share<0.5",
            "wait_data.p99<=10ms",
            "turns.service_p99<=20ms",
            "loss.total=0",
            "loss.map_full=0",
            "finding.spins-before-sleep=absent",
            "threads<100",
            " threads < 100 ",
            "io_model != blocking",
        ] {
            assert!(read(text).is_ok(), "{text}: {:?}", read(text));
        }
        let read = read("wait_data.p99<=10ms").expect("an expectation");
        assert_eq!((read.comparison, read.wanted), (Comparison::AtMost, Value::Time(1e7)));
    }

    #[test]
    fn a_misspelt_name_or_value_is_answered_with_the_nearest() {
        let fix = |text: &str| read(text).expect_err("misspelt").fix;
        assert!(fix("io_modell=blocking").contains("did you mean io_model?"));
        assert!(fix("wait_dta.p99<1s").contains("did you mean wait_data.p99?"));
        assert!(fix("loss.map_ful=0").contains("did you mean loss.map_full?"));
        assert!(fix("finding.spin-before-sleep=absent").contains("did you mean finding.spins-before-sleep?"));
        assert!(
            read("io_model=multiplexng").expect_err("misspelt").why.contains("did you mean multiplexing?")
        );
        assert!(fix("io_model>blocking").contains("io_model=blocking"));
        assert!(fix("threads").contains("NAME=VALUE"));
        assert!(fix("threads<=10ms").contains("threads<=100"));
    }

    #[test]
    fn comparisons_are_those_of_mathematics() {
        use Comparison::{AtLeast, AtMost, Equal, Less, More, Other};
        let holds = |ordering| [Equal, Other, AtLeast, AtMost, More, Less].map(|c| c.holds(ordering));
        assert_eq!(holds(Ordering::Less), [false, true, false, true, false, true]);
        assert_eq!(holds(Ordering::Equal), [true, false, true, true, false, false]);
        assert_eq!(holds(Ordering::Greater), [false, true, true, false, true, false]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = read(&text);
        }

        #[test]
        fn no_value_makes_it_panic(name in 0usize..400, sign in "[=<>!]{1,2}", value in any::<String>()) {
            let vocabulary = Vocabulary::of(None);
            let entries = vocabulary.entries();
            let _ = parse(&format!("{}{sign}{value}", entries[name % entries.len()].name), &vocabulary);
        }

        #[test]
        fn blanks_around_its_parts_mean_nothing(n in any::<u64>(), a in " {0,3}", b in " {0,3}", c in " {0,3}") {
            let tight = read(&format!("threads<={n}")).expect("an expectation");
            let wide = read(&format!("{a}threads{b}<={c}{n}{a}")).expect("an expectation");
            prop_assert_eq!((tight.quantity, tight.wanted), (wide.quantity, wide.wanted));
        }
    }
}
