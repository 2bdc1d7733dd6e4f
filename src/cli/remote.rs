//! The options of the commands that speak to a server as a client: where it is, and who asks; and their exit
//! codes.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use tokio_rustls::rustls::RootCertStore;

use super::authorities::authorities;
use super::secret::secret;
use super::{EXIT_FAILURE, EXIT_USAGE, with_causes};
use crate::client::transport::ConnectionType;
use crate::client::{Approach, Credentials, Fault, Secret, Server, Url};

/// The exit code when something did not happen in time.
pub(super) const EXIT_TIMEOUT: u8 = 3;
/// The exit code when there is no way to the server.
pub(super) const EXIT_UNREACHABLE: u8 = 4;

/// How long a server may take for an answer that is due at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// How much of a text that is not JSON an error shows.
const EXCERPT: usize = 60;

/// The variable with the password of `--user`.
const PASSWORD_VARIABLE: &str = "MIRANT_PASSWORD";

/// What the help of these commands ends with.
pub(super) const SECRETS: &str = "\
Secrets: a token may be given as @FILE or in MIRANT_TOKEN; a password is read from --password-file, from
MIRANT_PASSWORD (which may be @FILE, too), or asked for at the terminal.";

/// Where a server is, and who asks.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Remote {
    /// Where the server is: http://host:port/path, or the same with https; without a path, /cometd
    #[arg(value_name = "URL")]
    pub(super) url: Url,
    #[command(flatten)]
    pub(super) who: Who,
    /// Trust the certificate authorities in this file (PEM) instead of the system's
    #[arg(long, value_name = "FILE", value_parser = authorities)]
    pub(super) ca: Option<Arc<RootCertStore>>,
    /// Speak only by this transport [default: WebSocket, and long-polling if that is refused]
    #[arg(long, value_enum)]
    transport: Option<Transport>,
    /// Speak by long-polling over HTTP/2: over https as TLS agrees on it, over http from the first byte on
    #[arg(long, conflicts_with = "transport")]
    http2: bool,
}

/// Who asks.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Who {
    /// A token that says who you are (or a key of a backend)
    #[arg(long, value_name = "TOKEN|@FILE", env = "MIRANT_TOKEN", hide_env_values = true,
          value_parser = secret)]
    token: Option<Secret>,
    /// The user that you are, by a password; goes before a token
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,
    /// The file with the password of --user
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
}

/// How the server may be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Transport {
    #[value(name = "websocket")]
    WebSocket,
    LongPolling,
}

/// Why a command did not end well.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The arguments or variables make no sense.
    #[error("{0}")]
    Usage(String),
    /// The server could not be spoken to, or refused.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Something did not happen in time.
    #[error("{0}")]
    TimedOut(String),
    /// There is no way to the server, of another kind than a client's.
    #[error("{0}")]
    Unreachable(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
    /// The operating system does not do its part.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    /// The exit code that tells which it is.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => EXIT_USAGE,
            Self::TimedOut(_) | Self::Fault(Fault::TimedOut { .. }) => EXIT_TIMEOUT,
            Self::Unreachable(_) => EXIT_UNREACHABLE,
            Self::Fault(fault) if fault.is_of_network() => EXIT_UNREACHABLE,
            Self::Fault(_) | Self::Failed(_) | Self::Io(_) => EXIT_FAILURE,
        }
    }
}

impl Remote {
    /// Looks for the server, and asks for a password if one is needed.
    pub(super) async fn approach(&self, patience: Duration) -> Result<Approach, Error> {
        let credentials = self.who.credentials()?;
        let connection_type = match self.transport {
            _ if self.http2 => ConnectionType::LongPollingByHttp2,
            None | Some(Transport::WebSocket) => ConnectionType::WebSocket,
            Some(Transport::LongPolling) => ConnectionType::LongPolling,
        };
        let ca = self.ca.clone();
        let url = self.url.clone();
        let server = Server::find(url, connection_type, credentials, patience, ca).await?;
        let may_fall_back = self.transport.is_none() && !self.http2;
        Ok(Approach::new(server, may_fall_back))
    }
}

impl Who {
    /// What handshakes are to show; asks for a password if one is needed.
    pub(super) fn credentials(&self) -> Result<Credentials, Error> {
        let Some(user) = self.user.clone() else {
            let token = self.token.clone();
            return Ok(token.map_or(Credentials::None, Credentials::Token));
        };
        let password = self.password().map_err(Error::Usage)?;
        Ok(Credentials::Password { user, password })
    }

    fn password(&self) -> Result<Secret, String> {
        if let Some(path) = &self.password_file {
            let read = secret(&format!("@{}", path.display()));
            return read.map_err(|error| format!("--password-file: {error}"));
        }
        match std::env::var(PASSWORD_VARIABLE) {
            Ok(text) => secret(&text).map_err(|error| format!("{PASSWORD_VARIABLE}: {error}")),
            Err(_) => rpassword::prompt_password("Password: ")
                .map(Secret::new)
                .map_err(|error| {
                    format!(
                        "no password can be asked for ({error}): set {PASSWORD_VARIABLE}, \
                         or give --password-file"
                    )
                }),
        }
    }
}

/// Reads the name of a channel, or a pattern, as far as it takes to notice another argument in its place.
pub(super) fn channel(text: &str) -> Result<String, &'static str> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err("a channel begins with a slash, as in /chat/demo"),
    }
}

/// Reads JSON.
///
/// # Errors
/// It is none; what is wrong, with what to do, as a sentence that goes on after "is".
pub(super) fn json(text: &str) -> Result<Box<RawValue>, String> {
    let text = text.trim_matches(|letter: char| letter.is_ascii_whitespace());
    serde_json::from_str(text).map_err(|error| {
        let mut letters = text.chars();
        let mut beginning: String = letters.by_ref().take(EXCERPT).collect();
        if letters.next().is_some() {
            beginning.push('…');
        }
        let quoted = Value::from(beginning);
        format!("not JSON ({error}); a string is quoted: '{quoted}'")
    })
}

/// Says something on standard error, if anybody listens there.
pub(super) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "mirant: {text}");
}

/// Says what went wrong and why.
pub(super) fn say_error(error: &dyn std::error::Error) {
    say(&with_causes(error));
}

/// Whether a stream is one that colours are for.
pub(super) fn takes_colour(stream: &impl IsTerminal) -> bool {
    let is_set = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !is_set
}
