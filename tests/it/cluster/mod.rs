//! Several nodes on one Redis.

mod away;
mod faults;
mod passing;
mod publish;
mod scene;
