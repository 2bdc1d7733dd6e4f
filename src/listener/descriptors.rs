//! File descriptors, of which every connection takes one: how many there are, and what is done when none is
//! left.

use std::fs::File;
use std::io;

use futures_util::FutureExt;

use super::bind::ListeningSocket;
use super::settings::Settings;
use crate::web::Socket;

/// File descriptors that are not for connections: listeners, the runtime's own, logs.
pub const RESERVED_DESCRIPTORS: u64 = 64;
/// As many as can be waited for at once.
const MAX_PERMITS: usize = u32::MAX as usize;
/// What the kernel says when the process may have no more (`EMFILE`), or the system has none (`ENFILE`).
const LACKING: [i32; 2] = [24, 23];

/// Raises the limit of file descriptors as far as it goes, and returns how many connections there may
/// be at once: as the settings say, or as many as that limit then allows.
#[must_use]
pub fn max_connections(settings: &Settings) -> usize {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let limit = limit.saturating_sub(RESERVED_DESCRIPTORS).max(1);
    let possible = usize::try_from(limit).unwrap_or(usize::MAX);
    let wanted = settings.max_connections.unwrap_or(possible);
    if wanted > possible {
        tracing::warn!(
            wanted,
            possible,
            "http.max_connections is above the limit of file descriptors (ulimit -n)"
        );
    }
    wanted.min(MAX_PERMITS)
}

/// Tells whether an error is the lack of file descriptors.
pub(super) fn are_lacking(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .is_some_and(|code| LACKING.contains(&code))
}

/// Returns how many the process may have.
pub(super) fn limit() -> Option<u64> {
    rlimit::Resource::NOFILE.get_soft().ok()
}

/// A file descriptor that is kept for when there is no other: by it a connection is accepted to be refused,
/// which would otherwise wait and not hear why.
#[derive(Debug)]
pub(super) struct Spare(Option<File>);

impl Spare {
    pub(super) fn new() -> Self {
        Self(open())
    }

    /// Gives the spare one up, and accepts a connection with it to have it refused.
    pub(super) fn refuse_one(
        &mut self,
        listening: &ListeningSocket,
        http: &Settings,
        refuse: impl FnOnce(&Socket),
    ) -> Lack {
        self.0 = None;
        let lack = match listening.accept(http).now_or_never() {
            Some(Ok(socket)) => {
                refuse(&socket);
                Lack::Refused
            }
            Some(Err(_)) => Lack::Lasting,
            None => Lack::NothingWaits,
        };
        self.0 = open();
        lack
    }
}

/// What came of the lack of a file descriptor for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// The connection was refused.
    Refused,
    /// None waits: the kernel asks for the descriptor first.
    NothingWaits,
    /// There was no spare one either.
    Lasting,
}

fn open() -> Option<File> {
    File::open("/dev/null").ok()
}
