//! `trace check`: whether a report is as expected.
//!
//! `value` knows how values are typed, `vocabulary` the names, `expression` reads an expectation, `decide` answers it,
//! `junit` writes the answers for a CI server.

pub mod decide;
pub mod expression;
pub mod junit;
pub mod value;
pub mod vocabulary;

use crate::failure::Code;
use crate::figures::Figures;
use crate::report::sanitize::Terminal;
use crate::report::schema::Report;
use decide::{Answer, Outcome, decide};
use expression::Expectation;

/// The answers to all expectations, in their order.
pub fn check(expectations: &[Expectation], report: &Report) -> Vec<Answer> {
    let figures = Figures::of(report);
    expectations.iter().map(|expectation| decide(expectation, report, &figures)).collect()
}

/// The exit code that the answers come to; `None` if all hold.
pub fn code(answers: &[Answer]) -> Option<Code> {
    let any = |outcome| answers.iter().any(|answer| answer.outcome == outcome);
    match (any(Outcome::Fails), any(Outcome::Undecidable)) {
        (true, _) => Some(Code::ExpectationFailed),
        (false, true) => Some(Code::ExpectationUndecidable),
        (false, false) => None,
    }
}

/// One line for each answer, and one that counts them.
pub fn render(answers: &[Answer]) -> String {
    let mut text: String = answers.iter().map(|answer| line(answer) + "\n").collect();
    let count = |outcome| answers.iter().filter(|answer| answer.outcome == outcome).count();
    text += &format!(
        "{} of {} hold, {} failed, {} undecidable\n",
        count(Outcome::Holds),
        answers.len(),
        count(Outcome::Fails),
        count(Outcome::Undecidable)
    );
    text
}

fn line(answer: &Answer) -> String {
    let (mark, word) = match answer.outcome {
        Outcome::Holds => ("✓", "holds"),
        Outcome::Fails => ("✗", "failed"),
        Outcome::Undecidable => ("?", "undecidable"),
    };
    let measured = answer.measured.as_deref().unwrap_or("nothing");
    let why = answer.why.as_ref().map_or(String::new(), |why| format!(": {}", Terminal(why)));
    let expectation = Terminal(&answer.expectation);
    format!("{mark} {word:<11} {expectation}  (measured {}{why})", Terminal(measured))
}

#[cfg(test)]
mod tests {
    use trace_common::account::Account;

    use super::*;
    use crate::model::verdict::IoModel;
    use crate::report::{build, sample};
    use expression::parse;
    use vocabulary::Vocabulary;

    fn report() -> Report {
        let snapshot = sample::snapshot(4);
        build::build(&snapshot, &sample::verdicts(&snapshot))
    }

    fn answers(report: &Report, texts: &[&str]) -> Vec<Answer> {
        let vocabulary = Vocabulary::of(Some(report));
        let read = |text: &&str| parse(text, &vocabulary).expect("an expectation");
        check(&texts.iter().map(read).collect::<Vec<_>>(), report)
    }

    #[track_caller]
    fn all(report: &Report, outcome: Outcome, texts: &[&str]) {
        for answer in answers(report, texts) {
            assert_eq!(answer.outcome, outcome, "{answer:?}");
        }
    }

    #[test]
    fn what_is_so_holds_and_what_is_not_fails() {
        let report = report();
        all(
            &report,
            Outcome::Holds,
            &[
                "io_model=multiplexing",
                "io_model!=blocking",
                "io_model.confidence>=medium",
                "io_model.mechanism=epoll",
                "io_model.qualifier=none",
                "server_model=multi-reactor",
                "server_model.count=4",
                "shares.multiplexing>=0.9",
                "shares.asynchronous=0",
                "account.wait_ready.share>97%",
                "wait_ready.p99<=2ms",
                "wait_ready.count=1000",
                "loss.total=0",
                "loss.map_full=0",
                "finding.spins-before-sleep=absent",
                "threads<100",
                "connections=3",
                "window.duration=10s",
                "window.ended_by=duration",
                "calibration.exact=true",
            ],
        );
        all(
            &report,
            Outcome::Fails,
            &[
                "io_model=blocking",
                "io_model.confidence<high",
                "server_model.count>4",
                "account.wait_data.share>0.5",
                "wait_ready.max<=2ms",
                "finding.idle=present",
            ],
        );
    }

    #[test]
    fn what_was_not_measured_cannot_be_decided() {
        let mut report = report();
        all(
            &report,
            Outcome::Undecidable,
            &["turns.service_p99<=20ms", "wait_data.p99<=10ms", "upstream=blocking"],
        );
        let verdict = &mut report.verdict.io_model;
        (verdict.name, verdict.confidence) = (IoModel::Inconclusive, None);
        verdict.shares.clear();
        all(
            &report,
            Outcome::Undecidable,
            &["io_model=blocking", "io_model!=blocking", "io_model.confidence>=low", "shares.blocking>0.5"],
        );
        all(&report, Outcome::Holds, &["io_model=inconclusive"]);
        all(&report, Outcome::Fails, &["io_model!=inconclusive"]);
    }

    #[test]
    fn time_that_was_not_observed_may_be_anything() {
        let mut report = report();
        for thread in &mut report.processes[0].threads {
            let half = thread.ledger.ns(Account::WaitReady) / 2;
            thread.ledger.0.insert(Account::WaitReady, half);
            thread.ledger.0.insert(Account::Unknown, half);
        }
        all(&report, Outcome::Undecidable, &["account.wait_ready.share>=0.9", "account.wait_data.share<0.2"]);
        all(&report, Outcome::Holds, &["account.wait_ready.share>=0.4", "account.wait_data.share<0.6"]);
        all(&report, Outcome::Fails, &["account.unknown.share<0.4"]);
    }

    #[test]
    fn a_failure_outweighs_what_cannot_be_decided() {
        let report = report();
        let code = |texts: &[&str]| code(&answers(&report, texts));
        assert_eq!(code(&["threads=4"]), None);
        assert_eq!(code(&["threads=4", "turns.count>1"]), Some(Code::ExpectationUndecidable));
        assert_eq!(code(&["threads=5", "turns.count>1"]), Some(Code::ExpectationFailed));
    }

    #[test]
    fn each_answer_is_a_line_with_its_word_and_value_and_nothing_that_a_terminal_obeys() {
        let mut report = report();
        report.target.comm = Some("\x1b[2J".to_owned());
        let text =
            render(&answers(&report, &["threads=4", "threads=5", "turns.count=1", "target.comm=\x1b"]));
        assert_eq!(
            text,
            "✓ holds       threads=4  (measured 4)\n\
             ✗ failed      threads=5  (measured 4)\n\
             ? undecidable turns.count=1  (measured nothing: turns.count was not measured)\n\
             ✗ failed      target.comm=\\x1b  (measured \\x1b[2J)\n\
             1 of 4 hold, 2 failed, 1 undecidable\n"
        );
    }
}
