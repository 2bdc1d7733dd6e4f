//! The configuration: gathers every module's settings from file, environment and command line.
//!
//! It only gathers, parses and checks: what a setting means is known to the module that owns it.
//! Nothing here reads the process environment; it is handed in.

mod blotted;
mod effect;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod keys;
mod layers;
mod validate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Value;

use crate::authentication::{self, api_keys, operators, passwords, token, webhook};
use crate::bayeux::Limits;
use crate::services::connected;
use crate::{
    access, access_log, cluster, extensions, history, hooks, http_api, listener, memory, rates,
    resources, router, services, session, traces, transports,
};

pub use effect::Change;
pub use error::{ConfigError, Problem};
pub(crate) use validate::may_match_alike;

use layers::{Layers, Source};

/// The text of `mirant default-config`: every key with its default and its meaning.
pub const DEFAULT_TEXT: &str = include_str!("default.toml");

pub use crate::listener::{ListenAddress, NotAnAddress, Settings as HttpSettings};
pub use crate::transports::settings::{
    EventSourceSettings, ResourceSettings, Settings as EndpointSettings, StreamingSettings,
    Transport, WebSocketSettings,
};

/// The variable that `--log-level` also reads; no configuration key.
pub const LOG_VARIABLE: &str = "MIRANT_LOG";

/// The variables that hold secrets of the commands which are clients; no configuration keys.
pub const CLIENT_VARIABLES: [&str; 3] = ["MIRANT_TOKEN", "MIRANT_KEY", "MIRANT_PASSWORD"];

/// The variable that `--config` also reads; no configuration key.
pub const CONFIG_VARIABLE: &str = "MIRANT_CONFIG";

/// The file's name that stands for standard input.
pub const STANDARD_INPUT: &str = "-";

/// Everything an operator can set.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Config {
    /// The HTTP listeners.
    pub http: listener::settings::Settings,
    /// TLS on listeners.
    pub tls: listener::tls::Settings,
    /// The Bayeux endpoint.
    pub bayeux: Bayeux,
    /// The WebSocket transport.
    pub websocket: transports::settings::WebSocketSettings,
    /// Event streams.
    pub eventsource: transports::settings::EventSourceSettings,
    /// The transports whose connect's response is a stream.
    pub streaming: transports::settings::StreamingSettings,
    /// Channels as resources.
    pub resources: Resources,
    /// Extensions of the protocol.
    pub extensions: extensions::Settings,
    /// Handlers of service channels.
    pub services: services::Settings,
    /// Connected application servers.
    pub backends: connected::Settings,
    /// Where messages are kept that can be had again.
    pub history: history::Settings,
    /// The cluster that the server is a node of.
    pub cluster: cluster::Settings,
    /// Options for the channels that match a pattern.
    pub channel: Vec<router::settings::ChannelOptions>,
    /// Who may do what.
    pub access: Vec<access::Rule>,
    /// Who clients are.
    pub authentication: Authentication,
    /// Who decides outside.
    pub webhook: webhook::Settings,
    /// Who may log in with a password.
    pub user: Vec<passwords::User>,
    /// Who may issue tokens.
    pub issuer: Vec<token::settings::Issuer>,
    /// Which applications answer calls and hear what happens.
    pub hook: Vec<hooks::Hook>,
    /// How fast clients may be.
    pub rates: rates::Settings,
    /// The memory that all clients share.
    pub memory: memory::Settings,
    /// What is logged, and how.
    pub log: Log,
    /// Where traces are sent.
    pub traces: traces::Settings,
    /// The operator's own listeners.
    pub admin: Admin,
    /// What application servers may do.
    pub api: Api,
}

/// The `[bayeux]` section, which several modules share.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Bayeux {
    /// Bounds on one request or frame.
    #[serde(flatten)]
    pub limits: Limits,
    /// Times and bounds of sessions.
    #[serde(flatten)]
    pub session: session::settings::Settings,
    /// The number of channels, and who hears them.
    #[serde(flatten)]
    pub router: router::settings::Settings,
    /// The path, the transports and the browser cookie.
    #[serde(flatten)]
    pub transports: transports::settings::Settings,
}

/// The `[resources]` section, which two modules share.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Resources {
    /// Where they are, and how long a change is waited for.
    #[serde(flatten)]
    pub http: transports::settings::ResourceSettings,
    /// What is kept of them.
    #[serde(flatten)]
    pub kept: resources::settings::Settings,
}

/// The `[authentication]` section, which several modules share.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Authentication {
    /// Where requests may show a token.
    #[serde(flatten)]
    pub sources: authentication::settings::Sources,
    /// Bounds of password checks.
    #[serde(flatten)]
    pub passwords: passwords::Settings,
    /// Bounds on tokens.
    #[serde(flatten)]
    pub tokens: token::Settings,
}

/// The `[log]` section.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Log {
    /// A level, or `tracing` filter directives such as `info,mirant::session=debug`.
    pub level: String,
    /// One line of text per event, or one JSON object.
    pub format: LogFormat,
    /// A line for each request.
    #[serde(flatten)]
    pub access_log: access_log::Settings,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
            access_log: access_log::Settings::default(),
        }
    }
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For log collectors: one JSON object a line.
    Json,
}

