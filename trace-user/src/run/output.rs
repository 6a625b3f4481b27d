//! Files that reports are written to: created before measuring, complete or gone afterwards.

use std::fs::{File, OpenOptions, symlink_metadata};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use super::signal::Watch;
use crate::failure::{Code, Failure};
use crate::report::export::ReportFormat;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The report.
    Report(ReportFormat),
    /// What was measured.
    Snapshot,
}

/// A file to write.
#[derive(Clone, Debug)]
pub struct FileSpec {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub content: Content,
    /// Over a file that exists.
    pub force: bool,
}

/// The files of a run, all open.
#[derive(Debug)]
pub struct Outputs(Vec<Output>);

/// One of them. Dropped before its report was written whole, it takes away what it created.
#[derive(Debug)]
struct Output {
    file: File,
    spec: FileSpec,
    /// Whether there was no such file before.
    ours: bool,
    /// Whether something was written.
    begun: bool,
    complete: bool,
    _watch: Option<Watch>,
}

impl Outputs {
    /// Creates or opens all of them.
    ///
    /// # Errors
    /// With [`Code::Usage`] for the first that cannot be written; those before it are gone again.
    pub fn create(specs: &[FileSpec]) -> Result<Outputs, Failure> {
        specs
            .iter()
            .map(|spec| Output::open(spec).map_err(|e| refuse(spec, &e)))
            .collect::<Result<_, _>>()
            .map(Outputs)
    }

    /// Adds `bytes` to those that hold `content`: lines of a stream, whose last [`Outputs::write`] adds.
    ///
    /// # Errors
    /// With [`Code::Internal`] for the first that failed.
    pub fn append(&mut self, content: Content, bytes: &[u8]) -> Result<(), Failure> {
        self.0.iter_mut().filter(|output| output.spec.content == content).try_for_each(|o| o.append(bytes))
    }

    /// Writes what `render` makes to each; one that fails does not keep the others from it.
    ///
    /// # Errors
    /// With [`Code::Internal`] for the first that failed.
    pub fn write(self, render: &dyn Fn(Content) -> Result<Vec<u8>, Failure>) -> Result<(), Failure> {
        let write = |output: Output| {
            let bytes = render(output.spec.content)?;
            output.write(&bytes)
        };
        let written: Vec<Result<(), Failure>> = self.0.into_iter().map(write).collect();
        written.into_iter().collect()
    }
}

impl Output {
    fn open(spec: &FileSpec) -> io::Result<Output> {
        let mut options = OpenOptions::new();
        // Whatever a link points to was not named by the user; a FIFO without a reader would block.
        options.write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC);
        if spec.force {
            match options.open(&spec.path) {
                Ok(file) => return Output::over(file, spec),
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                Err(_) => {}
            }
        }
        let file = options.create_new(true).open(&spec.path)?;
        let watch = Watch::over(&spec.path);
        let output = Output {
            file,
            spec: spec.clone(),
            ours: true,
            begun: false,
            complete: false,
            _watch: Some(watch),
        };
        give_to_caller(&output.file)?;
        Ok(output)
    }

    fn over(file: File, spec: &FileSpec) -> io::Result<Output> {
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.nlink() != 1 {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is no plain file with one name"));
        }
        Ok(Output { file, spec: spec.clone(), ours: false, begun: false, complete: false, _watch: None })
    }

    fn write(mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.append(bytes)?;
        self.complete = true;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if !self.ours {
            // From here on the old report is lost, and half of the new one is worth nothing.
            self._watch = Some(Watch::over(&self.spec.path));
            self.ours = true;
        }
        let empty = if std::mem::replace(&mut self.begun, true) { Ok(()) } else { self.file.set_len(0) };
        let result = empty.and_then(|()| self.file.write_all(bytes));
        let what = || format!("the report cannot be written to {}", self.spec.path.display());
        result.map_err(|e| Failure::internal(what(), e))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.ours && !self.complete && is_same(&self.file, &self.spec.path) {
            // Nothing more can be done about a file that does not want to go.
            let _ = std::fs::remove_file(&self.spec.path);
        }
    }
}

