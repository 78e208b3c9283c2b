//! The updater, a service of root.

fn main() -> std::process::ExitCode {
    bramble_agent::update::service::main()
}
