//! `cargo xtask test`: installs the real servers and tools that the tests use, and runs all tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::{process, setup};

/// What the tests use of Debian: real programs, their loads, what looks at processes, and what reads
/// reports.
const PACKAGES: [&str; 16] = [
    "apache2",
    "chromium",
    "fio",
    "lighttpd",
    "memcached",
    "nginx",
    "postgresql",
    "procps",
    "python3",
    "python3-prometheus-client",
    "python3-venv",
    "redis-server",
    "redis-tools",
    "strace",
    "util-linux",
    "wrk",
];

/// Debian's scripts ask this program whether a package's service may be started.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Options of `test`.
#[derive(clap::Args)]
pub struct Args {
    /// Arguments for `cargo test`, as `-p trace-common` or `--test exact`; default: everything for the host
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Installs what is missing, then tests: one test at a time, since most of them measure time.
///
/// # Errors
/// When a package cannot be installed or a test fails.
pub fn run(args: &Args) -> Result<()> {
    let quiet = NoServices::hold()?;
    setup::packages("the tests", &PACKAGES)?;
    drop(quiet);
    setup::apps()?;
    let mut test = process::cargo();
    test.arg("test");
    if args.args.is_empty() {
        test.args(["--workspace", "--exclude", "trace-ebpf", "--no-fail-fast"]);
    } else {
        test.args(&args.args);
    }
    if !setup::is_root() {
        println!("test: without root, tests that trace run through sudo");
        test.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "sudo --preserve-env");
    }
    process::run(test.args(["--", "--test-threads=1"]))
}

/// While it lives, packages that are installed do not start their services: these would take the tests' ports and CPU
/// time. Somebody's own policy is left alone.
struct NoServices(bool);

impl NoServices {
    fn hold() -> Result<NoServices> {
        if Path::new(POLICY).exists() || !setup::is_root() {
            return Ok(NoServices(false));
        }
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").with_context(|| format!("cannot write {POLICY}"))?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        Ok(NoServices(true))
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.0 {
            let _ = fs::remove_file(POLICY);
        }
    }
}
