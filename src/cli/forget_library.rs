//! `mediafs forget-library`: a folder is no library any more.

use std::ffi::OsString;

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report};
use crate::control::methods::{ForgetLibraryParams, MediaForgetLibrary};

/// Take a library folder off the drive; its sounds stay known under their ids, and no file is touched
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Its folder, or the name it has under library/
    #[arg(value_name = "PATH|NAME")]
    library: OsString,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    // What has a separator is a path; a name may also be that of a folder here, and is looked for first.
    let is_path = super::looks_like_path(&arguments.library);
    let params = ForgetLibraryParams {
        name: arguments
            .library
            .to_str()
            .filter(|_| !is_path)
            .map(str::to_owned),
        path: Some(super::absolute(arguments.library.as_ref())?),
        intent: super::history::by_hand(),
    };
    let forgotten = context.client()?.call::<MediaForgetLibrary>(&params)?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&forgotten)?;
    } else {
        out.line(&format!(
            "{} is no library any more; its sounds stay, and `mediafs import {}` adds it again",
            plain(&forgotten.base.name),
            plain(&forgotten.base.path.to_string())
        ))?;
    }
    out.flush()?;
    Ok(Done::Well)
}
