//! What Redis does not do yet.

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::Redis;
use crate::bayeux::ClientId;
use crate::cluster::{Beat, Claim, NodeId, NodeInfo, Owner, Registry, Written};
use crate::history::Failed;

fn not_yet<T: Send + 'static>() -> BoxFuture<'static, Result<T, Failed>> {
    ready(Err(Failed::Io("not yet".into()))).boxed()
}

impl Registry for Redis {
    fn beat(&self, _: NodeInfo, _: std::time::Duration) -> BoxFuture<'_, Result<Beat, Failed>> {
        not_yet()
    }
    fn leave(&self, _: NodeId) -> BoxFuture<'_, Result<(), Failed>> {
        not_yet()
    }
    fn write(&self, _: NodeId, _: Vec<Written>) -> BoxFuture<'_, Result<Vec<ClientId>, Failed>> {
        not_yet()
    }
    fn find(&self, _: ClientId) -> BoxFuture<'_, Result<Option<Owner>, Failed>> {
        not_yet()
    }
    fn claim(
        &self,
        _: ClientId,
        _: Owner,
        _: NodeId,
        _: bool,
    ) -> BoxFuture<'_, Result<Claim, Failed>> {
        not_yet()
    }
    fn remove(&self, _: NodeId, _: Vec<(ClientId, u64)>) -> BoxFuture<'_, Result<(), Failed>> {
        not_yet()
    }
    fn lost(
        &self,
        _: NodeId,
        _: Vec<(ClientId, u64)>,
    ) -> BoxFuture<'_, Result<Vec<ClientId>, Failed>> {
        not_yet()
    }
    fn bury(&self, _: NodeId) -> BoxFuture<'_, Result<(), Failed>> {
        not_yet()
    }
}
