//! `mirant manual`: writes the manual's pages, one for each command.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory;

use super::{Cli, EXIT_FAILURE};

/// The arguments of `mirant manual`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The directory for the pages, such as /usr/local/share/man/man1; it must exist.
    directory: PathBuf,
}

/// Runs the subcommand.
pub(super) fn run(args: &Args) -> ExitCode {
    match clap_mangen::generate_to(Cli::command(), &args.directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "mirant: cannot write to {}: {error}",
                args.directory.display()
            );
            ExitCode::from(EXIT_FAILURE)
        }
    }
}
