//! HTTP requests that the server makes itself: for the keys of issuers, and to a webhook. It knows neither.
//! `signature.rs` signs them; `destinations.rs` keeps them from private addresses.
//!
//! [`Outbound::send`] takes a request with an absolute URL and the whole body, and returns the response with
//! the whole body, whatever its status. All of it, the wait for a free place included, has
//! [`Bounds::timeout`]; to drop the future gives the request up. Redirects are not followed, the proxies that
//! the environment names are not asked, and cookies are not kept. Connections stay open for the next request.
//! A URL that begins with `https` is trusted by the certificate authorities of the system, so that those of a
//! company count, and `SSL_CERT_FILE` and `SSL_CERT_DIR` say others.

mod destinations;
mod signature;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::builderstates::WantsSchemes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::traces::{Side, Span};
pub use destinations::Destinations;
use destinations::Resolver;
pub use signature::{Signed, Signer, random_id};

/// Bytes of a response's head.
const MAX_HEAD: usize = 64 * 1024;
/// How long a connection stays open that has nothing to do.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// The bounds on requests.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long one may take, from the call of [`Outbound::send`] to the end of the response.
    pub timeout: Duration,
    /// Bytes of a response's body.
    pub max_response: usize,
    /// How many are on their way at once; others wait.
    pub max_requests: usize,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It took too long.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The response is too large.
    #[error("the answer is larger than {max} bytes")]
    TooLarge {
        /// What it may be.
        max: usize,
        /// What its head says.
        status: StatusCode,
    },
    /// There is no connection: nothing was sent.
    #[error("{}", with_causes(.0.as_ref()))]
    Unconnected(Box<dyn std::error::Error + Send + Sync>),
    /// The connection broke, or what came is no HTTP.
    #[error("{}", with_causes(.0.as_ref()))]
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

/// What sends requests.
#[derive(Debug)]
pub struct Outbound {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    destinations: Destinations,
    bounds: Bounds,
    places: Semaphore,
}

impl Outbound {
    /// Reads the system's certificate authorities. Requests may go anywhere.
    ///
    /// # Errors
    /// There are none.
    pub fn new(bounds: Bounds) -> io::Result<Self> {
        Self::to(Destinations::Any, bounds)
    }

    /// Trusts these certificate authorities. Requests may go anywhere.
    ///
    /// # Errors
    /// The library refuses to speak TLS.
    pub fn trusting(authorities: Arc<RootCertStore>, bounds: Bounds) -> io::Result<Self> {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(authorities)
            .with_no_client_auth();
        let builder = HttpsConnectorBuilder::new().with_tls_config(config);
        Ok(Self::by(builder, Destinations::Any, bounds))
    }

    /// Reads the system's; requests may go there only.
    ///
    /// # Errors
    /// There are no certificate authorities.
    pub fn to(destinations: Destinations, bounds: Bounds) -> io::Result<Self> {
        let builder = HttpsConnectorBuilder::new().with_native_roots()?;
        Ok(Self::by(builder, destinations, bounds))
    }

    fn by(
        builder: HttpsConnectorBuilder<WantsSchemes>,
        destinations: Destinations,
        bounds: Bounds,
    ) -> Self {
        let mut http = HttpConnector::new_with_resolver(Resolver::new(destinations));
        http.enforce_http(false);
        let connector = builder.https_or_http().enable_http1().wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_ALIVE)
            .pool_max_idle_per_host(bounds.max_requests)
            .http1_max_buf_size(MAX_HEAD)
            .build(connector);
        Self {
            client,
            destinations,
            bounds,
            places: Semaphore::new(bounds.max_requests),
        }
    }

    /// Sends a request, and waits for the response.
    ///
    /// # Errors
    /// There is no response, or none within the bounds.
    pub async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, Failure> {
        let span = Span::begin(Side::Client, || request.method().to_string(), None);
        span.set("http.request.method", request.method().as_str());
        span.set("server.address", request.uri().host().unwrap_or_default());
        span.carry(request.headers_mut());
        let response = self.send_untraced(request).await;
        match &response {
            Ok(response) => span.answered(Side::Client, response.status().as_u16()),
            Err(failure) => span.fail(failure),
        }
        response
    }

    /// Does the same without a span: what sends these would never come to an end.
    ///
    /// # Errors
    /// There is no response, or none within the bounds.
    pub async fn send_untraced(
        &self,
        mut request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Failure> {
        let agent = concat!("mirant/", env!("CARGO_PKG_VERSION"));
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        tokio::time::timeout(self.bounds.timeout, self.exchange(request.map(Full::new)))
            .await
            .unwrap_or(Err(Failure::Timeout(self.bounds.timeout)))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Failure> {
        let _place = self.places.acquire().await;
        let check = self.destinations.check(request.uri());
        check.map_err(|error| Failure::Unconnected(error.into()))?;
        let response = self.client.request(request).await;
        let response = response.map_err(|error| match error.is_connect() {
            true => Failure::Unconnected(error.into()),
            false => Failure::Broken(error.into()),
        })?;
        let (head, body) = response.into_parts();
        let max = self.bounds.max_response;
        match Limited::new(body, max).collect().await {
            Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLarge {
                max,
                status: head.status,
            }),
            Err(error) => Err(Failure::Broken(error)),
        }
    }
}

/// Reads a URL to which a request can be sent.
///
/// # Errors
/// What is wrong with it, as a sentence that goes on after it.
pub fn url(text: &str) -> Result<Uri, &'static str> {
    let uri: Uri = text.parse().map_err(|_| "must be a URL")?;
    let authority = uri.authority().map(http::uri::Authority::as_str);
    match (uri.scheme_str(), authority) {
        (Some("http" | "https"), Some(authority)) if authority.contains('@') => {
            Err("must not hold a user or a password")
        }
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err("must begin with https:// (or http://) and a host"),
    }
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests;
