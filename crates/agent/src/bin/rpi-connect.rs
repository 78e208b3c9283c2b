//! The command line.

fn main() -> std::process::ExitCode {
    bramble_agent::cli::main()
}
