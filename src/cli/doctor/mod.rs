//! `mirant doctor`: looks for what is wrong with this machine, the configuration, and a proxy in front of the server.

mod asking;
mod clock;
mod files;
mod finding;
mod listening;
mod machine;
mod outside;
mod redis;
mod through;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio_rustls::rustls::RootCertStore;

use self::finding::{Finding, State};
use self::through::Through;
use super::authorities::authorities;
use super::remote::{Error, SECRETS, Who, channel, say_error};
use super::{EXIT_FAILURE, block_on, serve, with_causes};
use crate::client::Url;
use crate::config::{CONFIG_VARIABLE, Config, Sources};

/// The arguments of `mirant doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Examples:
  sudo -u mirant mirant doctor --config /etc/mirant/mirant.toml
  mirant doctor --url https://comet.example.com/cometd

Each check is a line: ok, warning or wrong, what was seen, and if it is not ok the setting that mends it. Without
--url it looks at this machine and at what the configuration names; run it as the user that runs the server, which
may run meanwhile. With --url it looks at the proxy in front of the server as a client does, from wherever clients
are, and at this machine too if --config or --set is given. It takes bayeux.timeout, and a few seconds.

{SECRETS}

Exit codes: 0 nothing is wrong; 1 something is; 2 wrong arguments or configuration."))]
pub(super) struct Args {
    /// The TOML file with the settings, or - for standard input; without it the defaults hold
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE)]
    config: Option<PathBuf>,
    /// Set one key, such as bayeux.timeout=20s; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Look through the proxy at the server's public address: http://host:port/path, or the same with https; without
    /// a path, /cometd
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
    #[command(flatten)]
    who: Who,
    /// Trust the certificate authorities in this file (PEM) instead of the system's
    #[arg(long, value_name = "FILE", value_parser = authorities)]
    ca: Option<Arc<RootCertStore>>,
    /// The channel on which events are published to see whether streams are buffered
    #[arg(long, value_name = "CHANNEL", default_value = "/mirant/doctor", value_parser = channel)]
    channel: String,
    /// Do not wait for a held connect, so not look whether idle requests are cut
    #[arg(long)]
    quick: bool,
    /// Print each check as a JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub(super) fn run(args: Args) -> ExitCode {
    let as_json = args.json;
    let found = block_on(examine(args)).unwrap_or_else(|error| Err(error.into()));
    match found.and_then(|findings| Ok(tell(&findings, as_json)?)) {
        Ok(State::Wrong) => ExitCode::from(EXIT_FAILURE),
        Ok(State::Ok | State::Warning) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Makes all checks that the arguments ask for.
async fn examine(args: Args) -> Result<Vec<Finding>, Error> {
    let is_here = args.url.is_none() || args.config.is_some() || !args.set.is_empty();
    let mut findings = Vec::new();
    if is_here {
        let sources = Sources {
            file: args.config,
            set: args.set,
            ..Sources::default()
        };
        let loaded = Config::load(&sources, serve::environment());
        let loaded = loaded.map_err(|error| Error::Usage(with_causes(&error)))?;
        findings.extend(here(&loaded.config).await);
    }
    if let Some(url) = args.url {
        let through = Through {
            url,
            credentials: args.who.credentials()?,
            authorities: args.ca,
            channel: args.channel,
            is_quick: args.quick,
        };
        findings.extend(through.check().await);
    }
    Ok(findings)
}

/// Looks at this machine and what the configuration names.
async fn here(config: &Config) -> Vec<Finding> {
    let mut findings = machine::check(&config.http);
    findings.extend(files::check(config));
    findings.extend(listening::check(config).await);
    let (redis, outside) = tokio::join!(redis::check(&config.cluster), outside::check(config));
    findings.extend(redis);
    findings.extend(outside);
    findings
}

/// Prints what was found, and tells the worst of it.
fn tell(findings: &[Finding], as_json: bool) -> io::Result<State> {
    let mut out = io::stdout().lock();
    for finding in findings {
        let line = match as_json {
            true => serde_json::to_string(finding).map_err(io::Error::other)?,
            false => finding.to_string(),
        };
        writeln!(out, "{line}")?;
    }
    let states = findings.iter().map(|finding| finding.state);
    Ok(states.max().unwrap_or(State::Ok))
}
