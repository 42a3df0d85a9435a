//! `mediafs relink`: a sound's bytes are elsewhere now.

use std::ffi::OsString;
use std::path::PathBuf;

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report};
use crate::control::methods::{MediaRelink, RelinkParams};

/// Point a sound to another file with the same content; its id and path stay
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Its id, or its path on the drive or on disk
    #[arg(value_name = "ID")]
    item: OsString,
    /// The file
    path: PathBuf,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let params = RelinkParams {
        item: super::which(&arguments.item)?,
        to: super::absolute(&arguments.path)?,
    };
    let item = context.client()?.call::<MediaRelink>(&params)?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&item)?;
    } else {
        out.line(&format!(
            "{} plays from {}",
            plain(&item.name),
            plain(&params.to.to_string())
        ))?;
    }
    out.flush()?;
    Ok(Done::Well)
}
