//! Several nodes on one Redis.

mod everywhere;
mod faults;
mod passing;
mod publish;
mod scene;
