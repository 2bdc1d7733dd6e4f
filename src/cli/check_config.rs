//! `mirant check-config`: says whether a file can be used, and if not why.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{EXIT_USAGE, listed, with_causes};
use crate::config::{self, Config, Sources};
use crate::run::{self, StartError};

/// The arguments of `mirant check-config`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The environment is left out, so that the answer depends on the file and --set alone.

Exit codes: 0 the file can be used; 2 it cannot, and standard error says why.")]
pub(super) struct Args {
    /// The TOML file to check, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Set one key on top of the file, such as bayeux.timeout=20s; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Runs the subcommand.
pub(super) fn run(args: Args) -> ExitCode {
    let shown = config::shown(&args.file);
    let sources = Sources {
        file: Some(args.file),
        set: args.set,
        ..Sources::default()
    };
    let loaded = Config::load(&sources, []).map_err(|error| with_causes(&error));
    // Keys are read from where they are; those at a URL are not fetched.
    let checked =
        loaded.and_then(|loaded| run::check(&loaded.config).map_err(|error| said(&error)));
    match checked {
        Ok(()) => {
            println!("{shown}: ok");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Says why a server would not start, with a line for each thing that is wrong.
pub(super) fn said(error: &StartError) -> String {
    match error {
        StartError::Authentication(problems) => listed(problems),
        error => with_causes(error),
    }
}
