//! Gives one reader of foreign bytes whatever libFuzzer thinks of: that which has the name of this program.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mirant::fuzzing::run(env!("CARGO_BIN_NAME"), bytes));
