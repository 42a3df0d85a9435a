//! `mediafs rename`: another name for a sound.

use std::ffi::OsString;

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report};
use crate::control::methods::{MediaRename, RenameParams};

/// Give a sound another name on the drive; its file on disk keeps its own, and old names go on working
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Its id, or its path on the drive or on disk
    #[arg(value_name = "ID")]
    item: OsString,
    /// The new name; the extension may be left out
    name: String,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let params = RenameParams {
        item: super::which(&arguments.item)?,
        name: arguments.name.clone(),
        intent: super::history::by_hand(),
    };
    let item = context.client()?.call::<MediaRename>(&params)?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&item)?;
    } else {
        out.line(&format!("{} is now {}", item.media_id, plain(&item.name)))?;
    }
    out.flush()?;
    Ok(Done::Well)
}
