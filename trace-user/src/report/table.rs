//! The default report: for an expert at a terminal, the answer first, then the figures, then how far to trust
//! them.

use super::schema::Report;
use super::text::Page;
use super::{Layout, exchanges, identity, ledger_table, phases, trust, unit, verdict_text};
use crate::snapshot::EndedBy;

/// The report in lines of at most 80 columns.
pub fn render(report: &Report, layout: Layout) -> String {
    let mut page = Page::default();
    head(&mut page, report);
    verdict_text::io_model(&mut page, report);
    verdict_text::server_model(&mut page, &report.verdict.server_model);
    verdict_text::findings(&mut page, &report.findings);
    ledger_table::ledger(&mut page, report, layout);
    phases::phases(&mut page, report);
    phases::calls(&mut page, report);
    exchanges::exchanges(&mut page, report);
    if layout.advise {
        exchanges::advice(&mut page, report);
    }
    exchanges::loops(&mut page, report);
    phases::peers(&mut page, &report.peers);
    trust::trust(&mut page, report);
    page.finish()
}

fn head(page: &mut Page, report: &Report) {
    let target = &report.target;
    let comm = target.comm.as_deref().unwrap_or("(no name)");
    page.paragraph(
        2,
        &format!(
            "{comm} {}: {}, {}; {}, {}",
            identity::place(report),
            unit::plural(target.processes, "process", "processes"),
            unit::plural(target.threads, "thread", "threads"),
            unit::time(report.window.duration_ns),
            match report.window.ended_by {
                EndedBy::Duration => "the whole window",
                EndedBy::Interrupt => "ended by a signal",
                EndedBy::TargetExit => "ended with the target",
                EndedBy::Overhead => "ended by its cost",
                EndedBy::Open => "so far",
            },
        ),
    );
    if let Some(exe) = &target.exe {
        page.paragraph(2, exe);
    }
    identity::sentences(report).iter().for_each(|sentence| page.paragraph(2, sentence));
}

#[cfg(test)]
mod tests {
    use tabled::grid::util::string::get_line_width;
    use trace_common::account::Account;

    use super::super::{Format, build, render, sample};
    use super::*;
    use crate::model::verdict::{Alternative, IoModel};

    fn text(snapshot: &crate::snapshot::Snapshot, threads: bool) -> String {
        let report = build::build(snapshot, &sample::verdicts(snapshot));
        let text = render(&report, Format::Table, Layout { threads, advise: true }).expect("a table");
        for line in text.lines() {
            assert!(get_line_width(line) <= 80, "{} columns: {line}", get_line_width(line));
            assert!(!line.chars().any(super::super::sanitize::is_hostile), "{line:?}");
        }
        text
    }

    #[test]
    fn the_answer_comes_first_and_the_losses_always() {
        let text = text(&sample::snapshot(4), false);
        assert!(text.contains("I/O model: multiplexing (epoll), high confidence"), "{text}");
        assert!(text.contains("losses: none"), "{text}");
        assert!(text.contains("canary: 23 of 23"), "{text}");
        assert!(text.contains("residual:"), "{text}");
    }

    #[test]
    fn a_thousand_alike_threads_are_one_row() {
        let snapshot = sample::snapshot(1000);
        let text = text(&snapshot, false);
        assert!(text.contains("worker-*"), "{text}");
        assert!(text.contains("1,000 threads"), "{text}");
        assert!(text.lines().count() < 80, "{text}");
    }

    #[test]
    fn threads_opens_the_rows() {
        let text = text(&sample::snapshot(1000), true);
        assert!(text.contains("worker-999"));
        assert!(text.lines().count() > 1000);
    }

    #[test]
    fn hostile_names_cannot_draw_on_the_terminal() {
        let mut snapshot = sample::snapshot(3);
        let names = ["\x1b]0;pwned\x07\u{202e}", "漢字漢字漢字漢字漢字", "a\nb\tc\r\u{9b}2J"];
        for (thread, name) in snapshot.threads.iter_mut().zip(names) {
            thread.comm = name.into();
        }
        snapshot.processes[0].comm = names[0].into();
        snapshot.processes[0].exe = Some(format!("/tmp/{}", names[0].repeat(20)));
        for connection in &mut snapshot.connections {
            connection.address = names[0].into();
        }
        snapshot.degraded.push(names[2].into());
        text(&snapshot, false);
        text(&snapshot, true);
    }

