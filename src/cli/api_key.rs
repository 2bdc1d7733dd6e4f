//! `mirant api-key`: makes a key for an application server, and prints it with its hash for an `[[api.key]]`
//! entry.

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;

use super::{EXIT_FAILURE, EXIT_USAGE, complain};
use crate::authentication::api_keys::{self, Digest};

/// More than the longest key, and the end of its line.
const MAX_INPUT: u64 = 4096;

/// The arguments of `mirant api-key`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The key goes to the application server, which sends it as `Authorization: Bearer KEY`; its hash goes into an
[[api.key]] entry of the configuration. The key cannot be had from the hash: keep it where secrets are kept.

Exit codes: 0 printed; 1 the key cannot be read; 2 wrong arguments, or a key that cannot be one.")]
pub(super) struct Args {
    /// Print the hash of the key that is read from standard input, instead of making one
    #[arg(long)]
    hash: bool,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot read the key")]
    Read(#[source] io::Error),
    #[error("{0}")]
    Unfit(String),
}

/// Runs the subcommand.
pub(super) fn run(args: &Args) -> ExitCode {
    if !args.hash {
        let key = api_keys::make();
        println!("key:  {key}");
        println!("hash: {}", Digest::of(key.as_bytes()));
        return ExitCode::SUCCESS;
    }
    match hash() {
        Ok(hash) => {
            println!("{hash}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            let is_failure = matches!(error, Error::Read(_));
            ExitCode::from(if is_failure { EXIT_FAILURE } else { EXIT_USAGE })
        }
    }
}

fn hash() -> Result<Digest, Error> {
    let key = if io::stdin().is_terminal() {
        rpassword::prompt_password("Key: ").map_err(Error::Read)?
    } else {
        let mut text = String::new();
        let mut input = io::stdin().lock().take(MAX_INPUT);
        input.read_to_string(&mut text).map_err(Error::Read)?;
        text.trim_end_matches(['\r', '\n']).to_owned()
    };
    match api_keys::key_fix(key.as_bytes()) {
        None => Ok(Digest::of(key.as_bytes())),
        Some(fix) => Err(Error::Unfit(fix)),
    }
}
