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
mod login;
mod logins;
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
use axum::routing::get;
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
use crate::authentication::operators::Operators;
use crate::live::Current;
use crate::server::BayeuxServer;
use crate::traces::{self, Side, Span};
use crate::transports::answer::{Answer, Deferred};
use crate::web::{Head, Response, Socket};
use caller::Arrival;
use live::Opening;
use logins::Logins;
pub use operator::Operator;
use problem::{Kind, Problem};
use receipts::Receipts;
pub use reload::{NotReloaded, Reloaded, Reloading, Reloads};
pub use settings::{LoginSettings, Settings};
use work::{Working, worked};

/// Where the API is.
pub const PATH: &str = "/api/v1";
/// Where one logs in to the operator's page.
const LOGIN: &str = "/api/v1/login";
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
    /// Who has logged in to the operator's page.
    logins: Logins,
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
    /// Who may log in to the operator's page.
    pub operators: Operators,
    /// The bounds.
    pub settings: Settings,
    /// Those of logins.
    pub logins: LoginSettings,
    /// What only the configuration knows.
    pub operator: Operator,
}

/// The API of a server.
pub struct HttpApi {
    router: Router,
    shared: Arc<Shared>,
    /// It takes logins as it takes keys.
    takes_logins: bool,
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
        let (_, document) = endpoints().split_for_parts();
        let document = RawValue::from_string(document::render(&document));
        let shared = Shared {
            receipts: Receipts::new(
                terms.settings.idempotency_window,
                terms.settings.max_idempotency_keys,
                server.shared_metrics(),
            ),
            logins: Logins::default(),
            server: Arc::clone(server),
            terms: terms.into(),
            reloads: OnceLock::new(),
            document: document.expect("the description is JSON"),
        };
        Self::of(Arc::new(shared), false)
    }

    /// Returns the same for the operator's listener, where one may log in.
    #[must_use]
    pub fn with_logins(&self) -> Self {
        Self::of(Arc::clone(&self.shared), true)
    }

    fn of(shared: Arc<Shared>, takes_logins: bool) -> Self {
        let (router, _) = endpoints().split_for_parts();
        let login = get(login::state).post(login::begin).delete(login::end);
        let router = match takes_logins {
            true => router.route(LOGIN, login),
            false => router,
        };
        let router = router
            .fallback(nothing_here)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(Arc::clone(&shared));
        Self {
            router,
            shared,
            takes_logins,
        }
    }

    /// Returns the terms that it goes by.
    pub fn terms(&self) -> Current<Terms> {
        self.shared.terms.get()
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
        if self.shared.server.is_cut() {
            return Response::stopped().into();
        }
        let arrival = Arrival::new(socket);
        let arrival = match self.takes_logins {
            true => arrival.with_logins(head),
            false => arrival,
        };
        let request = request(head, body, arrival);
        let span = span(head);
        let mut router = self.router.clone();
        let mut response = Box::pin(async move {
            let Ok(response) = span.around(router.call(request)).await;
            span.answered(Side::Server, response.status().as_u16());
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

/// Begins the span of a request, below that of whoever asks.
fn span(head: &Head) -> Span {
    let parent = head.headers.get(&traces::HEADER);
    let parent = parent.and_then(|parent| HeaderValue::from_bytes(parent).ok());
    let span = Span::begin(
        Side::Server,
        || format!("{} {}", head.method, route(head.uri.path())),
        parent.as_ref(),
    );
    span.set("http.request.method", head.method.as_str());
    span.set("http.route", route(head.uri.path()));
    span
}

/// Returns a path as far as all that is below it is alike.
fn route(path: &str) -> &str {
    let rest = path
        .strip_prefix(PATH)
        .and_then(|rest| rest.strip_prefix('/'));
    let first = rest.and_then(|rest| rest.split('/').next());
    first.map_or(path, |first| &path[..PATH.len() + 1 + first.len()])
}

/// Makes the request that the router takes.
fn request(head: &Head, body: Bytes, arrival: Arrival) -> Request<Body> {
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
    request.extensions_mut().insert(arrival);
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
