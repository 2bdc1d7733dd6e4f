//! The parts that need a Redis, with one that each test starts itself.

mod backplane;
mod redis_server;
