//! `mediafs import`: make sounds of files and folders.
//!
//! Each file is told as soon as it is done. Ctrl-C ends the import after the file it is at: what was done stays, and
//! the same command goes on where it ended.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::{JsonArray, Out, plain};
use super::{CliError, Context, Done, Report, counted};
use crate::control::methods::{
    ImportMode, ImportOutcome, ImportParams, Imported, MediaImport, Notification, TaskProgress,
};
use crate::control::{ClientError, Reason};
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

/// What has been told so far.
#[derive(Default)]
struct Told {
    array: JsonArray,
    imported: u64,
    known: u64,
    /// Files that promised to be sounds, with the reason why they are none.
    failed: u64,
    /// The output failed, and how.
    broken: Option<std::io::Error>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let absolute = |path: &PathBuf| super::absolute(path);
    let params = ImportParams {
        paths: arguments
            .paths
            .iter()
            .map(absolute)
            .collect::<Result<_, _>>()?,
        project: arguments.project.as_ref().map(absolute).transpose()?,
        mode: match (arguments.copy, arguments.reference) {
            (true, _) => Some(ImportMode::Copy),
            (_, true) => Some(ImportMode::Reference),
            _ => None,
        },
        media_id: arguments.id.clone(),
        stream: true,
    };
    let cancelled = Arc::new(AtomicBool::new(false));
    let mut client = context.client(Arc::clone(&cancelled))?;
    if !client.is_remote() {
        // With a daemon this process may simply end; the daemon notices.
        super::interrupt::on_interrupt(&cancelled);
    }

    let bar = progress_bar();
    let mut out = Out::new();
    let mut told = Told::default();
    let json = arguments.report.json;
    let outcome = client.call_telling::<MediaImport>(&params, &mut |note| match note {
        Notification::Progress(progress) => show_progress(&bar, &progress),
        Notification::Imported(file) => {
            if told.broken.is_none()
                && let Err(error) = bar.suspend(|| told.file(&mut out, &file, json))
            {
                told.broken = Some(error);
                cancelled.store(true, Ordering::Relaxed);
            }
        }
    });
    bar.finish_and_clear();
    if let Some(error) = told.broken {
        return Err(error.into());
    }
    if json {
        told.array.end(&mut out)?;
    }
    out.flush()?;
    match outcome {
        Ok(_) => {}
        Err(ClientError::Refused(error)) if error.reason == Reason::Cancelled => {
            return Err(CliError::new(format!(
                "stopped; {} imported, nothing is lost, and the same command goes on from here",
                counted(told.imported, "sound was", "sounds were")
            )));
        }
        Err(error) => return Err(error.into()),
    }
    if !json && std::io::stderr().is_terminal() {
        eprintln!(
            "{} new, {} known before",
            counted(told.imported, "sound is", "sounds are"),
            told.known
        );
    }
    Ok(if told.failed == 0 {
        Done::Well
    } else {
        Done::Badly
    })
}

impl Told {
    fn file(&mut self, out: &mut Out, file: &Imported, json: bool) -> std::io::Result<()> {
        match file.outcome {
            ImportOutcome::Imported => self.imported += 1,
            ImportOutcome::Known => self.known += 1,
            ImportOutcome::Failed => self.failed += 1,
            ImportOutcome::NotMedia => {}
        }
        if json {
            return self.array.push(out, file);
        }
        match (&file.media_id, &file.path) {
            (Some(id), Some(path)) => out.line_now(&format!("{id}\t{}", plain(path))),
            _ => {
                let source = plain(&file.source.0.to_string_lossy());
                let reason = file
                    .reason
                    .as_deref()
                    .unwrap_or("it is no sound that mediafs knows");
                eprintln!("mediafs: {source} was not imported: {}", plain(reason));
                Ok(())
            }
        }
    }
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
