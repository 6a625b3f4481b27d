//! `trace check`: a saved report against expectations.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::print;
use super::write::NewFile;
use crate::check::decide::Answer;
use crate::check::expression::{self, Expectation};
use crate::check::vocabulary::Vocabulary;
use crate::check::{self, junit};
use crate::cli::CheckArgs;
use crate::failure::{Code, Failure};
use crate::report::schema::VERSION;
use crate::report::{Format, json};
use crate::saved;

/// The answers as JSON shows them.
#[derive(Serialize)]
struct Document<'a> {
    schema_version: &'static str,
    exit_code: u8,
    answers: &'a [Answer],
}

/// Answers on stdout, and in JUnit's form to a file.
///
/// # Errors
/// For a misspelt expectation, a file that is no report, and what cannot be written.
pub fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let (Some(file), false) = (&args.file, args.names) else {
        let vocabulary = Vocabulary::of(None);
        let names: Vec<&str> = vocabulary.entries().iter().map(|entry| entry.name.as_str()).collect();
        print(&(names.join("\n") + "\n"))?;
        return Ok(ExitCode::SUCCESS);
    };
    let report = saved::report(file)?;
    let vocabulary = Vocabulary::of(Some(&report));
    let expectations: Vec<Expectation> =
        args.expect.iter().map(|text| read(text, &vocabulary)).collect::<Result<_, _>>()?;
    let junit = args.junit.as_deref().map(|path| NewFile::create(path, args.force)).transpose()?;
    let answers = check::check(&expectations, &report);
    let code = check::code(&answers).map_or(0, |code| code as u8);
    if let Some(junit) = junit {
        junit.write(xml(file, &answers)?.as_bytes())?;
    }
    print(&match args.format.resolve() {
        Format::Json => {
            json::render(&Document { schema_version: VERSION, exit_code: code, answers: &answers })
                .map_err(|e| Failure::internal("the answers cannot be laid out", e))?
        }
        _ => check::render(&answers),
    })?;
    Ok(ExitCode::from(code))
}

fn read(text: &str, vocabulary: &Vocabulary) -> Result<Expectation, Failure> {
    expression::parse(text, vocabulary).map_err(|misspelt| {
        Failure::new(Code::Usage, format!("cannot check {text:?}"), misspelt.why).fix(misspelt.fix)
    })
}

fn xml(file: &Path, answers: &[Answer]) -> Result<String, Failure> {
    junit::document(&file.to_string_lossy(), answers)
        .map_err(|e| Failure::internal("the answers cannot be laid out as XML", e))
}
