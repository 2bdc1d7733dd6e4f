//! What lines are written to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::settings::Target;

/// Something that is open for writing.
#[derive(Debug)]
pub(super) enum Open {
    Stdout,
    Stderr,
    File(PathBuf, File),
}

impl Open {
    /// Opens it; nothing if nothing is to be written.
    pub(super) fn new(target: &Target) -> io::Result<Option<Self>> {
        Ok(match target {
            Target::Off => None,
            Target::Stdout => Some(Self::Stdout),
            Target::Stderr => Some(Self::Stderr),
            Target::File(path) => Some(Self::File(path.clone(), at_end(path)?)),
        })
    }

    /// Opens a file anew that may have been moved away. If that fails the one that was open is written on.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Self::File(path, file) = self {
            *file = at_end(path)?;
        }
        Ok(())
    }

    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().write_all(lines),
            Self::Stderr => io::stderr().lock().write_all(lines),
            Self::File(_, file) => file.write_all(lines),
        }
    }
}

fn at_end(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}
