//! Messages by requests, each of which has one response: long-polling and callback-polling; and the
//! connects among them that ask for a stream instead.

pub mod callback_polling;
mod exchange;
mod format;
mod held_poll;
pub mod long_polling;
mod passed;
mod replier;
mod way;

pub use passed::owner;
