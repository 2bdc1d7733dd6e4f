//! What other nodes ask of this one.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::super::BayeuxServer;
use super::super::core::Core;
use super::{asked, handing_over, moving};
use crate::cluster::{CallKind, Calls, NodeId};

/// Answers what other nodes ask.
#[derive(Debug)]
struct Answering(Arc<Core>);

impl Calls for Answering {
    fn answer(
        &self,
        from: NodeId,
        kind: CallKind,
        body: Bytes,
    ) -> BoxFuture<'_, Result<Bytes, String>> {
        let core = Arc::clone(&self.0);
        match kind {
            CallKind::Take => moving::answer(core, from, body).boxed(),
            CallKind::Give => handing_over::answer(core, from, body).boxed(),
            CallKind::Ask => asked::answer(core, body).boxed(),
        }
    }
}

impl BayeuxServer {
    /// Returns what answers the calls of other nodes.
    #[must_use]
    pub fn calls(&self) -> Arc<dyn Calls> {
        Arc::new(Answering(Arc::clone(&self.core)))
    }
}
