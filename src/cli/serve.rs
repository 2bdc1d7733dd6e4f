//! `mirant serve`: loads the configuration, starts logging, and runs the server.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use bytesize::ByteSize;
use tokio::sync::oneshot;

use super::logging::{self, Level};
use super::signals::{Signal, Signals};
use super::{EXIT_FAILURE, EXIT_USAGE, block_on, complain, manager};
use crate::access::Action;
use crate::config::{
    self, Config, ConfigError, Loaded, Log, LogFormat, PassedOver, STANDARD_INPUT, Sources,
};
use crate::http_api;
use crate::listener::{BoundAddress, ListenAddress};
use crate::run::{DemoSettings, Passed, Source, StartError, Stop, bind_passed};

/// The arguments of `mirant serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Settings are taken from the defaults, the file, the environment (MIRANT_BAYEUX__TIMEOUT=20s),
--set and the other flags; later ones win. `mirant default-config` lists every key.

Exit codes: 0 stopped as told; 1 failed while running; 2 wrong arguments or configuration, or an
address that cannot be bound; 130 (SIGINT) or 143 (SIGTERM) stopped at once by a second signal.")]
pub(super) struct Args {
    /// The TOML file with the settings, or - for standard input; without it the defaults hold
    #[arg(long, value_name = "FILE", env = crate::config::CONFIG_VARIABLE)]
    config: Option<PathBuf>,

    /// An address to listen on instead of http.listen, such as 0.0.0.0:8080, localhost:8080,
    /// `tls:0.0.0.0:8443` or `unix:/run/mirant.sock`; may be repeated. Port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Vec<ListenAddress>,

    /// Set one key, such as bayeux.timeout=20s; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Serve demonstrations: a chat, a ticker, a drawing, a game of tennis, plain HTTP
    #[arg(long)]
    demo: bool,

    /// The module of the official client, which the demonstrations use. If unset: what
    /// `npm install cometd` has put into the working directory, or else its public copy
    #[arg(long, value_name = "FILE", requires = "demo")]
    demo_client: Option<PathBuf>,

    /// What to log: off, error, warn, info, debug, trace, or directives such as
    /// `info,mirant::session=debug`
    #[arg(long, value_name = "LEVEL", env = crate::config::LOG_VARIABLE)]
    log_level: Option<String>,

    /// How to log: lines of text, or JSON objects
    #[arg(long, value_name = "FORMAT", value_enum)]
    log_format: Option<LogFormat>,
}

/// Why the server did not run, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log filter cannot be used.
    #[error("cannot set up logging")]
    Log(#[from] tracing_subscriber::filter::ParseError),
    /// The server cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Who told the server to stop did not want to wait.
    #[error("stopped at once by a second {0}")]
    StoppedAtOnce(Signal),
    /// The operating system refused something while the server started or ran.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ServeError {
    /// Tells mistakes of the operator (2) from failures (1).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Log(_) | Self::Start(_) => EXIT_USAGE,
            // As a shell tells of a program that a signal ended.
            Self::StoppedAtOnce(signal) => 128 + *signal as u8,
            Self::Io(_) => EXIT_FAILURE,
        }
    }
}

/// Runs the subcommand.
pub(super) fn run(args: Args) -> ExitCode {
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs the server until it is told to stop, and to the end of that, or to a second signal.
///
/// # Errors
///
/// An address cannot be listened on, the operating system fails, or a second signal came.
async fn serve(loaded: Loaded, origin: Origin, passed: Passed) -> Result<(), ServeError> {
    let config = &loaded.config;
    let demo = origin.demo.clone();
    let path = config.bayeux.transports.path.clone();
    let shows_demo = demo.is_some();
    let lacks_keys = config.api.key.is_empty();
    let is_open = config.access.is_empty();
    let identifying = identifying(config);
    let bound = bind_passed(config, demo, passed)?;
    bound.join_cluster().await?;
    let reloader = Arc::clone(bound.reloader());
    reloader.read_from(loaded, origin);
    match identifying {
        _ if !is_open => {}
        Some(key) => warn_of_no_rules(key),
        None => warn_if_exposed(&bound.addresses()),
    }
    if lacks_keys && !bound.api_addresses().is_empty() {
        tracing::warn!(
            "nobody can use the HTTP API: add an [[api.key]] entry; `mirant api-key` makes a key"
        );
    }
    let mut signals = Signals::new()?;
    for address in bound.addresses() {
        println!("listening on {}", address.url(&path));
    }
    for address in bound.admin_addresses() {
        println!("admin on {}", address.url("/metrics"));
    }
    for address in bound.api_addresses() {
        println!("api on {}", address.url(http_api::PATH));
    }
    let addresses = bound.addresses();
    if shows_demo && let Some(address) = addresses.iter().find(|address| address.ip().is_some()) {
        print_demo(address, &path);
    }
    tracing::info!(
        max_connections = bound.max_connections(),
        memory = %ByteSize(bound.memory()),
        "serving"
    );
    let (stop, stopped) = oneshot::channel();
    let run = bound.run_until(manager::ready, async {
        // The other end is kept until it says so.
        stopped.await.unwrap_or(Stop::AtOnce)
    });
    let reload = async || {
        manager::reloading();
        // The log tells what came of it.
        let _ = reloader.reload().await;
        manager::ready();
    };
    tokio::select! {
        () = run => Ok(()),
        second = signals.second(stop, reload) => Err(ServeError::StoppedAtOnce(second)),
    }
}

/// Returns the key of what finds who clients are, if something does.
fn identifying(config: &Config) -> Option<&'static str> {
    let keys = [
        (!config.issuer.is_empty(), "[[issuer]]"),
        (!config.user.is_empty(), "[[user]]"),
        (config.webhook.decides(Action::Handshake), "webhook.decides"),
    ];
    let mut set = keys.into_iter().filter(|(is_set, _)| *is_set);
    set.next().map(|(_, key)| key)
}

