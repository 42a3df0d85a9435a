//! `mediafs scan`: look at library folders again, now.

use std::path::PathBuf;

use super::output::Out;
use super::{CliError, Context, Done, Report, counted};
use crate::control::methods::{MediaScan, ScanParams};

/// Look at the library folders again, now
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only this library folder
    path: Option<PathBuf>,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let params = ScanParams {
        path: arguments.path.as_deref().map(super::absolute).transpose()?,
    };
    let seen = context.client()?.call::<MediaScan>(&params)?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&seen)?;
    } else {
        out.line(&format!(
            "{} there; of {} new or changed, {} cannot be read",
            counted(seen.files, "file is", "files are"),
            seen.read,
            seen.problems
        ))?;
    }
    out.flush()?;
    Ok(Done::Well)
}
