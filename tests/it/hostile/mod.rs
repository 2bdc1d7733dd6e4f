//! Who means ill: whatever is sent, others notice nothing.

mod bystanders;
mod floods;
mod http1;
mod spoilt;
mod websocket;