/// Warns that it does not matter who clients are, where no access rule says so.
fn warn_of_no_rules(key: &str) {
    tracing::warn!(
        "{key} says who clients are, but without [[access]] entries whoever shows nothing may \
         subscribe to every channel and publish on it; [[access]] entries say who may do what"
    );
}

/// Warns if others than this machine can reach a server without access rules.
fn warn_if_exposed(addresses: &[BoundAddress]) {
    let beyond = addresses
        .iter()
        .filter_map(BoundAddress::ip)
        .find(|address| !address.ip().to_canonical().is_loopback());
    if let Some(address) = beyond {
        tracing::warn!(
            %address,
            "whoever reaches this server may subscribe to every channel and publish on it; \
             [[access]] entries say who may do what"
        );
    }
}

/// Says what to do with the demonstration; a client without a library needs a session first.
fn print_demo(address: &BoundAddress, path: &str) {
    let (page, url) = (address.url("/"), address.url(path));
    println!(
        r#"
Open {page} in a browser: a chat, and more demonstrations.
Or speak from a shell:

  ID=$(curl -s {url} -d '{{"channel":"/meta/handshake","version":"1.0"}}' | grep -o '"clientId":"[^"]*"')
  curl -s {url} -d '{{"channel":"/chat/demo","data":{{"from":"curl","text":"hello"}},'$ID'}}'
"#
    );
}

fn start(args: Args) -> Result<(), ServeError> {
    let client = args.demo_client.clone();
    let demo = args.demo.then_some(DemoSettings { client });
    let sources = sources(args);
    let loaded = load(&sources, demo.is_some(), environment())?;
    let level = logging::start(&loaded.config.log)?;
    let passed = Passed::take()?;
    for variable in &loaded.passed_over {
        tell_of(variable);
    }
    let origin = Origin {
        sources,
        demo,
        level,
    };
    block_on(serve(loaded, origin, passed))?
}

/// Where the configuration comes from, and what is logged by it.
struct Origin {
    sources: Sources,
    demo: Option<DemoSettings>,
    level: Level,
}

impl Source for Origin {
    fn read(&self) -> Result<Loaded, ConfigError> {
        if self.sources.file.as_deref() == Some(Path::new(STANDARD_INPUT)) {
            let source = io::Error::other("it was read at the start; name a file to read it again");
            let name = config::shown(Path::new(STANDARD_INPUT));
            return Err(ConfigError::Read { name, source });
        }
        load(&self.sources, self.demo.is_some(), environment())
    }

    fn log(&self, log: &Log) {
        if let Err(error) = self.level.set(log) {
            tracing::error!(%error, "the log stays as it was");
        }
    }
}

fn tell_of(variable: &PassedOver) {
    let PassedOver { name, meant } = variable;
    match meant {
        Some(meant) => {
            tracing::warn!(
                "the environment variable {name} is not configuration; did you mean {meant}?"
            );
        }
        None => tracing::debug!("the environment variable {name} is not configuration"),
    }
}

/// Reads the variables; one that is not Unicode cannot be a name we know.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name, value.to_string_lossy().into_owned()))
    })
}

/// Turns arguments and environment into a configuration.
#[cfg(test)]
pub(super) fn configure(
    args: Args,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let demo = args.demo;
    load(&sources(args), demo, environment)
}

fn sources(args: Args) -> Sources {
    Sources {
        file: args.config,
        set: args.set,
        listen: args.listen,
        log_level: args.log_level,
        log_format: args.log_format,
    }
}

fn load(
    sources: &Sources,
    demo: bool,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let loaded = Config::load(sources, environment)?;
    if demo {
        return loaded.over(crate::demo::SETTINGS);
    }
    Ok(loaded)
}
