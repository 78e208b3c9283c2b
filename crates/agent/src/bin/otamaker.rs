//! Builds update artefacts.

fn main() -> std::process::ExitCode {
    bramble_agent::update::otamaker::main()
}
