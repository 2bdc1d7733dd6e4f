//! How many sessions of each user and each address there are at all nodes, in Redis: a hash of each node's, and one of
//! all together.

use super::Redis;
use super::scripts;
use crate::cluster::NodeId;
use crate::history::Failed;

/// Of how many users and addresses they are taken off together.
const BATCH: usize = 256;

impl Redis {
    pub(super) async fn note_shares(
        &self,
        me: NodeId,
        counts: &[(String, usize)],
    ) -> Result<Vec<usize>, Failed> {
        let (keys, node) = (&self.link.keys, me.to_string());
        let mut call = scripts::SHARE.call(&[&keys.shares, &keys.shares_of(&node), &keys.nodes]);
        call.arg(node);
        for (name, count) in counts {
            call.arg(name).arg(count);
        }
        let totals: Vec<usize> = self.link.ask(&call).await?;
        if totals.len() != counts.len() {
            return Err(Failed::Io("the others take this node for dead".into()));
        }
        Ok(totals)
    }

    pub(super) async fn take_off_shares(&self, dead: NodeId) -> Result<(), Failed> {
        let (keys, node) = (&self.link.keys, dead.to_string());
        let mut call = scripts::UNSHARE.call(&[&keys.shares, &keys.shares_of(&node), &keys.nodes]);
        call.arg(node).arg(BATCH);
        loop {
            let done: usize = self.link.ask(&call).await?;
            if done == 0 {
                return Ok(());
            }
        }
    }
}
