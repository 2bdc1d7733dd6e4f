//! `mirant check-config`: says whether a file can be used, and if not why.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::{EXIT_USAGE, listed, token, with_causes};
use crate::authentication::webhook::Webhook;
use crate::config::{self, Config, Sources};
use crate::hooks::Hooks;
use crate::listener::tls::Acceptor;
use crate::run;

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

/// What is looked at beside the configuration itself: whether what it names is there and can be used. Each says what
/// is wrong.
pub(super) const CHECKS: [fn(&Config) -> Result<(), String>; 6] =
    [directory, tokens, webhook, hooks, cluster, tls];

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
        loaded.and_then(|loaded| CHECKS.iter().try_for_each(|check| check(&loaded.config)));
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

/// Looks whether messages can be kept where they are to be.
fn directory(config: &Config) -> Result<(), String> {
    let directory = config.history.directory.as_deref();
    // The server makes one if nothing is there.
    match directory.filter(|path| path.exists() && !path.is_dir()) {
        Some(path) => Err(format!("history.directory = {path:?}: is not a directory")),
        None => Ok(()),
    }
}

/// Reads the keys of issuers.
fn tokens(config: &Config) -> Result<(), String> {
    token::tokens(config).map(drop)
}

/// Reads the secret of the webhook.
fn webhook(config: &Config) -> Result<(), String> {
    let webhook = Webhook::new(&config.webhook, &config.bayeux.limits, Arc::default());
    webhook.map(drop).map_err(|problems| listed(&problems))
}

/// Reads the secrets of a node.
fn cluster(config: &Config) -> Result<(), String> {
    if config.cluster.redis.is_none() {
        return Ok(());
    }
    let secrets = run::cluster_secrets(&config.cluster);
    secrets.map(drop).map_err(|error| with_causes(&error))
}

/// Reads certificates and their keys.
fn tls(config: &Config) -> Result<(), String> {
    if config.tls.certificate.is_none() {
        return Ok(());
    }
    let acceptor = Acceptor::new(&config.tls, &Arc::default());
    acceptor.map(drop).map_err(|error| with_causes(&error))
}

/// Reads the secrets of hooks.
fn hooks(config: &Config) -> Result<(), String> {
    let hooks = Hooks::new(&config.hook, &config.bayeux.limits, &Arc::default());
    hooks.map(drop).map_err(|problems| listed(&problems))
}
