//! What Redis does not do yet.

use std::time::SystemTime;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::Redis;
use crate::bayeux::{ChannelPattern, ClientId};
use crate::cluster::{Beat, Claim, NodeId, NodeInfo, Owner, Registry, Written};
use crate::history::{
    Entry, Epoch, Failed, Figures, Page, Place, Query, Saved, Store, Survey, Want,
};

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

impl Store for Redis {
    fn epoch(&self) -> Epoch {
        "".into()
    }
    fn append(&self, _: Vec<Entry>) -> BoxFuture<'_, Result<Vec<Place>, Failed>> {
        not_yet()
    }
    fn read(&self, _: Query) -> BoxFuture<'_, Result<Page, Failed>> {
        not_yet()
    }
    fn survey(&self, _: Want, _: usize) -> BoxFuture<'_, Result<Survey, Failed>> {
        not_yet()
    }
    fn remove(&self, _: ChannelPattern, _: u64) -> BoxFuture<'_, Result<u64, Failed>> {
        not_yet()
    }
    fn trim(&self, _: SystemTime) -> BoxFuture<'_, Result<(), Failed>> {
        ready(Ok(())).boxed()
    }
    fn figures(&self) -> Figures {
        Figures::default()
    }
    fn health(&self) -> Result<(), Failed> {
        Ok(())
    }
    fn is_durable(&self) -> bool {
        false
    }
    fn is_synced(&self) -> bool {
        false
    }
    fn save_sessions(&self, _: Vec<Saved>) -> BoxFuture<'_, Result<(), Failed>> {
        not_yet()
    }
    fn take_sessions(&self, _: usize, _: usize) -> BoxFuture<'_, Result<Vec<Saved>, Failed>> {
        not_yet()
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}
