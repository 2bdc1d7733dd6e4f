//! The scripts that Redis runs: each is one change, whole or not at all.

use std::sync::LazyLock;

use redis::{Cmd, Pipeline, ToRedisArgs};

macro_rules! scripts {
    ($($name:ident [$($file:literal),*],)*) => {
        $(
            pub(super) static $name: LazyLock<Script> =
                LazyLock::new(|| Script::new(concat!($(include_str!($file)),*)));
        )*

        /// Returns all of them.
        fn all() -> impl Iterator<Item = &'static Script> {
            [$(&*$name),*].into_iter()
        }
    };
}

scripts! {
    HELLO ["lua/common.lua", "lua/hello.lua"],
    PUBLISH ["lua/once.lua", "lua/publish.lua"],
    KEEP ["lua/common.lua", "lua/once.lua", "lua/keep.lua"],
    FIND ["lua/find.lua"],
    IDS ["lua/ids.lua"],
    CUT ["lua/common.lua", "lua/cut.lua"],
    FORGET ["lua/common.lua", "lua/forget.lua"],
    LOCK ["lua/lock.lua"],
    BEAT ["lua/common.lua", "lua/beat.lua"],
    WRITE ["lua/write.lua"],
    CLAIM ["lua/common.lua", "lua/claim.lua"],
    REMOVE ["lua/remove.lua"],
    BURY ["lua/common.lua", "lua/bury.lua"],
    DEPART ["lua/common.lua", "lua/depart.lua"],
    OCCUPY ["lua/common.lua", "lua/occupy.lua"],
    VACATE ["lua/common.lua", "lua/vacate.lua"],
    SHARE ["lua/common.lua", "lua/share.lua"],
    UNSHARE ["lua/common.lua", "lua/unshare.lua"],
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
