//! echo: the caller gets back what it sent.

use super::{Call, Handler};

/// The handler.
#[derive(Debug)]
pub(super) struct Echo;

impl Handler for Echo {
    fn handle(&self, call: Call) -> Result<(), Call> {
        call.reply(&call.data);
        Ok(())
    }
}
