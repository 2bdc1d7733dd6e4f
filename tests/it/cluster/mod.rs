//! Several nodes on one Redis.

mod everywhere;
mod faults;
mod limits;
mod lives;
mod passing;
mod publish;
mod scene;
