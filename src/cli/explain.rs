//! `mirant explain`: says whether somebody may do something, what decided that, and which options of
//! channels apply.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use super::{EXIT_FAILURE, EXIT_USAGE, block_on, token, with_causes};
use crate::access::{Access, Action, Asked, Identity, Rule, Subject};
use crate::bayeux::{ChannelKind, ChannelName, ChannelPattern, Limits};
use crate::config::{Config, Sources, may_match_alike};
use crate::router::settings::ChannelOptions;

/// The arguments of `mirant explain`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  mirant explain --config mirant.toml --anonymous subscribe '/chat/**'
  mirant explain --config mirant.toml --user u1 --role editor publish /chat/1
  mirant explain --config mirant.toml --token - publish /chat/1 < token.txt

The environment is left out, so that the answer depends on the file and --set alone.

Exit codes: 0 it is allowed; 1 it is refused; 2 wrong arguments or configuration.",
    group(clap::ArgGroup::new("who").required(true).args(["user", "token", "anonymous"]))
)]
pub(super) struct Args {
    /// The TOML file with the rules, or - for standard input; without it the defaults hold
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Set one key on top of the file; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// The name of the client's user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// A role of that user; may be repeated
    #[arg(long, value_name = "ROLE", requires = "user")]
    role: Vec<String>,

    /// What else is known of that user; may be repeated
    #[arg(long, value_name = "NAME=VALUE", requires = "user", value_parser = token::claim)]
    claim: Vec<(String, String)>,

    /// The client's token, of an [[issuer]]; or - for standard input
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,

    /// The client has no user
    #[arg(long, conflicts_with = "user")]
    anonymous: bool,

    /// The client's address; without it rules about addresses do not match
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,

    /// What the client wants to do
    #[arg(value_enum)]
    action: Action,

    /// The channel; to subscribe, also a pattern such as /chat/**
    #[arg(value_name = "CHANNEL", required_if_eq_any([("action", "subscribe"), ("action", "publish"), ("action", "forget")]))]
    channel: Option<String>,
}

/// What is asked for, with its channel.
enum Wanted {
    Handshake,
    Subscribe(ChannelPattern),
    Publish(ChannelName),
    Forget(ChannelName),
}

impl Wanted {
    fn asked(&self) -> Asked<'_> {
        match self {
            Self::Handshake => Asked::Handshake,
            Self::Subscribe(pattern) => Asked::Subscribe(pattern),
            Self::Publish(channel) => Asked::Publish(channel),
            Self::Forget(channel) => Asked::Forget(channel),
        }
    }

    fn channel(&self) -> &str {
        match self {
            Self::Handshake => "",
            Self::Subscribe(pattern) => pattern.as_str(),
            Self::Publish(channel) | Self::Forget(channel) => channel.as_str(),
        }
    }
}

