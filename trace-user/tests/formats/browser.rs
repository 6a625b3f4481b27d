//! Chromium without a window, and what a page makes it do.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A page that was opened.
pub struct Seen {
    /// Its document, after its script ran.
    pub page: String,
    /// What the console says.
    pub complaints: Vec<String>,
    /// Requests that the page made, whether or not they were answered.
    pub requests: usize,
}

/// Opens a file.
pub fn open(path: &Path) -> Seen {
    let directory = TempDir::new().unwrap();
    let log = directory.path().join("net.json");
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr"])
        // The browser's own requests find nobody.
        .args(["--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND"])
        .args(["--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", directory.path().join("profile").display()))
        .arg(format!("--log-net-log={}", log.display()))
        .arg(format!("file://{}", path.display()))
        .output()
        .expect("chromium, which cargo xtask test installs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stderr = String::from_utf8_lossy(&output.stderr);
    let log = std::fs::read_to_string(log).unwrap();
    Seen {
        page: String::from_utf8(output.stdout).unwrap(),
        complaints: stderr.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect(),
        // The origin of a page on disk is opaque; the browser's own requests say "not an origin".
        requests: log.matches("\"initiator\":\"null\"").count(),
    }
}

/// The figures of a page that say where they stand in the report: (JSON pointer, value).
pub fn figures(page: &str) -> Vec<(String, String)> {
    let quoted = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!("{name}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let elements = page.split("<data ").skip(1).filter_map(|rest| rest.split_once('>'));
    elements.filter_map(|(tag, _)| Some((quoted(tag, "data-at")?, quoted(tag, " value")?))).collect()
}
