//! The parts of a request as endpoints take them, with problems for those that are not what they should be; and
//! JSON on its way out.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{self, FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, header};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem};

/// The body of a request, which has arrived.
#[derive(Debug)]
pub struct Body(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let coding = request.headers().get(header::CONTENT_ENCODING);
        if coding.is_some_and(|coding| coding != "identity") {
            let detail = "the body is compressed (Content-Encoding); send it as it is";
            return Err(Problem::new(Kind::Body, detail));
        }
        let body = request.into_body().collect().await;
        let body = body.map_err(|error| Problem::new(Kind::Body, error.to_string()))?;
        Ok(Self(body.to_bytes()))
    }
}

/// The parameters of a query.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let read: Result<extract::Query<T>, QueryRejection> =
            extract::Query::try_from_uri(&parts.uri);
        match read {
            Ok(extract::Query(parameters)) => Ok(Self(parameters)),
            Err(error) => Err(Problem::new(Kind::Parameter, error.body_text())),
        }
    }
}

/// The parameters of a path.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let read: Result<extract::Path<T>, PathRejection> =
            extract::Path::from_request_parts(parts, state).await;
        match read {
            Ok(extract::Path(parameters)) => Ok(Self(parameters)),
            Err(error) => Err(Problem::new(Kind::Parameter, error.body_text())),
        }
    }
}

/// A response of JSON.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = body.into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        response
    }
}
