//! The `mirant` program: takes the command line, and leaves with an exit code.

use std::process::ExitCode;

use clap::Parser;
use mirant::cli::Cli;

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    Cli::parse().run()
}
