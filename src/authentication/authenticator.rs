//! What checks what clients show.

use core::net::IpAddr;

use super::{Check, Shown};
use crate::bayeux::Message;

/// What checks what clients show; without anything to check by it is off, and everybody is anonymous.
#[derive(Debug, Default)]
pub struct Authenticator {}

impl Authenticator {
    /// Tells whether there is anything to check by.
    #[must_use]
    pub fn is_on(&self) -> bool {
        false
    }

    /// Checks what a handshake shows, or if it shows nothing the head of its request; nothing if neither
    /// does. `address` is its client's.
    #[must_use]
    pub fn handshake(
        &self,
        message: &Message<'_>,
        shown: Option<&Shown>,
        address: Option<IpAddr>,
    ) -> Option<Check> {
        let _ = (message, shown, address);
        None
    }

    /// Checks what a later message of a session shows; nothing if it shows nothing.
    #[must_use]
    pub fn message(&self, message: &Message<'_>) -> Option<Check> {
        let _ = message;
        None
    }

    /// Checks what the head of a request shows; nothing if it shows nothing.
    #[must_use]
    pub fn request(&self, shown: &Shown) -> Option<Check> {
        let _ = shown;
        None
    }
}
