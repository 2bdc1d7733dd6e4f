//! `mirant token check`: says what is in a token, and whether it is accepted.

use std::io::Read;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::Where;
use crate::access::{Grant, Identity};
use crate::authentication::token::Tokens;
use crate::authentication::{Check, Fault, Known};
use crate::bayeux::BayeuxError;
use crate::cli::{EXIT_FAILURE, block_on};
use crate::config::Config;

/// More than any token is.
const MAX_INPUT: u64 = 1024 * 1024;

/// The arguments of `mirant token check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mirant token check --config mirant.toml - < token.txt
  mirant token create --user u1 | mirant token check -

Keys at a URL are fetched.

Exit codes: 0 it is accepted; 1 it is refused; 2 wrong arguments or configuration.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Where,

    /// The token; or - for standard input, which keeps it out of the list of processes
    token: String,
}

pub(super) fn run(args: Args) -> Result<ExitCode, String> {
    let token = read(args.token)?;
    let (tokens, config) = args.place.tokens()?;
    // Why keys cannot be fetched is in the log.
    crate::cli::logging::start(&config.log).map_err(|error| error.to_string())?;
    let now = SystemTime::now();
    let outcome = block_on(outcome(&tokens, &token, now)).map_err(|error| error.to_string())?;
    for line in contents(&tokens, &token, &config) {
        println!("{line}");
    }
    match outcome {
        Ok(known) => {
            for line in described(&known.identity, now) {
                println!("{line}");
            }
            println!("accepted");
            Ok(ExitCode::SUCCESS)
        }
        Err(fault) => {
            println!(
                "refused: {} ({})",
                fault.text(),
                reason(&fault, &tokens, &token, now)
            );
            Ok(ExitCode::from(EXIT_FAILURE))
        }
    }
}

/// Returns what comes of a token, once the keys are there.
pub(in crate::cli) async fn outcome(
    tokens: &Tokens,
    token: &str,
    now: SystemTime,
) -> Result<Known, Fault> {
    match tokens.check(token, now) {
        Check::Done(outcome) => outcome,
        Check::Pending(checking) => checking.await,
    }
}

/// Takes the token from the arguments or from standard input.
pub(in crate::cli) fn read(token: String) -> Result<String, String> {
    if token != "-" {
        return Ok(token);
    }
    let mut text = String::new();
    let read = std::io::stdin().take(MAX_INPUT).read_to_string(&mut text);
    read.map_err(|error| format!("standard input cannot be read: {error}"))?;
    Ok(text.trim().to_owned())
}

/// Says what is in a token, genuine or not.
fn contents(tokens: &Tokens, token: &str, config: &Config) -> Vec<String> {
    let Ok(examined) = tokens.examine(token) else {
        return Vec::new();
    };
    let kid = examined.kid.map(|kid| format!(", kid {kid:?}"));
    let mut lines = vec![format!(
        "algorithm: {}{}",
        examined.algorithm.escape_debug(),
        kid.unwrap_or_default()
    )];
    lines.push("claims:".to_owned());
    let claims = examined.claims.iter();
    lines.extend(claims.map(|(name, value)| format!("    {}: {value}", name.escape_debug())));
    lines.push(match examined.signer {
        None => "signed by: unknown".to_owned(),
        Some(signer) => {
            let issuer = &config.issuer[signer.issuer];
            let iss = issuer.iss.as_ref().map(|iss| format!(" {iss:?}"));
            let kid = signer.kid.map(|kid| format!(", kid {kid:?}"));
            format!(
                "signed by: issuer[{}]{}, {}{}",
                signer.issuer,
                iss.unwrap_or_default(),
                issuer.source(),
                kid.unwrap_or_default()
            )
        }
    });
    lines
}

/// Says who shows a token.
fn described(identity: &Identity, now: SystemTime) -> Vec<String> {
    let mut lines = vec![format!("user: {}", identity.user)];
    if !identity.roles.is_empty() {
        lines.push(format!("roles: {}", identity.roles.join(", ")));
    }
    for (name, value) in &identity.claims {
        lines.push(format!("claim.{name}: {value}"));
    }
    for Grant { actions, channels } in &identity.grants {
        let actions: Vec<&str> = actions.iter().map(|action| action.name()).collect();
        let channels: Vec<&str> = channels.iter().map(|channel| channel.as_str()).collect();
        lines.push(format!(
            "may {}: {}",
            actions.join(", "),
            channels.join(", ")
        ));
    }
    lines.push(match identity.expires {
        None => "expires: never".to_owned(),
        Some(expires) => {
            let left = expires.duration_since(now).unwrap_or_default();
            format!("expires: in {}, leeway included", words(left))
        }
    });
    lines
}

/// Says in words why a token is refused.
fn reason(fault: &Fault, tokens: &Tokens, token: &str, now: SystemTime) -> String {
    let claims = tokens.examine(token).map(|examined| examined.claims);
    let claims = claims.unwrap_or_default();
    let ago = |name: &str| {
        let time = date(&claims, name)?;
        let ago = now
            .duration_since(time)
            .map(|ago| format!("{} ago", words(ago)));
        Some(ago.unwrap_or_else(|error| format!("in {}", words(error.duration()))))
    };
    let claim = |name: &str| claims.get(name).map_or("none".to_owned(), Value::to_string);
    match fault.error {
        BayeuxError::CredentialsMalformed if fault.detail == "crit" => {
            "its header demands by crit what is not known here".to_owned()
        }
        BayeuxError::CredentialsMalformed => "it is not a token: three parts in base64url, with a \
             dot between them, the first two of them JSON"
            .to_owned(),
        BayeuxError::TokenTooLong => "authentication.max_token_length".to_owned(),
        BayeuxError::TokenIssuerUnknown => {
            format!("no [[issuer]] has its iss, which is {}", claim("iss"))
        }
        BayeuxError::TokenKeyUnknown => "its issuer has no key of this kid".to_owned(),
        BayeuxError::TokenAlgorithmDenied => {
            "no key of its issuer is for this algorithm".to_owned()
        }
        BayeuxError::TokenSignatureInvalid => {
            "it was signed with another key, or changed since".to_owned()
        }
        BayeuxError::TokenExpired => {
            format!("its exp was {}", ago("exp").unwrap_or_default())
        }
        BayeuxError::TokenNotYetValid => {
            let name = if claims.contains_key("nbf") {
                "nbf"
            } else {
                "iat"
            };
            format!("its {name} is {}", ago(name).unwrap_or_default())
        }
        BayeuxError::TokenAudienceInvalid => format!(
            "its aud is {}, which the issuer's aud in the configuration does not name",
            claim("aud")
        ),
        BayeuxError::TokenClaimInvalid => "the claim is missing, or has another form".to_owned(),
        BayeuxError::TokenKeysUnavailable => {
            "the keys of its issuer cannot be had; the log on standard error says why".to_owned()
        }
        _ => "it is not accepted".to_owned(),
    }
}

/// Returns the time of a claim, as far as it is one.
fn date(claims: &Map<String, Value>, name: &str) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(claims.get(name)?.as_f64()?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}

fn words(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}
