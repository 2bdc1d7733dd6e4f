//! HTTP pieces that transports and admin share; knows nothing of Bayeux.

pub mod asset;
pub mod carrier;
pub mod charset;
pub mod cookies;
pub mod cors;
pub mod form;
pub mod forwarded;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod gzip;
pub mod head;
pub mod hosts;
pub mod http2;
pub mod io;
pub mod page;
pub mod patience;
pub mod response;
pub mod script;
pub mod socket;
pub mod strict;
pub mod tls;
pub mod transfer;
pub mod websocket;
pub mod witness;

pub use carrier::Carrier;
pub use head::{Head, Headers, Request};
pub use hosts::Hosts;
pub use io::Io;
pub use page::Page;
pub use patience::{Patience, Slowness};
pub use response::{Persistence, Response};
pub use socket::{NotWritten, Socket, Why};
pub use transfer::Transfer;
pub use witness::Witness;
