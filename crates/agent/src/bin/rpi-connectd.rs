//! The daemon.

fn main() -> std::process::ExitCode {
    bramble_agent::daemon::main()
}
