//! `mirant default-config`: prints the commented defaults.

use std::io::{self, Write};
use std::process::ExitCode;

use super::EXIT_FAILURE;
use crate::config::DEFAULT_TEXT;

/// Runs the subcommand.
pub(super) fn run() -> ExitCode {
    match io::stdout().write_all(DEFAULT_TEXT.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader, such as `head`, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mirant: cannot write to standard output: {error}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}
