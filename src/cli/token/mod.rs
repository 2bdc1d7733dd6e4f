//! `mirant token`: makes tokens, and says what is in one and why it is refused.

mod check;
mod create;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::{EXIT_USAGE, listed, with_causes};
use crate::access::Access;
use crate::authentication::Secret;
use crate::authentication::token::Tokens;
use crate::authentication::token::settings::Issuer;
use crate::config::{Config, Sources};

pub(super) use check::{outcome, read};

/// The variable with the secret of the issuer that there is without a configuration.
const SECRET_VARIABLE: &str = "TOKEN_SECRET";

/// The subcommands of `mirant token`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a token and print it.
    Create(create::Args),
    /// Say what is in a token, and whether it is accepted.
    Check(check::Args),
}

/// Where the issuers are found.
#[derive(Debug, clap::Args)]
struct Where {
    /// The TOML file with the issuers, or - for standard input. Without it (and --set issuer=...) there is one
    /// issuer, whose secret is in the environment variable `TOKEN_SECRET`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Set one key on top of the file; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Runs a subcommand.
pub(super) fn run(command: Command) -> ExitCode {
    let outcome = match command {
        Command::Create(args) => create::run(args),
        Command::Check(args) => check::run(args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("mirant: {error}");
        ExitCode::from(EXIT_USAGE)
    })
}

impl Where {
    /// Reads the issuers, and returns what checks their tokens.
    fn tokens(self) -> Result<(Tokens, Config), String> {
        let has_none = self.config.is_none();
        let sources = Sources {
            file: self.config,
            set: self.set,
            ..Sources::default()
        };
        let loaded = Config::load(&sources, []).map_err(|error| with_causes(&error))?;
        let mut config = loaded.config;
        if config.issuer.is_empty() && has_none {
            config.issuer.push(Issuer {
                secret: Some(Secret::Env(SECRET_VARIABLE.to_owned())),
                ..Issuer::default()
            });
        }
        if config.issuer.is_empty() {
            return Err("there is no [[issuer]] in the configuration".to_owned());
        }
        Ok((tokens(&config)?, config))
    }
}

/// Reads the keys of a configuration's issuers.
pub(super) fn tokens(config: &Config) -> Result<Tokens, String> {
    let access = Access::new(&config.access).map_err(|problems| format!("{problems:?}"))?;
    let tokens = Tokens::new(
        &config.authentication.tokens,
        &config.issuer,
        &access.claims(),
        &config.bayeux.limits,
        &Arc::default(),
    );
    tokens.map_err(|problems| listed(&problems))
}

/// Reads a claim of the command line.
///
/// # Errors
/// It is not of the form.
pub(super) fn claim(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
