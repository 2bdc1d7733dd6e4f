//! The command line: one file for each subcommand; knows nothing of the protocol.

mod api_key;
mod authorities;
pub mod bench;
mod call;
mod check_config;
mod completions;
mod doctor;
mod explain;
mod harmless;
mod hash_password;
mod health;
mod logging;
mod manager;
mod manual;
mod publish;
mod reload;
mod remote;
mod secret;
mod serve;
mod signals;
mod subscribe;
mod token;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::run::with_causes;

pub use serve::ServeError;
pub use signals::Signal;

/// The exit code when the operator has to change a setting or an argument; clap's own, too.
const EXIT_USAGE: u8 = 2;

/// The exit code of any other failure.
const EXIT_FAILURE: u8 = 1;

/// A standalone Bayeux 1.0 push server for CometD and Faye clients.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until it is told to stop.
    Serve(serve::Args),
    /// Check a configuration file without running the server.
    CheckConfig(check_config::Args),
    /// Say whether somebody may do something, and which rule decides that.
    Explain(explain::Args),
    /// Hash a password for a [[user]] entry; it is asked for, or read from standard input.
    HashPassword(hash_password::Args),
    /// Make a key for an application server, and its hash for an [[api.key]] entry.
    ApiKey(api_key::Args),
    /// Make tokens, and say what is in one and why it is refused.
    #[command(subcommand)]
    Token(token::Command),
    /// Publish a message, or each line of standard input.
    Publish(publish::Args),
    /// Print what is published on channels.
    Subscribe(subscribe::Args),
    /// Call a service and print its answer.
    Call(call::Args),
    /// Look for what is wrong with this machine, the configuration, or a proxy in front of the server.
    Doctor(Box<doctor::Args>),
    /// Ask a server whether it is ready; by its exit code, for health checks.
    Health(health::Args),
    /// Have a server read its configuration anew, and say what has changed.
    Reload(reload::Args),
    /// Load a Bayeux server and report what it can do.
    Bench(bench::Args),
    /// Print a configuration file with every key, its default and its meaning.
    DefaultConfig,
    /// Print what makes a shell complete these commands.
    Completions(completions::Args),
    /// Write the manual's pages, one for each command.
    Manual(manual::Args),
}

impl Cli {
    /// Runs the chosen subcommand to its end.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Serve(args) => serve::run(args),
            Command::CheckConfig(args) => check_config::run(args),
            Command::Explain(args) => explain::run(args),
            Command::HashPassword(args) => hash_password::run(&args),
            Command::ApiKey(args) => api_key::run(&args),
            Command::Token(command) => token::run(command),
            Command::Publish(args) => publish::run(&args),
            Command::Subscribe(args) => subscribe::run(&args),
            Command::Call(args) => call::run(&args),
            Command::Doctor(args) => doctor::run(*args),
            Command::Health(args) => health::run(args),
            Command::Reload(args) => reload::run(args),
            Command::Bench(args) => bench::main(&args),
            Command::DefaultConfig => print(crate::config::DEFAULT_TEXT.as_bytes()),
            Command::Completions(args) => completions::run(&args),
            Command::Manual(args) => manual::run(&args),
        }
    }
}

/// Runs a future to its end on as many threads as there are processors.
fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(future))
}

/// Prints a text that a command was asked for.
fn print(text: &[u8]) -> ExitCode {
    match io::stdout().write_all(text) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader, such as `head`, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mirant: cannot write to standard output: {error}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// Says what went wrong and why, in one line on standard error.
fn complain(error: &dyn std::error::Error) {
    eprintln!("mirant: {}", with_causes(error));
}

/// Says all that is wrong with settings, a line each.
fn listed(problems: &[impl ToString]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n  ")
}

#[cfg(test)]
mod tests;
