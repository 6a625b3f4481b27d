//! Expectations of `trace check`: whatever is typed, it is refused in words or decided.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use trace_user::check::decide::decide;
use trace_user::check::expression::parse;
use trace_user::check::vocabulary::Vocabulary;
use trace_user::check::{junit, render};
use trace_user::figures::Figures;
use trace_user::report::sanitize::is_hostile;
use trace_user::report::schema::Report;
use trace_user::saved;

/// What the expectations are held against: a measurement of a real server.
static REPORT: LazyLock<Report> = LazyLock::new(|| {
    let bytes = include_bytes!("../../truth/snapshots/redis-many.trace");
    saved::decode(bytes).expect("a saved measurement").into_report()
});
static FIGURES: LazyLock<Figures> = LazyLock::new(|| Figures::of(&REPORT));
static NAMES: LazyLock<Vocabulary> = LazyLock::new(|| Vocabulary::of(Some(&REPORT)));

fuzz_target!(|text: &str| match parse(text, &NAMES) {
    Ok(expectation) => {
        let answers = [decide(&expectation, &REPORT, &FIGURES)];
        let said = render(&answers);
        assert!(!said.chars().any(|c| c != '\n' && is_hostile(c)), "{said:?}");
        let xml = junit::document("fuzz", &answers).expect("a document");
        assert!(xml.starts_with("<?xml"));
    }
    Err(misspelt) => assert!(!misspelt.why.is_empty() && !misspelt.fix.is_empty()),
});
