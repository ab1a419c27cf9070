//! `tutor init`: the exercises' tasks and starting files, in a folder of yours.

use std::io::Write;
use std::path::PathBuf;

use super::{Outcome, closed_output};
use crate::course::catalogue::Catalogue;
use crate::error::Result;

#[derive(Debug, clap::Args)]
pub struct Init {
    /// The folder; made if need be. A file that is there is never overwritten
    #[arg(default_value = ".")]
    dir: PathBuf,
}

impl Init {
    pub async fn run(self, out: &mut dyn Write) -> Result<Outcome> {
        let written = Catalogue::get()?.init(&self.dir)?;
        writeln!(out, "{} files written to {}", written.new.len(), self.dir.display()).map_err(closed_output)?;
        if !written.kept.is_empty() {
            writeln!(out, "{} files were there and are as they were", written.kept.len()).map_err(closed_output)?;
        }
        writeln!(out, "begin with: tutor start first-contact").map_err(closed_output)?;
        Ok(Outcome::Done)
    }
}
