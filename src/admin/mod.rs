//! The operator's own listener: `GET /metrics` (Prometheus text), `GET /healthz` and `/readyz`, and a page at `/`.

mod page;

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::json;

use crate::server::BayeuxServer;
use crate::web::{Head, Page, Response};

pub use page::AdminPage;

/// What the operator may ask of a server.
#[derive(Debug)]
pub struct Admin {
    server: Arc<BayeuxServer>,
}

impl Admin {
    /// Makes the operator's side of a server.
    #[must_use]
    pub fn new(server: Arc<BayeuxServer>) -> Self {
        Self { server }
    }

    fn readiness(&self) -> Response {
        let reasons = self.server.not_ready();
        let status = match reasons.is_empty() {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        let text = json!({"ready": reasons.is_empty(), "reasons": reasons}).to_string();
        Response::with_body(status, "application/json", text.into_bytes())
    }
}

impl Page for Admin {
    /// All paths are the operator's.
    fn is_at(&self, _: &str) -> bool {
        true
    }

    fn serve(&self, head: &Head) -> Response {
        if head.method != Method::GET {
            return Response::error(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here")
                .header("Allow", b"GET");
        }
        match head.uri.path() {
            "/metrics" => {
                let text = self.server.metrics().render().into_bytes();
                Response::with_body(
                    StatusCode::OK,
                    "text/plain; version=0.0.4; charset=utf-8",
                    text,
                )
            }
            "/healthz" if self.server.is_stopping() => {
                Response::error(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping")
            }
            "/healthz" => {
                // It serves all else, and to start it again would not help.
                let refused = self.server.metrics().cluster.refusing.lately();
                let text = match (self.server.history_health(), refused) {
                    (Err(failed), _) => format!("ok, but history is not kept: {failed}\n"),
                    (Ok(()), Some(why)) => {
                        format!("ok, but other nodes of the cluster refuse this one: {why}\n")
                    }
                    (Ok(()), None) => "ok\n".to_owned(),
                };
                Response::with_body(
                    StatusCode::OK,
                    "text/plain; charset=utf-8",
                    text.into_bytes(),
                )
            }
            "/readyz" => self.readiness(),
            _ => Response::error(
                StatusCode::NOT_FOUND,
                "there are /metrics, /healthz and /readyz here",
            ),
        }
    }
}
