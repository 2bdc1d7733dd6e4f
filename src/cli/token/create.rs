//! `mirant token create`: makes a token.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use super::Where;
use crate::authentication::Check;
use crate::authentication::token::Wish;

/// The arguments of `mirant token create`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  TOKEN_SECRET=$(openssl rand -hex 32) mirant token create --user u1
  mirant token create --config mirant.toml --user u1 --role editor --expires 1h
  mirant token create --config mirant.toml --user u1 --subscribe '/news/**' --publish /chat/1

The secret or private key of an issuer signs; with public keys alone there is nothing to sign with.

Exit codes: 0 the token is printed; 2 wrong arguments or configuration.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Where,

    /// The issuer, by its iss; without it the first that can sign
    #[arg(long, value_name = "ISS")]
    issuer: Option<String>,

    /// The name of the user
    #[arg(long, value_name = "NAME")]
    user: String,

    /// A role of the user; may be repeated
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,

    /// How long the token is valid, such as 30m or 7d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    expires: Duration,

    /// A further claim; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::claim)]
    claim: Vec<(String, String)>,

    /// A channel or pattern that the token allows to subscribe to; may be repeated
    #[arg(long, value_name = "CHANNEL")]
    subscribe: Vec<String>,

    /// A channel or pattern that the token allows to publish on; may be repeated
    #[arg(long, value_name = "CHANNEL")]
    publish: Vec<String>,
}

pub(super) fn run(args: Args) -> Result<ExitCode, String> {
    let (tokens, _) = args.place.tokens()?;
    let wish = Wish {
        user: args.user,
        roles: args.role,
        claims: args.claim,
        subscribe: args.subscribe,
        publish: args.publish,
        valid: Some(args.expires),
    };
    let now = SystemTime::now();
    let token = tokens.create(args.issuer.as_deref(), &wish, now)?;
    // What would be refused is not made: a channel that is none, or a user without a name.
    if let Check::Done(Err(fault)) = tokens.check(&token, now) {
        return Err(format!("the token would be refused: {}", fault.text()));
    }
    println!("{token}");
    Ok(ExitCode::SUCCESS)
}
