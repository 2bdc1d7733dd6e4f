//! Several nodes on one Redis.

mod away;
mod everywhere;
mod faults;
mod frozen;
mod limits;
mod lives;
mod passing;
mod publish;
mod reaching;
mod scene;