/// The `[admin]` section.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Admin {
    /// The addresses that serve `/metrics`, `/healthz`, the operator's page and the HTTP API; without one it is not
    /// served.
    pub listen: Vec<ListenAddress>,
    /// The hosts for which they answer beside addresses and `localhost`.
    pub hosts: Vec<String>,
    /// The bounds of logins to the page.
    #[serde(flatten)]
    pub logins: http_api::LoginSettings,
    /// Who may log in there with a password.
    pub user: Vec<operators::User>,
}

/// The `[api]` section.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Api {
    /// The addresses that serve the HTTP API; without one it is not served there.
    pub listen: Vec<ListenAddress>,
    /// The hosts for which these answer beside addresses and `localhost`.
    pub hosts: Vec<String>,
    /// Whether the addresses of clients serve it, too.
    pub public: bool,
    /// Its bounds.
    #[serde(flatten)]
    pub bounds: http_api::Settings,
    /// The keys by which application servers are known.
    pub key: Vec<api_keys::Key>,
}

/// What the command line contributes; each field wins over the ones before it.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The TOML file, or `-` for standard input; it ranks below the environment.
    pub file: Option<PathBuf>,
    /// The `--set KEY=VALUE` arguments, in order.
    pub set: Vec<String>,
    /// The `--listen` addresses; if there are any they replace `http.listen`.
    pub listen: Vec<ListenAddress>,
    /// The value of `--log-level`, or of the variable behind it.
    pub log_level: Option<String>,
    /// The value of `--log-format`.
    pub log_format: Option<LogFormat>,
}

/// A checked configuration that remembers which keys were set.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The keys that are set.
    values: BTreeMap<String, Value>,
    origins: BTreeMap<String, Source>,
    /// The variables with our prefix that are not configuration.
    pub passed_over: Vec<PassedOver>,
}

/// An environment variable that starts with `MIRANT_`, and is not configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Its name.
    pub name: String,
    /// The variable that was probably meant.
    pub meant: Option<String>,
}

impl Loaded {
    /// Whether any source set the key (`section.name`), be it to its default.
    pub fn is_set(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }

    /// Returns it if all its values make sense.
    fn checked(self) -> Result<Self, ConfigError> {
        let problems = self.config.validate().into_iter();
        let problems = problems.map(|problem| match origin_of(&self.origins, &problem.key) {
            Some(origin) => format!("{origin}: {problem}"),
            None => problem.to_string(),
        });
        let problems: Vec<String> = problems.collect();
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(ConfigError::Invalid(problems))
        }
    }

    /// Lays this below all sources: the text of a configuration file, whose keys count where no source has set them.
    /// Entries of lists are added to those that are there, but not if one is about the same pattern.
    ///
    /// # Errors
    /// With these values the configuration does not make sense.
    pub fn over(mut self, text: &str) -> Result<Self, ConfigError> {
        let below = Layers::below(text)?;
        for (key, value) in below {
            match (self.values.get_mut(&key), value) {
                (None, value) => {
                    self.values.insert(key, value);
                }
                (Some(Value::Array(own)), Value::Array(entries)) if keys::list(&key).is_some() => {
                    add_entries(own, entries);
                }
                (Some(_), _) => {}
            }
        }
        self.config = layers::config_of(&self.values)?;
        self.checked()
    }
}

/// Adds entries to a list that are about other patterns.
fn add_entries(list: &mut Vec<Value>, entries: Vec<Value>) {
    let about = |entry: &Value| entry.get("pattern").cloned();
    for entry in entries {
        let pattern = about(&entry);
        if pattern.is_none() || !list.iter().any(|own| about(own) == pattern) {
            list.push(entry);
        }
    }
}

/// Names a configuration file as errors do.
#[must_use]
pub fn shown(path: &Path) -> String {
    layers::shown(path)
}

impl Config {
    /// Reads all sources in their order, and checks the result.
    ///
    /// Of the environment only names such as `MIRANT_SECTION__KEY` count.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is no TOML; a key is unknown; a value is of the wrong type or
    /// does not make sense. All but the first two kinds are collected and reported together.
    pub fn load(
        sources: &Sources,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, ConfigError> {
        let mut layers = Layers::new();
        if let Some(path) = &sources.file {
            layers.file(path)?;
        }
        layers.environment(environment);
        for argument in &sources.set {
            layers.set(argument);
        }
        layers.flags(sources);
        let loaded = layers.finish()?;

        loaded.checked()
    }

    /// Lists what is wrong with the values taken together and one by one; empty if all is well.
    pub fn validate(&self) -> Vec<Problem> {
        validate::problems(self)
    }
}

/// Finds who set a key; a key inside an entry of a list counts as the list.
fn origin_of<'a>(origins: &'a BTreeMap<String, Source>, key: &str) -> Option<&'a Source> {
    let list = key.split_once('[').map(|(list, _)| list);
    origins.get(list.unwrap_or(key))
}

#[cfg(test)]
mod tests;
