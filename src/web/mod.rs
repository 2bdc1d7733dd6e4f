//! HTTP pieces that transports and admin share; knows nothing of Bayeux.

pub mod charset;
pub mod cookies;
pub mod cors;
pub mod form;
pub mod response;
pub mod script;
pub mod socket;
pub mod websocket;

pub use response::{Persistence, Response};
pub use socket::Socket;
