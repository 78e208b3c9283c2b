//! The `bramble` program: reads the command line, wires, waits for the end.

use bramble_server::cli;
use std::process::ExitCode;

/// It gave the smallest figures for many idle connections.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::main()
}
