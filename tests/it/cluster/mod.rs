//! Several nodes on one Redis.

mod faults;
mod passing;
mod publish;
mod reaching;
mod scene;