    #[test]
    fn an_empty_snapshot_is_a_report_too() {
        let mut snapshot = sample::snapshot(0);
        snapshot.connections.clear();
        snapshot.distributions.clear();
        let text = text(&snapshot, false);
        assert!(text.contains("no receive"), "{text}");
    }

    #[test]
    fn a_loss_is_named_with_its_count() {
        let mut snapshot = sample::snapshot(1);
        snapshot.loss.insert("map_full".into(), 7);
        snapshot.loss.insert("early_wakeups".into(), 3);
        let text = text(&snapshot, false);
        assert!(text.contains("losses: map_full 7"), "{text}");
        assert!(!text.contains("losses: none"), "{text}");
    }

    #[test]
    fn waits_that_began_before_are_lower_bounds_and_bounded_copies_upper_ones() {
        let mut snapshot = sample::snapshot(1);
        snapshot.threads[0].waited_before = true;
        snapshot.threads[0].receives.copy_bounded = snapshot.threads[0].receives.with_data;
        let text = text(&snapshot, false);
        assert!(text.contains("≥ready") && text.contains("\n≥: "), "{text}");
        assert_eq!(text.matches("\n≤: ").count(), 2, "below each table with the mark: {text}");
    }

    #[test]
    fn a_mark_is_explained_only_where_one_is_printed() {
        let text_of = |floor_ns| {
            let mut snapshot = sample::snapshot(1);
            snapshot.calibration.floor_ns = floor_ns;
            // A wait that is too short to be named has no mark either.
            let ledger = &mut snapshot.threads[0].ledger;
            ledger.extend([(Account::WaitReady, 9_799_999_999), (Account::WaitOther, 1)]);
            let wait = snapshot.threads[0].in_flight.as_mut().expect("a wait");
            (wait.account, wait.before_attach) = (Account::WaitOther, true);
            text(&snapshot, false)
        };
        let plain = text_of(None);
        assert!(!plain.contains('≤') && !plain.contains('≥'), "{plain}");
        let below_the_floor = text_of(Some(400_000));
        assert!(below_the_floor.contains("\n≤: ") && below_the_floor.contains("≤0.1%"), "{below_the_floor}");
    }

    #[test]
    fn one_is_not_written_as_many() {
        let mut snapshot = sample::snapshot(1);
        snapshot.loss.insert("recovered_switches".into(), 1);
        let verdicts = crate::model::classify(&snapshot);
        let text =
            render(&build::build(&snapshot, &verdicts), Format::Table, Layout::default()).expect("a table");
        assert!(text.contains("1 switch and 0 wake-ups"), "{text}");
        let evidence = &verdicts.server_model.evidence[0];
        assert!(evidence.text.contains("10 connections were accepted"), "{evidence:?}");
    }

    #[test]
    fn connections_older_than_the_window_are_not_called_none() {
        let mut snapshot = sample::snapshot(1);
        snapshot.threads[0].accepts = trace_common::receive::Accepts::ZERO;
        snapshot.connections.iter_mut().for_each(|c| c.accepted = false);
        let evidence = &crate::model::classify(&snapshot).server_model.evidence[0];
        assert!(evidence.text.contains("no accept was seen, and data came on 2 connections"), "{evidence:?}");
    }

    #[test]
    fn an_inconclusive_verdict_names_both_and_what_would_settle_it() {
        let snapshot = sample::snapshot(2);
        let mut verdicts = sample::verdicts(&snapshot);
        let upstream = verdicts.io_model.clone();
        let io = &mut verdicts.io_model;
        (io.name, io.caller, io.confidence) = (IoModel::Inconclusive, None, None);
        io.alternatives =
            ["blocking", "multiplexing"].map(|n| Alternative { name: n.into(), share: None }).into();
        io.evidence[0].supports = false;
        io.evidence = vec![io.evidence[0].clone(); 9];
        io.settle =
            Some("three or more connections at once, each with several requests, would settle it".into());
        io.upstream = Some(Box::new(upstream));
        let text = super::render(&build::build(&snapshot, &verdicts), Layout::default());
        for part in ["inconclusive", "✗", "4 more", "also possible: blocking, multiplexing", "→", "Upstream"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.lines().all(|line| get_line_width(line) <= 80), "{text}");
    }

    #[test]
    fn many_kinds_of_threads_share_the_last_row() {
        let mut snapshot = sample::snapshot(100);
        for (i, thread) in snapshot.threads.iter_mut().enumerate() {
            thread.comm = format!("w{i}x");
        }
        let text = text(&snapshot, false);
        assert!(text.contains("all others") && text.contains("81 threads"), "{text}");
    }
}
