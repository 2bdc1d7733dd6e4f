//! The files as the operating system has them: who may read them, and whether they are still those that were opened.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use tracing::warn;

/// What is kept is for the server's user only: it has secrets, such as the ids of sessions.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
/// What all but the owner may do.
const OTHERS: u32 = 0o077;

/// Which file it is, whatever its name: the device and the number there.
pub(super) type Identity = (u64, u64);

/// Makes a directory for one user, unless there is one.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(DIRECTORY_MODE).create(path)
}

/// Opens a file for one user to be written, and makes it if there is none.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    options.mode(FILE_MODE).open(path)
}

/// Takes from all others what they may do with a file, if it is there.
pub(super) fn tighten(path: &Path) {
    let Ok(data) = fs::metadata(path) else {
        return;
    };
    if data.mode() & OTHERS == 0 {
        return;
    }
    let path_shown = path.display();
    match fs::set_permissions(path, Permissions::from_mode(FILE_MODE)) {
        Ok(()) => warn!("{path_shown}: others could read it, and cannot any more"),
        Err(error) => warn!("{path_shown}: others can read it: {error}"),
    }
}

/// Tells which file is at a path, if there is one.
pub(super) fn at(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|data| identity(&data))
}

/// Tells which file that is.
pub(super) fn identity(data: &fs::Metadata) -> Identity {
    (data.dev(), data.ino())
}
