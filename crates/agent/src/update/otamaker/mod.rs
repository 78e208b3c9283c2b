//! Everything behind `otamaker`: the arguments and output of the public tool, and errors that say what
//! to do.
//!
//! Established from <https://github.com/raspberrypi/utils/tree/master/otamaker> (its README and its
//! usage text): the positional arguments `contents` and `outfile`, which defaults to the artefact's
//! `name`; `.tar.zst` added where it is missing; `-w`/`--writesum` for `<outfile>.sha256sum`, which holds
//! the sum alone; sources relative to the directory in which it is run; links followed; comments left
//! out of the archive; the listing at the end.
//!
//! Ours beyond that: the same files give the same bytes, nothing is left behind by a failure, and
//! whatever a device would refuse is refused here.

mod build;

use clap::Parser;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

pub use build::{Built, Failure, build};

/// Build an update artefact from a contents file.
#[derive(Debug, Parser)]
#[command(
    name = "otamaker",
    version,
    about = "Build an update artefact from a contents file",
    after_help = "Sources are relative to the directory in which otamaker is run: the file of the payload's name, or \
                  what the comment after the name says:\n\n  payloads:\n  - name: boot      # work/boot.sparse\n    \
                  type: image-sparse\n  - name: installer\n    type: script\n\nExit status: 0 if it worked, 1 if it \
                  did not (the message says what to do), 2 for wrong usage."
)]
pub struct Cli {
    /// The YAML contents file
    contents: PathBuf,
    /// The artefact to write (defaults to the `name` in the contents; .tar.zst is added)
    outfile: Option<PathBuf>,
    /// Also write the SHA-256 to OUTFILE.sha256sum
    #[arg(short = 'w', long)]
    writesum: bool,
}

/// Parses the arguments and does what they say. clap ends the process with 2 for wrong usage.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match build(&cli.contents, cli.outfile.as_deref(), cli.writesum) {
        Ok(built) => {
            let _ = write!(std::io::stdout(), "{}", listing(&built));
            for note in &built.notes {
                let _ = writeln!(std::io::stderr(), "otamaker: note: {note}");
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "otamaker: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn listing(built: &Built) -> String {
    let members = built.members.join("\n  ");
    format!(
        "Contents:\n  {members}\n\nArtefact: {}\nSHA256:   {}\n",
        built.artefact.display(),
        built.checksum
    )
}
