//! `tutor completions SHELL`: a script that teaches a shell tutor's commands.

use std::io::Write;

use super::Outcome;
use crate::error::Result;

#[derive(Debug, clap::Args)]
pub struct Completions {
    /// Which shell
    shell: clap_complete::Shell,
}

impl Completions {
    pub fn run(self, command: &mut clap::Command, out: &mut dyn Write) -> Result<Outcome> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, "tutor", &mut script);
        out.write_all(&script).map_err(super::closed_output)?;
        Ok(Outcome::Done)
    }
}
