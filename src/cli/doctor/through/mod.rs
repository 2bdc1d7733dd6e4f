//! What a proxy does to clients, found out as one of them.

mod arrival;
mod directives;
mod idle;
mod streams;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_rustls::rustls::RootCertStore;

use self::directives::Program;
use self::streams::{Offered, Publisher};
use super::asking::{Asked, ask};
use super::finding::Finding;
use crate::cli::with_causes;
use crate::client::transport::ConnectionType;
use crate::client::{Credentials, Fault, Identity, Server, Session, Url};

const REACH: &str = "reach";
const HANDSHAKE: &str = "handshake";
/// How long an answer may take that is due at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is looked for, and where.
#[derive(Debug)]
pub(super) struct Through {
    /// The public address of the endpoint.
    pub(super) url: Url,
    pub(super) credentials: Credentials,
    pub(super) authorities: Option<Arc<RootCertStore>>,
    /// The channel on which events are published for a stream.
    pub(super) channel: String,
    /// Whether it is not waited for a held connect.
    pub(super) is_quick: bool,
}

impl Through {
    /// Looks for all of it; what takes its time goes on at once.
    pub(super) async fn check(&self) -> Vec<Finding> {
        let url = self.url.to_string();
        let (polling, asked) = match self.ask().await {
            Ok(asked) => asked,
            Err(fault) => return vec![unreachable(REACH, &url, &fault)],
        };
        let mut findings = Vec::new();
        match arrival::reach(&asked, &url, self.url.path()) {
            Ok(reached) => findings.push(reached),
            Err(finding) => return vec![finding],
        }
        let proxy = Program::of(asked.program.as_deref());
        findings.extend(arrival::judge(&asked, proxy));
        if asked.is_misdirected() {
            // So is all else.
            return findings;
        }
        match self.exercise(&polling, proxy).await {
            Ok(found) => findings.extend(found),
            Err(fault) => findings.push(unreachable(HANDSHAKE, &url, &fault)),
        }
        findings
    }

    async fn ask(&self) -> Result<(Server, Asked), Fault> {
        let polling = self.server(ConnectionType::LongPolling).await?;
        let dialled = polling.dial().await?;
        let asked = ask(dialled, &self.url.authority, self.url.path(), PATIENCE).await?;
        Ok((polling, asked))
    }

    async fn server(&self, connection_type: ConnectionType) -> Result<Server, Fault> {
        let credentials = self.credentials.clone();
        let authorities = self.authorities.clone();
        Server::find(
            self.url.clone(),
            connection_type,
            credentials,
            PATIENCE,
            authorities,
        )
        .await
    }

    /// Uses the server as a client does.
    async fn exercise(
        &self,
        polling: &Server,
        proxy: Option<Program>,
    ) -> Result<Vec<Finding>, Fault> {
        let streaming = self.server(ConnectionType::XhrStreaming).await?;
        let mut session = open(polling, Identity::default()).await?;
        let reply = session.begin(polling, false).await?;
        let offered = offered(session.arrived().batch());
        let has = |kind: ConnectionType| offered.iter().any(|name| name == kind.name());
        let socket = async {
            match has(ConnectionType::WebSocket) || offered.is_empty() {
                true => websocket::check(polling, proxy).await,
                false => websocket::off(),
            }
        };
        if !reply.is_successful {
            let fix = "--token or --user of somebody who may; without, streams and held connects are not looked at";
            let seen = format!("the server refuses: {}", reply.error);
            return Ok(vec![Finding::warning(HANDSHAKE, seen, fix), socket.await]);
        }
        let mut publisher = Publisher {
            session: open(polling, session.identity()).await?,
            server: polling,
            channel: &self.channel,
        };
        let streams = Offered {
            events: offered.iter().any(|name| name == "eventsource"),
            chunks: has(ConnectionType::XhrStreaming),
        };
        let streams = streams::check(&mut publisher, &streaming, streams, proxy);
        let idle = async {
            match self.is_quick {
                true => None,
                false => Some(idle::check(&mut session, polling, proxy).await),
            }
        };
        let (socket, streams, idle) = tokio::join!(socket, streams, idle);
        publisher.session.leave(polling).await;
        Ok([socket, streams].into_iter().chain(idle).collect())
    }
}

async fn open(server: &Server, identity: Identity) -> Result<Session, Fault> {
    Session::over(server.dial().await?, server, identity).await
}

/// The connection types that the reply to a handshake offers.
fn offered(batch: &[u8]) -> Vec<String> {
    let messages: Value = serde_json::from_slice(batch).unwrap_or_default();
    let types = messages[0]["supportedConnectionTypes"].as_array();
    let names = types.into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

fn unreachable(check: &'static str, url: &str, fault: &Fault) -> Finding {
    let seen = format!("{url}: {}", with_causes(fault));
    let fix = match fault {
        Fault::Tls(_) => {
            "a certificate for this host that clients trust; --ca names a private authority"
        }
        Fault::Resolve { .. } => "an entry for the host in the DNS",
        _ => "start the proxy and the server, and let this machine reach them",
    };
    Finding::wrong(check, seen, fix)
}
