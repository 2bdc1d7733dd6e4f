//! `mirant completions`: prints what makes a shell complete the command line.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, print};

/// The arguments of `mirant completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell that is to complete.
    shell: Shell,
}

/// Runs the subcommand.
pub(super) fn run(args: &Args) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mirant", &mut script);
    print(&script)
}
