//! The checks of what is told of a server: its logs, and traces.

use super::Checks;
use super::forms::is_log_filter;
use crate::config::Log;
use crate::outbound;
use crate::traces;

impl Checks {
    pub(super) fn log(&mut self, log: &Log) {
        self.require(
            is_log_filter(&log.level),
            "log.level",
            "expected off, error, warn, info, debug or trace, \
             or directives such as \"info,mirant::session=debug\"",
        );
        self.require(
            log.access_log.access_max_waiting >= 1,
            "log.access_max_waiting",
            "must be 1 or more",
        );
    }

    pub(super) fn traces(&mut self, traces: &traces::Settings) {
        let key = "traces.endpoint";
        if !traces.endpoint.is_empty() {
            if let Err(fix) = outbound::url(&traces.endpoint) {
                self.require(false, key, fix);
            }
            self.require(
                traces::IS_THERE,
                key,
                "this program was built without traces: build it with `cargo build --release --features opentelemetry`",
            );
        }
        self.require(
            (0.0..=1.0).contains(&traces.sample),
            "traces.sample",
            "must be a part of all, from 0.0 to 1.0",
        );
        self.require(
            traces.max_waiting >= 1,
            "traces.max_waiting",
            "must be 1 or more",
        );
    }
}
