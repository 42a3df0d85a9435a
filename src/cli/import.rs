//! `mediafs import`: make sounds of files and folders.
//!
//! Ctrl-C ends the import after the file it is at, also in the daemon: what was done stays, and the same command goes on
//! where it ended.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use mediafs_platform::files::canonical;

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report, counted};
use crate::control::methods::{
    ImportMode, ImportOutcome, ImportParams, Imported, MediaImport, Notification, TaskProgress,
};
use crate::model::MediaId;

/// Make sounds of files and folders; prints the id and the path on the drive of each
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Files and folders
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Into this project's folder instead of the library
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// Copy the files (the default for projects)
    #[arg(long, conflicts_with = "reference")]
    copy: bool,
    /// Leave the files where they are (the default otherwise)
    #[arg(long)]
    reference: bool,
    /// The id for a single file
    #[arg(long, value_name = "ID")]
    id: Option<MediaId>,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let absolute = |path: &PathBuf| super::absolute(path);
    let params = ImportParams {
        paths: arguments
            .paths
            .iter()
            .map(absolute)
            .collect::<Result<_, _>>()?,
        project_path: arguments.project.as_ref().map(absolute).transpose()?,
        mode: match (arguments.copy, arguments.reference) {
            (true, _) => Some(ImportMode::Copy),
            (_, true) => Some(ImportMode::Reference),
            _ => None,
        },
        media_id: arguments.id.clone(),
        name: None,
        intent: super::history::by_hand(),
    };
    let cancelled = Arc::new(AtomicBool::new(false));
    let mut client = context.client()?;
    client.cancel_by(&cancelled);
    super::interrupt::on_interrupt(&cancelled);

    let bar = progress_bar();
    let outcome = client.call_telling::<MediaImport>(&params, &mut |note| {
        let Notification::Progress(progress) = note;
        show_progress(&bar, &progress);
    });
    bar.finish_and_clear();
    let answer = outcome?;

    // One bad file in a folder is told, and no failure of the whole; a file that was named itself is.
    let named = |file: &Imported| {
        params.paths.iter().any(|path| {
            *path == file.source || canonical(&path.0).is_ok_and(|path| path == file.source.0)
        })
    };
    let failed: Vec<&Imported> = answer
        .items
        .iter()
        .filter(|file| file.outcome == ImportOutcome::Failed && named(file))
        .collect();
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&answer.items)?;
    } else if failed.len() < answer.items.len() || failed.len() > 1 {
        for file in &answer.items {
            tell(&mut out, file)?;
        }
    }
    out.flush()?;
    let count = |outcome| {
        answer
            .items
            .iter()
            .filter(|file| file.outcome == outcome)
            .count() as u64
    };
    let imported = counted(count(ImportOutcome::Imported), "new sound", "new sounds");
    if !answer.complete {
        eprintln!(
            "mediafs: stopped after {imported} ({} known before); nothing is lost, and the same command goes on from here",
            count(ImportOutcome::Already)
        );
        return Ok(Done::Interrupted);
    }
    if !arguments.report.json && std::io::stderr().is_terminal() {
        eprintln!("{imported}, {} known before", count(ImportOutcome::Already));
    }
    match failed.as_slice() {
        [] => Ok(Done::Well),
        [only] if answer.items.len() == 1 => Err(CliError::new(refusal(only))),
        all if arguments.report.json => Err(CliError::new(format!(
            "{} could not be imported; `reason` says why",
            counted(all.len() as u64, "file", "files")
        ))),
        all => Err(CliError::new(format!(
            "{} could not be imported; the reasons are above",
            counted(all.len() as u64, "file", "files")
        ))),
    }
}

fn tell(out: &mut Out, file: &Imported) -> std::io::Result<()> {
    if let (Some(id), Some(path)) = (&file.media_id, &file.path) {
        return out.line(&format!("{id}\t{}", plain(path)));
    }
    eprintln!("{}", plain(&refusal(file)));
    Ok(())
}

/// Why there is no sound.
fn refusal(file: &Imported) -> String {
    let reason = file
        .reason
        .as_deref()
        .unwrap_or("it is no sound that mediafs knows");
    let verb = match file.outcome {
        ImportOutcome::Skipped => "was left out",
        _ => "was not imported",
    };
    format!("{} {verb}: {reason}", file.source)
}

fn progress_bar() -> ProgressBar {
    // Drawn on stderr, and only on a terminal.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn show_progress(bar: &ProgressBar, progress: &TaskProgress) {
    if bar.length() != progress.total {
        let template = match progress.total {
            Some(total) => {
                bar.set_length(total);
                "{wide_bar} {pos}/{len}  {eta}"
            }
            None => "{spinner} {pos} {wide_msg}",
        };
        // The templates are constants; a wrong one would only leave the style as it is.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
    }
    bar.set_position(progress.done);
    bar.set_message(plain(&progress.subject));
}
