//! The `bramble` program: reads the command line, wires, waits for the end.

use bramble_server::cli;
use std::process::ExitCode;

/// It gave the smallest figures for many idle connections.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Gives memory back while the server is quiet, and not only when it asks for more: after a fleet
    // has left, what it took is free again. Without it nothing but that is lost.
    let _ = tikv_jemalloc_ctl::background_thread::write(true);
    cli::main()
}
