//! Writes the shell completions and manual pages of `rpi-connect`: `generate FOLDER`. A program of its
//! own, so that the shipped ones do not carry the generators.

use bramble_agent::cli::Cli;
use clap::CommandFactory;
use clap_complete::{Shell, generate_to};
use std::{error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: generate FOLDER")?);
    let completions = folder.join("completions");
    let manual = folder.join("man");
    fs::create_dir_all(&completions)?;
    fs::create_dir_all(&manual)?;
    let mut command = Cli::command();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command, "rpi-connect", &completions)?;
    }
    // Not a page for every `help COMMAND` as well.
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), &manual)?;
    Ok(())
}
