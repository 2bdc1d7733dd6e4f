//! Whom the server asks and tells over HTTP: whether there is a way there. Nothing is asked.

use std::time::Duration;

use futures_util::future::join_all;
use http::Uri;

use super::finding::Finding;
use crate::cli::with_causes;
use crate::client::Url;
use crate::client::transport::{Dialled, Tls};
use crate::config::Config;
use crate::outbound::{Destinations, url};

const OUTSIDE: &str = "outside";
/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects to the webhook and to all hooks, with TLS where that is spoken.
pub(super) async fn check(config: &Config) -> Vec<Finding> {
    let webhook = config.webhook.url.iter();
    let webhook = webhook.map(|url| ("webhook.url".to_owned(), url, Destinations::Any));
    let hooks = config.hook.iter().enumerate().map(|(at, hook)| {
        let to = match hook.allow_private {
            true => Destinations::Any,
            false => Destinations::Public,
        };
        (format!("hook[{at}].url"), &hook.url, to)
    });
    join_all(webhook.chain(hooks).map(|(key, text, to)| async move {
        // What else it says may be secret.
        let Some(place) = url(text).ok().and_then(|uri| place(&uri)) else {
            let fix = format!("{key} = \"https://HOST/PATH\"");
            return Finding::wrong(OUTSIDE, format!("{key} is no URL"), fix);
        };
        match reach(&place, to).await {
            Ok(()) => Finding::ok(OUTSIDE, format!("{key} can be reached at {place}")),
            Err(why) => {
                let fix = format!(
                    "start what is to answer there, let this machine reach it, or correct {key}"
                );
                Finding::wrong(
                    OUTSIDE,
                    format!("{key} cannot be reached at {place}: {why}"),
                    fix,
                )
            }
        }
    }))
    .await
}

fn place(uri: &Uri) -> Option<Url> {
    format!("{}://{}", uri.scheme_str()?, uri.authority()?)
        .parse()
        .ok()
}

async fn reach(place: &Url, to: Destinations) -> Result<(), String> {
    let mut addresses = place.resolve().await.map_err(|error| error.to_string())?;
    addresses.retain(|address| {
        let uri = format!("http://{address}/").parse();
        uri.is_ok_and(|uri| to.allow(&uri))
    });
    if addresses.is_empty() {
        return Err("its address is private, and allow_private is not set".to_owned());
    }
    let tls = match place.is_secure {
        true => Some(
            Tls::to(&place.host, None, &[])
                .map_err(|error| error.to_string())?
                .into(),
        ),
        false => None,
    };
    let dialled = Dialled::to(&addresses, tls.as_ref(), PATIENCE).await;
    dialled.map(drop).map_err(|fault| with_causes(&fault))
}
