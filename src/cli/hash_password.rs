//! `mirant hash-password`: asks for a password, and prints its hash for a `[[user]]` entry.

use std::io::{self, BufRead, IsTerminal, Read};
use std::process::ExitCode;

use bytesize::ByteSize;

use super::{EXIT_FAILURE, EXIT_USAGE, complain};
use crate::authentication::passwords::{self, Cost, CostError, MAX_LANES, MAX_PASSES};
use crate::config::Config;

/// The arguments of `mirant hash-password`; the password is none, since others see them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The memory that each check takes. By default a server refuses more than 64MiB.
    #[arg(long, value_name = "SIZE", default_value = "19MiB")]
    memory: ByteSize,
    /// How often each check goes through the memory.
    #[arg(long, value_name = "COUNT", default_value = "2",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PASSES)))]
    passes: u32,
    /// In how many lanes the memory is parted.
    #[arg(long, value_name = "COUNT", default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LANES)))]
    lanes: u32,
}

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot read the password")]
    Read(#[source] io::Error),
    #[error("the password is empty")]
    Empty,
    #[error("the password is longer than {0} bytes (authentication.max_password_length)")]
    TooLong(usize),
    #[error("the two passwords differ")]
    Differ,
    #[error(transparent)]
    Cost(#[from] CostError),
}

/// Runs the subcommand.
pub(super) fn run(args: &Args) -> ExitCode {
    match hash(args) {
        Ok(hash) => {
            println!("{hash}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            let is_failure = matches!(error, Error::Read(_) | Error::Cost(CostError::System));
            ExitCode::from(if is_failure { EXIT_FAILURE } else { EXIT_USAGE })
        }
    }
}

fn hash(args: &Args) -> Result<String, Error> {
    let max_length = Config::default()
        .authentication
        .passwords
        .max_password_length;
    let password = if io::stdin().is_terminal() {
        asked()?
    } else {
        // Two more than it may have, for the end of its line.
        piped(io::stdin().lock().take(max_length as u64 + 2))?
    };
    if password.is_empty() {
        return Err(Error::Empty);
    }
    if password.len() > max_length {
        return Err(Error::TooLong(max_length));
    }
    let cost = Cost {
        memory: args.memory,
        passes: args.passes,
        lanes: args.lanes,
    };
    Ok(passwords::hash(&password, cost)?)
}

/// Asks at the terminal, twice, without showing what is typed.
fn asked() -> Result<String, Error> {
    let ask = |prompt| rpassword::prompt_password(prompt).map_err(Error::Read);
    let password = ask("Password: ")?;
    if password == ask("The same again: ")? {
        Ok(password)
    } else {
        Err(Error::Differ)
    }
}

/// Reads the first line of what is piped in.
fn piped(mut input: impl BufRead) -> Result<String, Error> {
    let mut line = String::new();
    input.read_line(&mut line).map_err(Error::Read)?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}
