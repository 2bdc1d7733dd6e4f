//! What application servers may ask for over HTTP, at `/api/v1/…`: one file for each subject.
//!
//! axum finds the endpoint of a request and utoipa describes them; how requests come and responses leave is the
//! listener's business. An endpoint is a function with `#[utoipa::path]` that is named in [`routes`]. It takes
//! [`Caller`](caller::Caller), which refuses requests without a key, and asks it what the key is for.

mod caller;
mod channels;
mod deliver;
mod document;
mod extract;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod history;
mod live;
mod message;
mod nodes;
mod operator;
mod paging;
mod problem;
mod publish;
mod receipts;
mod reload;
mod send;
mod sessions;
pub mod settings;
mod users;
mod watch;
mod work;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Request, header};
use http_body_util::BodyExt;
use serde_json::value::RawValue;
use tower_service::Service;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::authentication::api_keys::ApiKeys;
use crate::server::BayeuxServer;
use crate::transports::answer::{Answer, Deferred};
use crate::web::{Head, Response, Socket};
use caller::Address;
use live::Opening;
pub use operator::Operator;
use problem::{Kind, Problem};
use receipts::Receipts;
pub use reload::{NotReloaded, Reloaded, Reloading, Reloads};
pub use settings::Settings;
use work::{Working, worked};

/// Where the API is.
pub const PATH: &str = "/api/v1";
/// The header that makes a request one that may be sent again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The headers that endpoints may look at.
const HEADERS: [HeaderName; 4] = [
    AUTHORIZATION,
    CONTENT_ENCODING,
    CONTENT_TYPE,
    IDEMPOTENCY_KEY,
];

/// What endpoints work on.
#[derive(Debug)]
pub struct Shared {
    /// The server.
    pub server: Arc<BayeuxServer>,
    /// What an operator has set.
    terms: crate::live::Live<Terms>,
    /// What was sent under idempotency keys.
    receipts: Receipts,
    /// What reads the configuration anew, if the program has such a thing.
    reloads: OnceLock<Arc<dyn Reloads>>,
    /// The description of all endpoints.
    document: Box<RawValue>,
}

/// What an operator may change while the server runs.
#[derive(Debug)]
pub struct Terms {
    /// The keys of application servers.
    pub keys: ApiKeys,
    /// The bounds.
    pub settings: Settings,
    /// What only the configuration knows.
    pub operator: Operator,
}

/// The API of a server.
pub struct HttpApi {
    router: Router,
    shared: Arc<Shared>,
    server: Arc<BayeuxServer>,
}

/// How much work was done for a request: put into the extensions of its response.
#[derive(Debug, Clone, Copy)]
pub struct Work(pub usize);

impl fmt::Debug for HttpApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpApi").finish_non_exhaustive()
    }
}

/// Lists the endpoints.
fn endpoints() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::with_openapi(document::Common::openapi())
        .routes(routes!(publish::publish))
        .routes(routes!(publish::publish_on))
        .routes(routes!(deliver::deliver))
        .routes(routes!(channels::list))
        .routes(routes!(channels::one))
        .routes(routes!(history::overview))
        .routes(routes!(history::read, history::delete))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::one, sessions::end))
        .routes(routes!(users::disconnect))
        .routes(routes!(watch::figures))
        .routes(routes!(watch::channel))
        .routes(routes!(watch::session))
        .routes(routes!(operator::key))
        .routes(routes!(operator::configuration))
        .routes(routes!(operator::explain))
        .routes(routes!(operator::nodes))
        .routes(routes!(reload::reload))
        .routes(routes!(document::openapi))
}

impl HttpApi {
    /// Makes the API of a server.
    #[must_use]
    pub fn new(server: &Arc<BayeuxServer>, terms: Terms) -> Self {
        let (router, document) = endpoints().split_for_parts();
        let document = RawValue::from_string(document::render(&document));
        let shared = Shared {
            receipts: Receipts::new(
                terms.settings.idempotency_window,
                terms.settings.max_idempotency_keys,
                server.shared_metrics(),
            ),
            server: Arc::clone(server),
            terms: terms.into(),
            reloads: OnceLock::new(),
            document: document.expect("the description is JSON"),
        };
        let shared = Arc::new(shared);
        let router = router
            .fallback(nothing_here)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(Arc::clone(&shared));
        Self {
            router,
            shared,
            server: Arc::clone(server),
        }
    }

    /// Takes up other terms, for the next request.
    pub fn renew(&self, terms: Terms) {
        self.shared.terms.set(terms);
    }

    /// Has the configuration read anew by this when an operator asks for that; the first counts.
    pub fn reload_by(&self, reloads: Arc<dyn Reloads>) {
        let _ = self.shared.reloads.set(reloads);
    }

    /// Tells whether a path is one of its own.
    #[must_use]
    pub fn is_at(&self, path: &str) -> bool {
        let below = path.strip_prefix(PATH);
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }

    /// Answers a request whose body has arrived: mostly at once.
    pub fn serve(&self, head: &Head, body: Bytes, socket: &Socket) -> Answer {
        if self.server.is_cut() {
            return Response::stopped().into();
        }
        let request = request(head, body, socket);
        let mut router = self.router.clone();
        let mut response = Box::pin(async move {
            let Ok(response) = router.call(request).await;
            let (parts, body) = response.into_parts();
            let body = body.collect().await;
            (parts, body.unwrap_or_default().to_bytes())
        });
        // Whoever waits is asked again with a waker that counts.
        match response
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready((parts, body)) => answered(&parts, body, socket),
            // It is done also if its client goes away meanwhile: who asks again hears what became of it.
            Poll::Pending => Answer::later(Deferred::before(
                tokio::spawn(response),
                |done: Result<_, _>, socket: &Socket| match done {
                    Ok((parts, body)) => answered(&parts, body, socket),
                    Err(_) => Response::new(http::StatusCode::INTERNAL_SERVER_ERROR).into(),
                },
            )),
        }
    }
}

async fn nothing_here() -> Problem {
    let detail = format!("there is nothing at this path; {PATH}/openapi.json lists what there is");
    Problem::new(Kind::NothingHere, detail)
}

async fn method_not_allowed() -> Problem {
    let detail = "this path has other methods, which the Allow header lists";
    Problem::new(Kind::Method, detail)
}

/// Makes the request that the router takes.
fn request(head: &Head, body: Bytes, socket: &Socket) -> Request<Body> {
    let mut request = Request::new(Body::from(body));
    request.method_mut().clone_from(&head.method);
    request.uri_mut().clone_from(&head.uri);
    let headers = request.headers_mut();
    for name in HEADERS {
        let value = head.headers.get(&name).map(HeaderValue::from_bytes);
        if let Some(Ok(value)) = value {
            headers.insert(name, value);
        }
    }
    request.extensions_mut().insert(Address(socket.peer().ip()));
    request
}

/// Makes the response that the connection writes, or goes on with.
fn answered(parts: &http::response::Parts, body: Bytes, socket: &Socket) -> Answer {
    if let Some(answer) = parts.extensions.get().and_then(Opening::answer) {
        return answer;
    }
    if let Some(Work(work)) = parts.extensions.get() {
        socket.note_work(*work);
    }
    let response = Response::new(parts.status).header(header::CACHE_CONTROL.as_str(), b"no-store");
    let others = parts
        .headers
        .iter()
        .filter(|(name, _)| *name != CONTENT_LENGTH);
    let response = others.fold(response, |response, (name, value)| {
        response.header(name.as_str(), value.as_bytes())
    });
    response.body(body.into()).into()
}
