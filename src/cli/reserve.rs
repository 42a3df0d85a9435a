//! `mediafs reserve`, `finalise`, `abandon`, `takes`, `cleanup`: recording.

use std::ffi::OsString;
use std::path::PathBuf;

use mediafs_platform::files::canonical;

use super::output::{Out, plain, size};
use super::{CliError, Context, Done, Report, counted};
use crate::control::methods::{
    AbandonParams, CleanupParams, FinaliseParams, Intent, MediaAbandon, MediaCleanup,
    MediaFinalise, MediaReserve, MediaTakes, ReserveParams, Take, TakesParams,
};
use crate::model::{Kind, Lifecycle, MediaId};

/// Reserve a take: prints its id, and the path on the drive to write it to
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// What it is going to be: audio, midi, video
    #[arg(long, default_value = "audio")]
    kind: String,
    /// Its name
    #[arg(long)]
    name: String,
    /// The extension of its file
    #[arg(long, default_value = "wav")]
    ext: String,
    /// For this project instead of the library
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// How long it may get; refused where that would not fit
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Its id
    #[arg(long, value_name = "ID")]
    id: Option<MediaId>,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let params = ReserveParams {
        kind: Kind::from(arguments.kind.clone()),
        name: arguments.name.clone(),
        ext: arguments.ext.clone(),
        project_path: arguments
            .project
            .as_deref()
            .map(|path| super::absolute(&canonical(path).unwrap_or_else(|_| path.to_owned())))
            .transpose()?,
        expected_seconds: arguments.seconds,
        format: None,
        media_id: arguments.id.clone(),
        intent: Intent::default(),
    };
    let reserved = context.daemon_needed()?.call::<MediaReserve>(&params)?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&reserved)?;
    } else {
        out.line(&format!("{}\t{}", reserved.media_id, plain(&reserved.path)))?;
    }
    out.flush()?;
    Ok(Done::Well)
}

/// Make a take final: its header is put right, it is read, and moved to where it stays
#[derive(clap::Args)]
pub(super) struct FinaliseArguments {
    /// Its id, or its path on the drive
    #[arg(value_name = "ID")]
    item: OsString,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run_finalise(
    arguments: &FinaliseArguments,
    context: &Context,
) -> Result<Done, CliError> {
    let params = FinaliseParams {
        item: super::which(&arguments.item)?,
        usages: Vec::new(),
        intent: Intent::default(),
    };
    let done = context.client()?.call::<MediaFinalise>(&params)?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&done)?;
    } else {
        for note in &done.repaired {
            eprintln!("{}", plain(note));
        }
        out.line(&format!(
            "{}\t{}",
            done.item.media_id,
            plain(&done.item.path)
        ))?;
    }
    out.flush()?;
    Ok(Done::Well)
}

/// Give a take up; its file stays for 30 days
#[derive(clap::Args)]
pub(super) struct AbandonArguments {
    /// Its id, or its path on the drive
    #[arg(value_name = "ID")]
    item: OsString,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run_abandon(
    arguments: &AbandonArguments,
    context: &Context,
) -> Result<Done, CliError> {
    let params = AbandonParams {
        item: super::which(&arguments.item)?,
        intent: Intent::default(),
    };
    let take = context.client()?.call::<MediaAbandon>(&params)?.take;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&take)?;
    } else {
        out.line(&told(&take))?;
    }
    out.flush()?;
    Ok(Done::Well)
}

/// List takes that are not final
#[derive(clap::Args)]
pub(super) struct TakesArguments {
    #[command(flatten)]
    report: Report,
}

pub(super) fn run_takes(arguments: &TakesArguments, context: &Context) -> Result<Done, CliError> {
    let params = TakesParams::default();
    let takes = context.client()?.call::<MediaTakes>(&params)?.takes;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&takes)?;
    } else {
        for take in &takes {
            out.line(&told(take))?;
        }
    }
    out.flush()?;
    Ok(Done::Well)
}

fn told(take: &Take) -> String {
    let written = match take.size {
        Some(bytes) => size(bytes),
        None => "its file is gone".to_owned(),
    };
    let state = match (take.lifecycle, take.writing, take.recovered) {
        (Lifecycle::Abandoned, ..) => "given up",
        (_, true, _) => "being written",
        (_, false, true) => "left behind; finalise or abandon it",
        (_, false, false) => "reserved",
    };
    format!(
        "{}\t{}: {state}, {written}",
        take.media_id,
        plain(&take.path)
    )
}

/// Move takes to the trash that were given up more than 30 days ago
#[derive(clap::Args)]
pub(super) struct CleanupArguments {
    /// Only say what it would move
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run_cleanup(
    arguments: &CleanupArguments,
    context: &Context,
) -> Result<Done, CliError> {
    let params = CleanupParams {
        dry_run: arguments.dry_run,
        intent: Intent::default(),
    };
    let takes = context.client()?.call::<MediaCleanup>(&params)?.takes;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&takes)?;
        out.flush()?;
        return Ok(Done::Well);
    }
    let mut moved = 0;
    for take in &takes {
        let (name, bytes) = (plain(&take.name), size(take.size));
        match &take.kept {
            Some(why) => out.line(&format!("{name} stays: {}", plain(why)))?,
            None => {
                moved += 1;
                out.line(&format!("{name} ({bytes})"))?;
            }
        }
    }
    let moved = counted(moved, "take", "takes");
    out.line(&match arguments.dry_run {
        true => format!("{moved} would go to the trash"),
        false => format!("{moved} went to the trash"),
    })?;
    out.flush()?;
    Ok(Done::Well)
}
