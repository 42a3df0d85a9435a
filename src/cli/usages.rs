//! `mediafs usages`: who uses what.

use std::ffi::OsString;

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report};
use crate::control::methods::{UsagesList, UsagesListParams};

/// List who uses a sound, or all sounds
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Its id, or its path on the drive or on disk
    #[arg(value_name = "ID")]
    item: Option<OsString>,
    /// Only what this project uses
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let mut client = context.client()?;
    let mut params = UsagesListParams {
        item: arguments.item.as_deref().map(super::which).transpose()?,
        project: arguments.project.clone(),
        ..UsagesListParams::default()
    };
    let mut usages = Vec::new();
    loop {
        let page = client.call::<UsagesList>(&params)?;
        usages.extend(page.usages);
        match page.next {
            Some(next) => params.after = Some(next),
            None => break,
        }
    }
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&usages)?;
    } else if usages.is_empty() {
        out.line("nobody uses it, as far as is known")?;
    } else {
        let rows: Vec<Vec<String>> = usages
            .iter()
            .map(|usage| {
                vec![
                    plain(&usage.name),
                    usage.role.to_string(),
                    plain(&usage.target),
                    plain(&usage.project),
                ]
            })
            .collect();
        out.table(&rows)?;
    }
    out.flush()?;
    Ok(Done::Well)
}
