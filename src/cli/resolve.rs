//! `mediafs resolve`: where the bytes of sounds can be read without the drive.

use std::ffi::OsString;

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report};
use crate::control::methods::{MediaResolve, ResolveParams, Resolved};

/// Show the files on this machine that hold the bytes of sounds; they can be read without the drive
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Their ids, or their paths on the drive or on disk
    #[arg(value_name = "ID", required = true)]
    items: Vec<OsString>,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let items = arguments.items.iter();
    let params = ResolveParams {
        items: items
            .map(|item| super::which(item))
            .collect::<Result<_, _>>()?,
    };
    let resolved = context.client()?.call::<MediaResolve>(&params)?.items;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&resolved)?;
    } else {
        for (asked, found) in arguments.items.iter().zip(&resolved) {
            match &found.path {
                Some(path) => out.line(&plain(&path.to_string()))?,
                None => eprintln!("mediafs: {}", plain(&refusal(asked, found))),
            }
        }
    }
    out.flush()?;
    Ok(if resolved.iter().all(|found| found.path.is_some()) {
        Done::Well
    } else {
        Done::Badly
    })
}

fn refusal(asked: &OsString, found: &Resolved) -> String {
    let name = match &found.item {
        Some(item) => item.name.clone(),
        None => asked.to_string_lossy().into_owned(),
    };
    let reason = found.reason.as_deref().unwrap_or("its bytes are not here");
    match &found.remedy {
        Some(remedy) => format!("{name}: {reason}; {remedy}"),
        None => format!("{name}: {reason}"),
    }
}
