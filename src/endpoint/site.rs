//! What is served at which path.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};

use crate::admin::Admin;
use crate::demo;
use crate::transports::{self, Answer};
use crate::web::Response;

/// What a listener serves.
#[derive(Debug)]
pub enum Site {
    /// Bayeux, for the world.
    Public {
        /// The Bayeux endpoint.
        bayeux: transports::Endpoint,
        /// Whether the demonstration page is at `/`.
        demo: bool,
    },
    /// The operator's own.
    Admin(Arc<Admin>),
}

impl Site {
    /// Serves a request whose body has arrived.
    pub async fn serve(&self, request: Request<Bytes>) -> Answer {
        match self {
            Self::Admin(admin) => admin.serve(&request).into(),
            Self::Public { bayeux, .. } if bayeux.is_at(request.uri().path()) => {
                bayeux.serve(request).await
            }
            Self::Public { demo: true, .. } if demo::is_at(request.uri().path()) => {
                demo::serve(&request).into()
            }
            Self::Public { .. } => {
                Response::error(StatusCode::NOT_FOUND, "there is nothing at this path").into()
            }
        }
    }
}
