//! `mediafs whereis`: where the bytes of a sound are, or were seen last, and what to plug in.

use std::ffi::OsString;

use super::output::{Out, plain};
use super::volumes::last_seen;
use super::{CliError, Context, Done, Report};
use crate::control::methods::{MediaWhereIs, WhereIs};

/// Say where the bytes of a sound are, or were seen last, and what to plug in
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Its id, or its path on the drive or on disk
    #[arg(value_name = "ID")]
    item: OsString,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let which = super::which(&arguments.item)?;
    let found = context.client()?.call::<MediaWhereIs>(&which)?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&found)?;
    } else {
        out.line(&line(&found))?;
    }
    out.flush()?;
    Ok(Done::Well)
}

fn line(found: &WhereIs) -> String {
    let name = plain(&found.name);
    let mut words = Vec::new();
    match (&found.path, &found.volume) {
        (Some(path), None) => words.push(format!("{name}: {}", plain(&path.to_string()))),
        (Some(path), Some(volume)) => words.push(format!(
            "{name}: on {}, {}",
            plain(&volume.name),
            plain(&path.to_string())
        )),
        (None, Some(volume)) => words.push(format!(
            "{name}: on {}{}",
            plain(&volume.name),
            last_seen(volume.last_seen)
        )),
        (None, None) => words.push(format!(
            "{name}: {}",
            plain(found.cause.as_deref().unwrap_or("nowhere"))
        )),
    }
    if found.cached {
        words.push("a copy is in the cache".to_owned());
    }
    if !found.pinned_for.is_empty() {
        words.push("pinned".to_owned());
    }
    if let Some(remedy) = &found.remedy {
        words.push(plain(remedy));
    }
    words.join("; ")
}