/// Runs the subcommand.
pub(super) fn run(args: Args) -> ExitCode {
    match explained(args) {
        Ok((text, is_allowed)) => {
            println!("{text}");
            if is_allowed {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(EXIT_FAILURE)
            }
        }
        Err(error) => {
            eprintln!("mirant: {error}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Returns the explanation, and whether it is allowed.
fn explained(args: Args) -> Result<(String, bool), String> {
    let sources = Sources {
        file: args.config,
        set: args.set,
        ..Sources::default()
    };
    let loaded = Config::load(&sources, []).map_err(|error| with_causes(&error))?;
    let config = loaded.config;
    let wanted = wanted(args.action, args.channel.as_deref(), &config.bayeux.limits)?;
    let access = Access::new(&config.access).map_err(|problems| format!("{problems:?}"))?;
    let identity = match args.token {
        Some(token) => Some(identity_of(token, &config)?),
        None => args.user.map(|user| {
            Arc::new(Identity {
                user,
                roles: args.role,
                claims: args.claim,
                ..Identity::default()
            })
        }),
    };
    let subject = Subject {
        identity,
        address: args.address,
    };
    let decision = access.decide(wanted.asked(), &subject);
    let mut lines = Vec::new();
    for (index, finding) in access.explain(wanted.asked(), &subject) {
        lines.push(format!("access[{index}] {}", shown(&config.access[index])));
        lines.push(format!("    {}", finding.meaning()));
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.push(access.verdict(wanted.asked(), decision));
    if config.webhook.decides(wanted.asked().action()) {
        lines.push("the webhook decides as well, and is not asked here".to_owned());
    }
    lines.extend(options_of(&wanted, &config.channel));
    Ok((lines.join("\n"), decision.allowed))
}

/// Returns who shows a token.
fn identity_of(token: String, config: &Config) -> Result<Arc<Identity>, String> {
    let token = token::read(token)?;
    let tokens = token::tokens(config)?;
    let outcome = block_on(token::outcome(&tokens, &token, SystemTime::now()));
    let outcome = outcome.map_err(|error| error.to_string())?;
    outcome.map(|known| known.identity).map_err(|fault| {
        let why = "`mirant token check` says more";
        format!("the token is refused: {}; {why}", fault.text())
    })
}

fn wanted(action: Action, channel: Option<&str>, limits: &Limits) -> Result<Wanted, String> {
    match (action, channel) {
        (Action::Handshake, None) => Ok(Wanted::Handshake),
        (Action::Handshake, Some(_)) => Err("a handshake has no channel".to_owned()),
        (Action::Subscribe, channel) => ChannelPattern::parse(channel.unwrap_or_default(), limits)
            .map(Wanted::Subscribe)
            .map_err(|_| "CHANNEL must be a channel or a pattern, such as /chat/**".to_owned()),
        (Action::Publish | Action::Forget, channel) => {
            let wanted = match action {
                Action::Forget => Wanted::Forget,
                _ => Wanted::Publish,
            };
            ChannelName::parse(channel.unwrap_or_default(), limits)
                .map(wanted)
                .map_err(|_| "CHANNEL must be a channel, such as /chat/demo".to_owned())
        }
    }
}

/// Shows a rule in one line, much as it stands in the file.
fn shown(rule: &Rule) -> String {
    let toml = |value: Result<toml::Value, toml::ser::Error>| {
        value.map_or_else(|error| error.to_string(), |value| value.to_string())
    };
    let mut parts = Vec::new();
    for (name, actions) in [("allow", &rule.allow), ("deny", &rule.deny)] {
        if !actions.is_empty() {
            let names: Vec<&str> = actions.iter().map(|action| action.name()).collect();
            parts.push(format!("{name} {}", names.join(", ")));
        }
    }
    if !rule.channels.is_empty() {
        parts.push(format!("on {}", rule.channels.join(", ")));
    }
    parts.push(format!("for {}", toml(toml::Value::try_from(&rule.who))));
    parts.join(" ")
}

/// Lists the options of the channel, each from the most specific entry that sets it; of a pattern, the
/// entries that are about some of its channels.
fn options_of(wanted: &Wanted, entries: &[ChannelOptions]) -> Vec<String> {
    let channel = wanted.channel();
    let name = ChannelName::parse(channel, &Limits::default());
    let mut lines: Vec<String> = Vec::new();
    let is_pattern = name.is_err();
    let mut list = |index: usize, entry: &ChannelOptions| {
        let table = toml::Table::try_from(entry).unwrap_or_default();
        for (key, value) in table.iter().filter(|(key, _)| *key != "pattern") {
            let option = format!("    {key} = ");
            if is_pattern || !lines.iter().any(|line| line.starts_with(&option)) {
                lines.push(format!(
                    "{option}{value}, by channel[{index}] {}",
                    entry.pattern
                ));
            }
        }
    };
    let numbered = || entries.iter().enumerate();
    match &name {
        Ok(name) if name.kind() != ChannelKind::Broadcast => return lines,
        Ok(name) => name.each_pattern(|pattern| {
            for (index, entry) in numbered().filter(|(_, entry)| entry.pattern == pattern) {
                list(index, entry);
            }
        }),
        Err(_) => {
            for (index, entry) in numbered() {
                if may_match_alike(&entry.pattern, channel) {
                    list(index, entry);
                }
            }
        }
    }
    if !lines.is_empty() {
        lines.insert(0, format!("options of {channel}:"));
        lines.insert(0, String::new());
    }
    lines
}
