//! Several nodes on one Redis.

mod faults;
mod publish;
mod scene;
