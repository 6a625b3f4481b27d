//! `trace doctor` for people: check by check, and what comes of it last, where the eye ends up.

use super::text::Page;
use crate::doctor::{Check, Diagnosis, Section, Status};

const SECTIONS: [(Section, &str); 5] = [
    (Section::Needs, "What a measurement needs"),
    (Section::Capabilities, "Capabilities"),
    (Section::Probes, "The probes, loaded and attached for a moment"),
    (Section::Others, "Other tracers at work"),
    (Section::Machine, "The machine"),
];

/// The diagnosis in lines of at most 80 columns; `detail`: also the raw answer of the kernel.
pub fn render(diagnosis: &Diagnosis, detail: bool) -> String {
    let mut page = Page::default();
    let Diagnosis { version, kernel, arch, outlook, checks, .. } = diagnosis;
    page.paragraph(2, &format!("trace {version} on {kernel} {arch}"));
    for (section, title) in SECTIONS {
        page.heading(title);
        let checks: Vec<&Check> = checks.iter().filter(|c| c.section == section).collect();
        for alike in checks.chunk_by(|a, b| is_alike(a, b)) {
            page.item(mark(alike[0].status), &text(alike));
        }
    }
    match (&outlook.tier, &outlook.blocked) {
        (Some(tier), _) => {
            page.heading(&format!("What you will get: tier {tier}"));
            if outlook.degraded.is_empty() {
                page.item("✓", "nothing is lost");
            }
            for degraded in &outlook.degraded {
                page.item("!", &format!("{}: {}", degraded.code, degraded.lost));
                fix(&mut page, degraded.fix.as_deref());
            }
        }
        (None, blocked) => {
            page.heading(&format!(
                "What you will get: nothing; trace attach would exit with {}",
                outlook.exit_code
            ));
            if let Some(blocked) = blocked {
                page.item("✗", &format!("{}: {}", blocked.what, blocked.why));
                fix(&mut page, blocked.fix.as_deref());
                match &blocked.detail {
                    Some(text) if detail => {
                        text.lines().for_each(|line| page.paragraph(4, &format!("    {line}")))
                    }
                    Some(_) => page.item("→", "more: with -vv"),
                    None => {}
                }
            }
            if let Some(tier) = outlook.auto {
                page.item(
                    "→",
                    &format!("with --tier auto: tier {tier}, samples of /proc, which see sleepers only"),
                );
            }
        }
    }
    page.finish()
}

fn fix(page: &mut Page, fix: Option<&str>) {
    if let Some(fix) = fix {
        page.item("→", &format!("try: {fix}"));
    }
}

fn mark(status: Status) -> &'static str {
    match status {
        Status::Pass => "✓",
        Status::Warn => "!",
        Status::Fail => "✗",
        Status::Unknown => "?",
        Status::Info => "·",
    }
}

/// Hooks that fared alike share a line.
fn is_alike(a: &Check, b: &Check) -> bool {
    let plain = |check: &Check| check.purpose.is_none() && check.section == Section::Probes;
    plain(a) && plain(b) && (a.status, &a.found) == (b.status, &b.found)
}

fn text(alike: &[&Check]) -> String {
    let codes: Vec<&str> = alike.iter().map(|check| check.code.as_str()).collect();
    let check = alike[0];
    let mut text = format!("{}: {}", codes.join(", "), check.found);
    if let Some(purpose) = &check.purpose {
        text += &format!("; {purpose}");
    }
    // Warnings and failures come again, with their fixes, at the end.
    if let (Status::Unknown, Some(fix)) = (check.status, &check.fix) {
        text += &format!("; try: {fix}");
    }
    text
}

#[cfg(test)]
mod tests {
    use tabled::grid::util::string::get_line_width;

    use super::*;
    use crate::doctor::{Blocked, Outlook};

    #[test]
    fn what_cannot_be_done_stands_last_with_its_fix() {
        let check = Check {
            section: Section::Others,
            code: "ptrace".into(),
            status: Status::Warn,
            found: format!("\x1b[2J{}", "漢字 ".repeat(60)),
            purpose: None,
            lost: Some("x".into()),
            fix: None,
        };
        let blocked =
            Blocked { what: "no".into(), why: "because".into(), fix: Some("sudo".into()), detail: None };
        let outlook = Outlook {
            exit_code: 6,
            tier: None,
            auto: Some("proc"),
            blocked: Some(blocked),
            degraded: Vec::new(),
        };
        let diagnosis = Diagnosis {
            schema_version: "1.0",
            version: "0",
            kernel: "6".into(),
            arch: "x".into(),
            outlook,
            checks: vec![check],
        };
        let text = render(&diagnosis, false);
        assert!(text.ends_with("trace attach would exit with 6\n  ✗ no: because\n  → try: sudo\n  → with --tier auto: tier proc, samples of /proc, which see sleepers only\n"), "{text}");
        for line in text.lines() {
            assert!(get_line_width(line) <= 80 && !line.contains('\x1b'), "{line}");
        }
    }
}
