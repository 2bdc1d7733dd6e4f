//! How arrays of messages stand in a response that goes on.

use std::fmt::Debug;

/// How arrays of messages stand in a response.
pub trait Wrapping: Debug + Send {
    /// Returns the header lines.
    fn head(&self) -> &'static [u8];
    /// Tells whether the connect's reply is the first array, and not the last.
    fn replies_first(&self) -> bool {
        false
    }
    /// Writes what comes before all arrays.
    fn begin(&self, out: &mut Vec<u8>);
    /// Writes an array.
    fn array(&self, json: &[u8], out: &mut Vec<u8>);
    /// Writes something that means nothing.
    fn heartbeat(&self, out: &mut Vec<u8>);
    /// Writes what comes after all arrays.
    fn end(&self, out: &mut Vec<u8>);
}
