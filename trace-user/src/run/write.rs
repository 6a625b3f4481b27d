//! One file that a command writes beside what it prints.

use std::path::Path;

use super::output::{Content, FileSpec, Outputs};
use crate::failure::Failure;

/// A file that was created and is not written yet; dropped so, it is gone again.
pub struct NewFile(Outputs);

impl NewFile {
    /// Creates it, with the same care as a report of `trace attach`.
    ///
    /// # Errors
    /// With [`crate::failure::Code::Usage`] if it cannot be written.
    pub fn create(path: &Path, force: bool) -> Result<NewFile, Failure> {
        // What it holds is given when it is written.
        let spec = FileSpec { path: path.to_owned(), content: Content::Snapshot, force };
        Outputs::create(&[spec]).map(NewFile)
    }

    /// Writes it.
    ///
    /// # Errors
    /// If that fails; the file is gone then.
    pub fn write(self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write(&|_| Ok(bytes.to_vec()))
    }
}
