//! Which channels and patterns have subscribers at any node, in Redis: a set of each node's, and how many nodes have
//! each.

use super::Redis;
use super::scripts;
use crate::bayeux::{ChannelPattern, Limits};
use crate::cluster::NodeId;
use crate::history::Failed;

/// How many are taken off together.
const BATCH: usize = 256;

impl Redis {
    pub(super) async fn note_occupied(
        &self,
        me: NodeId,
        changes: &[(ChannelPattern, bool)],
    ) -> Result<Vec<bool>, Failed> {
        let (keys, node) = (&self.link.keys, me.to_string());
        let mut call =
            scripts::OCCUPY.call(&[&keys.occupied, &keys.occupied_of(&node), &keys.nodes]);
        call.arg(node);
        for (pattern, has_any) in changes {
            call.arg(pattern.as_str()).arg(u8::from(*has_any));
        }
        let told: Vec<u8> = self.link.ask(&call).await?;
        if told.len() != changes.len() {
            return Err(Failed::Io("the others take this node for dead".into()));
        }
        Ok(told.into_iter().map(|told| told == 1).collect())
    }

    pub(super) async fn take_off_occupied(
        &self,
        dead: NodeId,
    ) -> Result<Option<Vec<ChannelPattern>>, Failed> {
        let (keys, node) = (&self.link.keys, dead.to_string());
        let mut call =
            scripts::VACATE.call(&[&keys.occupied, &keys.occupied_of(&node), &keys.nodes]);
        call.arg(node).arg(BATCH);
        let (done, vacated): (usize, Vec<String>) = self.link.ask(&call).await?;
        let known = Limits::of_known_channels();
        let vacated = vacated.iter();
        let vacated = vacated.filter_map(|text| ChannelPattern::parse(text, &known).ok());
        Ok((done > 0).then(|| vacated.collect()))
    }

    /// Tells whether anything is left that others have counted of a node.
    pub(super) async fn is_counted(&self, node: NodeId) -> Result<bool, Failed> {
        let (keys, node) = (&self.link.keys, node.to_string());
        let mut command = redis::cmd("EXISTS");
        command.arg(&[keys.occupied_of(&node), keys.shares_of(&node)]);
        let left: u8 = self.link.ask(&command).await?;
        Ok(left > 0)
    }
}
