//! The configuration read anew, because an operator asks for it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::caller::Caller;
use super::extract::Json;
use super::problem::{Kind, Problem};
use crate::authentication::api_keys::Permission;

/// What became of a configuration that was read anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reloaded {
    /// The keys whose values are others than before, and count from now on.
    #[schema(example = json!(["access", "rates.messages_per_session"]))]
    pub changed: Vec<String>,
    /// The keys whose values are others than before, and count once the server is started again.
    #[schema(example = json!(["http.listen"]))]
    pub needs_restart: Vec<String>,
}

/// Why nothing was changed: what `mirant check-config` would say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReloaded(pub String);

impl fmt::Display for NotReloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is to be read.
pub type Reloading = Pin<Box<dyn Future<Output = Result<Reloaded, NotReloaded>> + Send>>;

/// Reads the configuration anew, and takes up what can be.
pub trait Reloads: fmt::Debug + Send + Sync {
    /// Does so; one after the other, if it is asked for several times.
    fn reload(&self) -> Reloading;
}

/// Reads the configuration anew.
///
/// From where it was read at the start: the file, the environment of the process, and the arguments. What can change while
/// the server runs counts at once, and nobody is disconnected for it. A configuration that cannot be used changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/reload",
    operation_id = "reload",
    tag = "operating",
    responses(
        (status = 200, description = "It was read, and what has changed.", body = Reloaded),
        (status = 401, description = "There is no valid key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key does not allow `admin`.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be used, and why; nothing has changed.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn reload(
    caller: Caller,
    State(shared): State<Arc<Shared>>,
) -> Result<Json<Reloaded>, Problem> {
    caller.may(Permission::Admin)?;
    let Some(reloads) = shared.reloads.get() else {
        let detail = "the program that has started this server cannot read its configuration anew";
        return Err(Problem::new(Kind::Configuration, detail));
    };
    let reloaded = reloads.reload().await;
    reloaded
        .map(Json)
        .map_err(|error| Problem::new(Kind::Configuration, error.0))
}
