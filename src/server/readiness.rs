//! Whether clients are better sent elsewhere now, and why.

use super::BayeuxServer;

impl BayeuxServer {
    /// Says why new clients are better sent elsewhere; nothing if they are not. It serves those that it has all the
    /// same, and to start it again would not help.
    #[must_use]
    pub fn not_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.is_stopping() {
            reasons.push("the server is stopping".to_owned());
        }
        let cluster = self.core.cluster.as_ref();
        if cluster.is_some_and(|cluster| !cluster.links.backplane.is_up()) {
            reasons.push("the cluster's Redis is away".to_owned());
        } else if let Err(failed) = self.history_health() {
            reasons.push(format!("history is not kept: {failed}"));
        }
        reasons
    }
}
