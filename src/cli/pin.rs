//! `mediafs pin` and `unpin`: sounds that are to stay in the cache.

use std::ffi::OsString;

use super::hydrate::told;
use super::output::Out;
use super::{CliError, Context, Done, Report};
use crate::control::methods::{ItemsParams, MediaPin, MediaUnpin};

/// Keep sounds in the cache, so that they play with their disk unplugged; brings what is not there
#[derive(clap::Args)]
pub(super) struct PinArguments {
    /// Their ids, or their paths on the drive or on disk
    #[arg(value_name = "ID", required = true)]
    items: Vec<OsString>,
    #[command(flatten)]
    report: Report,
}

/// Let sounds leave the cache should room be needed
#[derive(clap::Args)]
pub(super) struct UnpinArguments {
    /// Their ids, or their paths on the drive or on disk
    #[arg(value_name = "ID", required = true)]
    items: Vec<OsString>,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &PinArguments, context: &Context) -> Result<Done, CliError> {
    let params = params(&arguments.items)?;
    let answer = context.daemon_needed()?.call::<MediaPin>(&params)?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&answer.items)?;
    } else {
        for item in &answer.items {
            out.line(&format!("{}; pinned", told(item)))?;
        }
    }
    out.flush()?;
    Ok(Done::Well)
}

pub(super) fn run_unpin(arguments: &UnpinArguments, context: &Context) -> Result<Done, CliError> {
    let params = params(&arguments.items)?;
    let answer = context.daemon_needed()?.call::<MediaUnpin>(&params)?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&answer.items)?;
    } else {
        for item in &answer.items {
            let still = if item.pinned {
                "; a project keeps it pinned"
            } else {
                ""
            };
            out.line(&format!(
                "{} may leave the cache{still}",
                super::output::plain(&item.name)
            ))?;
        }
    }
    out.flush()?;
    Ok(Done::Well)
}

/// The items that a person names.
pub(super) fn params(items: &[OsString]) -> Result<ItemsParams, CliError> {
    let items = items.iter().map(|item| super::which(item));
    Ok(ItemsParams {
        items: items.collect::<Result<_, _>>()?,
        intent: super::history::by_hand(),
    })
}
