//! The `OpenAPI` description: what each endpoint says of itself, and what they have in common.

use axum::extract::State;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use std::sync::Arc;

use super::Shared;
use super::extract::Json;
use super::problem::Problem;

/// What all endpoints have in common.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Mirant",
        description = "What application servers may ask of a push server. Errors are problem details (RFC 9457)."
    ),
    components(schemas(Problem)),
    modifiers(&Bearer),
    security(("key" = []))
)]
pub(super) struct Common;

#[derive(Debug)]
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The key of an `[[api.key]]` entry."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// Makes the text of the description. A parameter that takes the rest of a path has a name there as any other.
pub(super) fn render(document: &utoipa::openapi::OpenApi) -> String {
    let text = document.to_json().unwrap_or_default();
    text.replace("/{*", "/{")
}

/// This description.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "description",
    tag = "description",
    security(()),
    responses((status = 200, description = "The description.", body = serde_json::Value))
)]
pub(super) async fn openapi(
    State(shared): State<Arc<Shared>>,
) -> Json<Box<serde_json::value::RawValue>> {
    Json(shared.document.clone())
}
