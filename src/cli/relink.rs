//! `mediafs relink`: a sound's bytes are elsewhere now; said, or looked for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report, counted};
use crate::control::methods::{
    MatchOutcome, MatchRank, MediaRelink, MediaRelinkSearch, RelinkMatch, RelinkParams,
    RelinkSearchAnswer, RelinkSearchParams,
};

/// Point a sound to another file with the same content, or look for such files; its id and path stay
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Look in this folder for the files of missing sounds
    #[arg(long, value_name = "DIR")]
    search: Vec<PathBuf>,
    /// Only tell what would be done
    #[arg(long, requires = "search")]
    dry_run: bool,
    /// Its id, or its path on the drive or on disk, and the file; with --search the sounds (else all missing ones)
    #[arg(value_name = "ID PATH | ID", required_unless_present = "search")]
    words: Vec<OsString>,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    if !arguments.search.is_empty() {
        return search(arguments, context);
    }
    let [item, path] = arguments.words.as_slice() else {
        return Err(CliError::new(
            "name one sound and one file, or look for files with --search DIR",
        ));
    };
    let params = RelinkParams {
        item: super::which(item)?,
        to: super::absolute(path.as_ref())?,
        intent: super::history::by_hand(),
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

fn search(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let params = RelinkSearchParams {
        folders: arguments
            .search
            .iter()
            .map(|folder| super::absolute(folder))
            .collect::<Result<_, _>>()?,
        items: arguments
            .words
            .iter()
            .map(|word| super::which(word))
            .collect::<Result<_, _>>()?,
        dry_run: arguments.dry_run,
        intent: super::history::by_hand(),
    };
    let cancelled = Arc::new(AtomicBool::new(false));
    let mut client = context.client()?;
    client.cancel_by(&cancelled);
    super::interrupt::on_interrupt(&cancelled);
    let answer = client.call_telling::<MediaRelinkSearch>(&params, &mut |_| {})?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&answer)?;
    } else {
        for found in &answer.matches {
            out.line(&line(found, arguments.dry_run))?;
        }
        out.line(&summary(&answer))?;
    }
    out.flush()?;
    for refused in &answer.refused {
        eprintln!(
            "mediafs: {} was not searched: {}",
            plain(&refused.path.to_string()),
            plain(&refused.reason)
        );
    }
    Ok(if !answer.complete {
        Done::Interrupted
    } else if answer.refused.is_empty() {
        Done::Well
    } else {
        Done::Badly
    })
}

fn line(found: &RelinkMatch, dry_run: bool) -> String {
    let name = plain(&found.name);
    let paths: Vec<String> = found
        .paths
        .iter()
        .map(|path| plain(&path.to_string()))
        .collect();
    let paths = paths.join(", ");
    let why = match found.rank {
        MatchRank::Bytes => "the same bytes",
        MatchRank::Facts => "the same length, rate, channels and name",
        MatchRank::Name => "the same name",
    };
    match (found.outcome, dry_run) {
        (MatchOutcome::Relinked, false) => format!("{name} plays from {paths} ({why})"),
        (MatchOutcome::Relinked, true) => format!("{name} would play from {paths} ({why})"),
        (MatchOutcome::Ambiguous, _) => {
            format!("{name} could be any of {paths} ({why}): relink it by hand")
        }
        (MatchOutcome::Suggested, _) => {
            format!("{name} may be {paths} ({why} only): relink or replace it by hand")
        }
        (MatchOutcome::Failed, _) => format!(
            "{name} could not be relinked to {paths}: {}",
            plain(found.reason.as_deref().unwrap_or("it went"))
        ),
    }
}

fn summary(answer: &RelinkSearchAnswer) -> String {
    let sure = answer
        .matches
        .iter()
        .filter(|found| found.outcome == MatchOutcome::Relinked)
        .count();
    format!(
        "{} found, nothing for {}, among {}",
        counted(sure as u64, "sound", "sounds"),
        answer.not_found,
        counted(answer.files, "file", "files")
    )
}
