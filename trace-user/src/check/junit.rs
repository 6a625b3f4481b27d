//! The answers as JUnit XML, which CI servers show.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::decide::{Answer, Outcome};
use crate::report::sanitize::Terminal;

/// The document: a suite with the name of the file that was checked, and a case for each expectation. What cannot be
/// decided is an error of its case: it is no failure, but nobody should take it for a success.
///
/// # Errors
/// None of these strings can fail.
pub fn document(file: &str, answers: &[Answer]) -> Result<String, quick_junit::SerializeError> {
    let mut suite = TestSuite::new(clean(file));
    suite.add_test_cases(answers.iter().map(case));
    let mut report = Report::new("trace check");
    report.add_test_suite(suite);
    report.to_string()
}

fn case(answer: &Answer) -> TestCase {
    let measured = format!("measured {}", answer.measured.as_deref().unwrap_or("nothing"));
    let message = clean(&answer.why.as_ref().map_or(measured.clone(), |why| format!("{measured}: {why}")));
    let bad = |kind, name: &str| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_message(message.clone()).set_type(name);
        status
    };
    let status = match answer.outcome {
        Outcome::Holds => TestCaseStatus::success(),
        Outcome::Fails => bad(NonSuccessKind::Failure, "failed"),
        Outcome::Undecidable => bad(NonSuccessKind::Error, "undecidable"),
    };
    let mut case = TestCase::new(clean(&answer.expectation), status);
    case.set_classname("trace.check").set_system_out(message);
    case
}

/// The writer escapes what is markup; this takes care of what a terminal would obey.
fn clean(text: &str) -> String {
    Terminal(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(expectation: &str, outcome: Outcome) -> Answer {
        Answer { expectation: expectation.to_owned(), outcome, measured: Some("4".to_owned()), why: None }
    }

    #[test]
    fn failures_and_errors_are_counted_and_strings_are_inert() {
        let answers = [
            answer("threads=4", Outcome::Holds),
            answer("a<b&\"]]>\x1b\u{202e}", Outcome::Fails),
            answer("turns.count=1", Outcome::Undecidable),
        ];
        let xml = document("</testsuite>\0.trace", &answers).expect("XML");
        assert!(
            xml.contains("tests=\"3\"") && xml.contains("failures=\"1\"") && xml.contains("errors=\"1\""),
            "{xml}"
        );
        assert!(xml.contains("a&lt;b&amp;"), "{xml}");
        assert_eq!(xml.matches("</testsuite>").count(), 1, "{xml}");
        assert!(!xml.chars().any(|c| c != '\n' && crate::report::sanitize::is_hostile(c)), "{xml}");
    }
}