/// Whether `path` still names `file`, and nothing that was put there since.
fn is_same(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), symlink_metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

/// Under sudo the report belongs to whoever called it.
fn give_to_caller(file: &File) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let id = |name| std::env::var(name).ok().and_then(|id| id.parse::<u32>().ok());
    match (id("SUDO_UID"), id("SUDO_GID")) {
        (None, _) => Ok(()),
        (uid, gid) => fchown(file, uid, gid),
    }
}

fn refuse(spec: &FileSpec, e: &io::Error) -> Failure {
    let path = &spec.path;
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let there = symlink_metadata(path);
    let (why, fix) = match (e.kind(), &there) {
        (_, Ok(there)) if there.is_dir() => ("it is a directory".to_owned(), "name a file in it".to_owned()),
        (_, Ok(there)) if there.is_symlink() => (
            "it is a symbolic link, and those are not followed".to_owned(),
            "name the file itself".to_owned(),
        ),
        (ErrorKind::AlreadyExists, _) => {
            ("it exists already".to_owned(), "another name, or --force to overwrite it".to_owned())
        }
        (ErrorKind::NotFound, _) => {
            let parent = parent.display();
            (format!("the directory {parent} does not exist"), format!("mkdir -p {parent}"))
        }
        _ => (e.to_string(), format!("check with: ls -ld {}", parent.display())),
    };
    Failure::new(Code::Usage, format!("cannot create {}", path.display()), why).fix(fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(path: PathBuf, force: bool) -> FileSpec {
        FileSpec { path, content: Content::Report(ReportFormat::Json), force }
    }

    fn refusal(spec: FileSpec) -> String {
        let failure = Outputs::create(&[spec]).expect_err("a refusal");
        assert_eq!(failure.code, Code::Usage);
        failure.why
    }

    #[test]
    fn a_file_that_was_not_written_is_gone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.json");
        let outputs = Outputs::create(&[spec(path.clone(), false)]).expect("created");
        assert_eq!(path.metadata().expect("it is there").mode() & 0o777, 0o600);
        drop(outputs);
        assert!(!path.exists());
    }

    #[test]
    fn a_written_file_stays_and_is_not_overwritten() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.json");
        let write = |text: &'static str, force| {
            let outputs = Outputs::create(&[spec(path.clone(), force)])?;
            outputs.write(&move |_| Ok(text.into()))
        };
        write("a long first report", false).expect("written");
        assert!(refusal(spec(path.clone(), false)).contains("exists"));
        write("second", true).expect("overwritten");
        assert_eq!(std::fs::read_to_string(&path).expect("text"), "second");
    }

    #[test]
    fn a_failed_run_leaves_an_old_file_as_it_was() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.json");
        std::fs::write(&path, "old").expect("written");
        drop(Outputs::create(&[spec(path.clone(), true)]).expect("opened"));
        assert_eq!(std::fs::read_to_string(&path).expect("text"), "old");
    }

    #[test]
    fn links_and_directories_are_refused_even_by_force() {
        let dir = tempfile::tempdir().expect("a directory");
        let (link, target) = (dir.path().join("l.json"), dir.path().join("target"));
        std::fs::write(&target, "precious").expect("written");
        std::os::unix::fs::symlink(&target, &link).expect("linked");
        for force in [false, true] {
            assert!(refusal(spec(link.clone(), force)).contains("symbolic link"));
            assert!(refusal(spec(dir.path().into(), force)).contains("directory"));
            assert!(refusal(spec(dir.path().join("no/a.json"), force)).contains("does not exist"));
        }
        assert_eq!(std::fs::read_to_string(&target).expect("text"), "precious");
    }
}
