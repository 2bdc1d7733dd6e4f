//! What an answer says of nodes of a cluster that it lacks.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Kind, Problem};
use crate::server::NoAnswer;

/// After which time a node may answer that does not now.
const RETRY: Duration = Duration::from_secs(1);

/// The nodes of a cluster that did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct MissingNodes {
    /// How many nodes of the cluster did not answer, of which this lacks what there is; left out if all did.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes_missing: Option<usize>,
}

impl MissingNodes {
    /// So many.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self {
            nodes_missing: (count > 0).then_some(count),
        }
    }

    /// Says why there is nothing to tell: it is not there; or a node did not answer that may have it.
    #[must_use]
    pub fn or(self, problem: Problem) -> Problem {
        match self.nodes_missing {
            None => problem,
            Some(_) => NoAnswer.into(),
        }
    }
}

impl From<NoAnswer> for Problem {
    fn from(_: NoAnswer) -> Self {
        let detail =
            "another node of the cluster does not answer; it may have done what it was asked to";
        Self::new(Kind::Unavailable, detail).retry_after(Some(RETRY))
    }
}
