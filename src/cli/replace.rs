//! `mediafs replace` and `mediafs candidates`: other bytes for a sound.

use std::ffi::OsString;
use std::path::PathBuf;

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report};
use crate::control::methods::{
    CandidatesParams, MediaCandidates, MediaReplace, ReplaceAnswer, ReplaceParams,
};

/// Give a sound other bytes; its id, name and path stay. Without --yes only tell what differs and who uses it
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Its id, or its path on the drive or on disk
    #[arg(value_name = "ID")]
    item: OsString,
    /// The file that it is to be
    path: PathBuf,
    /// Do it
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    report: Report,
}

/// List files that may stand in for a sound
#[derive(clap::Args)]
pub(super) struct CandidatesArguments {
    /// Its id, or its path on the drive or on disk
    #[arg(value_name = "ID")]
    item: OsString,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let params = ReplaceParams {
        item: super::which(&arguments.item)?,
        to: super::absolute(&arguments.path)?,
        consent: arguments.yes,
        intent: super::history::by_hand(),
    };
    let answer = context.client()?.call::<MediaReplace>(&params)?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&answer)?;
    } else {
        tell(&answer, &mut out)?;
    }
    out.flush()?;
    Ok(if answer.replaced {
        Done::Well
    } else {
        Done::Badly
    })
}

fn tell(answer: &ReplaceAnswer, out: &mut Out) -> Result<(), CliError> {
    let name = plain(&answer.item.name);
    if answer.replaced {
        out.line(&format!(
            "{name} has other bytes now; `mediafs undo` brings back the old ones"
        ))?;
    }
    let unknown = || "unknown".to_owned();
    let rows: Vec<Vec<String>> = answer
        .differences
        .iter()
        .map(|difference| {
            vec![
                difference.what.clone(),
                difference.from.as_deref().map_or_else(unknown, plain),
                difference.to.as_deref().map_or_else(unknown, plain),
            ]
        })
        .collect();
    out.table(&rows)?;
    for usage in &answer.usages {
        out.line(&format!(
            "used by {} {} of project {}",
            usage.role,
            plain(&usage.target),
            plain(&usage.project)
        ))?;
    }
    if !answer.replaced {
        out.line(&format!(
            "{name} was left as it is; give --yes to replace its bytes"
        ))?;
    }
    Ok(())
}

pub(super) fn run_candidates(
    arguments: &CandidatesArguments,
    context: &Context,
) -> Result<Done, CliError> {
    let params = CandidatesParams {
        item: super::which(&arguments.item)?,
        limit: None,
    };
    let found = context.client()?.call::<MediaCandidates>(&params)?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&found.candidates)?;
    } else if found.candidates.is_empty() {
        out.line("nothing is known that is like it")?;
    } else {
        let rows: Vec<Vec<String>> = found
            .candidates
            .iter()
            .map(|one| {
                vec![
                    plain(&one.path.to_string()),
                    plain(&one.reason),
                    one.media_id
                        .as_ref()
                        .map(ToString::to_string)
                        .unwrap_or_default(),
                ]
            })
            .collect();
        out.table(&rows)?;
    }
    out.flush()?;
    Ok(Done::Well)
}
