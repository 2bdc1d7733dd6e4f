//! The scripts that Redis runs: each is one change, whole or not at all.

use std::sync::LazyLock;

use redis::{Cmd, Pipeline, ToRedisArgs};

macro_rules! scripts {
    ($($name:ident $file:literal,)*) => {
        $(
            pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
                Script::new(concat!(include_str!("lua/common.lua"), include_str!($file)))
            });
        )*

        /// Returns all of them.
        pub(super) fn all() -> impl Iterator<Item = &'static Script> {
            [$(&*$name),*].into_iter()
        }
    };
}

scripts! {
    HELLO "lua/hello.lua",
    PUBLISH "lua/publish.lua",
    FIND "lua/find.lua",
    IDS "lua/ids.lua",
    CUT "lua/cut.lua",
    FORGET "lua/forget.lua",
    LOCK "lua/lock.lua",
    BEAT "lua/beat.lua",
    WRITE "lua/write.lua",
    CLAIM "lua/claim.lua",
    REMOVE "lua/remove.lua",
    BURY "lua/bury.lua",
    DEPART "lua/depart.lua",
}

/// A script, by the name that Redis knows it by.
#[derive(Debug)]
pub(super) struct Script {
    code: &'static str,
    hash: String,
}

impl Script {
    fn new(code: &'static str) -> Self {
        let hash = redis::Script::new(code).get_hash().to_owned();
        Self { code, hash }
    }

    /// Begins a call with keys; arguments follow.
    pub(super) fn call<K: ToRedisArgs>(&self, keys: &[K]) -> Cmd {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.hash).arg(keys.len()).arg(keys);
        call
    }
}

/// Returns what makes Redis know all of them.
pub(super) fn load() -> Pipeline {
    let mut pipeline = redis::pipe();
    for script in all() {
        pipeline.cmd("SCRIPT").arg("LOAD").arg(script.code).ignore();
    }
    pipeline
}
