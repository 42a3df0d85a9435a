//! `mediafs translate`: paths of the drive on other systems, or as it was mounted before.

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report};
use crate::control::methods::{DriveSystem, PathsTranslate, TranslateParams};

/// Show what paths of the drive on other systems (L:\…, /Volumes/Loophole/…) are here, or the other way
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Paths on the drive of any system, or below an earlier place of this one
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// To paths of this system's drive instead of this one
    #[arg(long, value_name = "SYSTEM")]
    to: Option<System>,
    #[command(flatten)]
    report: Report,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum System {
    Windows,
    Macos,
    Linux,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let params = TranslateParams {
        paths: arguments.paths.clone(),
        to: arguments.to.map(|system| match system {
            System::Windows => DriveSystem::Windows,
            System::Macos => DriveSystem::Macos,
            System::Linux => DriveSystem::Linux,
        }),
    };
    let translated = context.client()?.call::<PathsTranslate>(&params)?.paths;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&translated)?;
    } else {
        for (asked, found) in arguments.paths.iter().zip(&translated) {
            match &found.path {
                Some(path) => out.line(&plain(path))?,
                None => {
                    let reason = found
                        .reason
                        .as_deref()
                        .unwrap_or("it is no path of a drive");
                    eprintln!("mediafs: {}: {}", plain(asked), plain(reason));
                }
            }
        }
    }
    out.flush()?;
    Ok(if translated.iter().all(|found| found.path.is_some()) {
        Done::Well
    } else {
        Done::Badly
    })
}
