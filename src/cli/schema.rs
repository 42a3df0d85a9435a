//! `mediafs schema`: what the control protocol says, for those who write clients.

use super::output::Out;
use super::{CliError, Done};
use crate::control::schema;

/// Print the control protocol as one JSON document: methods, events and errors, each with its JSON Schema
#[derive(clap::Args)]
pub(super) struct Arguments {}

pub(super) fn run(_: &Arguments) -> Result<Done, CliError> {
    let mut out = Out::new();
    out.json(&schema::document())?;
    out.flush()?;
    Ok(Done::Well)
}
