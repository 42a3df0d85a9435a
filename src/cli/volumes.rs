//! `mediafs volumes`: disks, shares and cloud folders, those that are there and those that are known.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report, counted};
use crate::control::methods::{Nothing, VolumeList, VolumeMark, VolumeStatus, VolumeWhich};

/// List disks, shares and cloud folders: what is on them, and whether they are there
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    report: Report,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Write a small file on a disk by which it is told from others of one serial number, and known again in another box
    Mark(Mark),
}

#[derive(clap::Args)]
struct Mark {
    /// Its name, or the folder where it is mounted
    #[arg(value_name = "VOLUME")]
    volume: OsString,
    #[command(flatten)]
    report: Report,
}

/// A volume, as somebody named it.
pub(super) fn which(volume: &OsStr) -> Result<VolumeWhich, CliError> {
    let named = volume.to_string_lossy();
    Ok(VolumeWhich {
        volume: named.clone().into_owned(),
        // What has a separator may be a path; the daemon's folder is another one.
        path: super::looks_like_path(volume)
            .then(|| super::absolute(Path::new(volume)))
            .transpose()?,
    })
}

fn mark(arguments: &Mark, context: &Context) -> Result<Done, CliError> {
    let params = which(&arguments.volume)?;
    let volume = context.daemon_needed()?.call::<VolumeMark>(&params)?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&volume)?;
    } else {
        let (name, path) = (plain(&volume.name), plain(&volume.path.to_string()));
        out.line(&format!(
            "{name} at {path} is known by its mark from now on"
        ))?;
    }
    out.flush()?;
    Ok(Done::Well)
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    if let Some(Verb::Mark(arguments)) = &arguments.verb {
        return mark(arguments, context);
    }
    let list = context.client()?.call::<VolumeList>(&Nothing {})?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&list)?;
    } else if list.volumes.is_empty() {
        out.line("no volumes: everything is on this computer's own disks")?;
    } else {
        for volume in &list.volumes {
            out.line(&line(volume))?;
        }
    }
    out.flush()?;
    Ok(Done::Well)
}

fn line(volume: &VolumeStatus) -> String {
    let mut words = vec![format!("{} ({})", plain(&volume.name), plain(&volume.kind))];
    let path = plain(&volume.path.to_string());
    words.push(match volume.state.as_str() {
        "online" => format!("at {path}"),
        "suspended" => format!("at {path}, does not answer"),
        "ejected" => format!("ejected; unmount it at {path}"),
        _ => format!("not connected{}", last_seen(volume.last_seen)),
    });
    if volume.known {
        words.push(counted(volume.items, "sound", "sounds"));
    }
    if volume.known && volume.state != "online" && volume.only_there > 0 {
        let back = match (volume.kind.as_str(), volume.state.as_str()) {
            (_, "suspended") => "check its cable or connection",
            ("volume", "ejected") => "plug it in again",
            ("volume", _) => "plug it in",
            _ => "connect to it",
        };
        words.push(format!(
            "{back} to get {} back",
            counted(volume.only_there, "sound", "sounds")
        ));
    }
    if volume.read_only {
        words.push("read-only".to_owned());
    }
    if volume.marked {
        words.push("marked".to_owned());
    }
    if volume.twin {
        words.push("another mounted volume is a copy of it".to_owned());
    }
    words.join(", ")
}

/// ` (last seen 3 days ago)`.
pub(super) fn last_seen(millis: Option<u64>) -> String {
    let Some(millis) = millis else {
        return String::new();
    };
    let seen = UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    let Some(Ok(ago)) = seen.map(|seen| SystemTime::now().duration_since(seen)) else {
        return String::new();
    };
    let minutes = ago.as_secs() / 60;
    let ago = match (minutes, minutes / 60, minutes / 60 / 24) {
        (0, ..) => "just now".to_owned(),
        (minutes, 0, _) => format!("{} ago", counted(minutes, "minute", "minutes")),
        (_, hours, 0) => format!("{} ago", counted(hours, "hour", "hours")),
        (_, _, days) => format!("{} ago", counted(days, "day", "days")),
    };
    format!(" (last seen {ago})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_words() {
        let ago = |seconds: u64| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            last_seen(now.ok().map(|now| (now.as_secs() - seconds) * 1000))
        };
        assert_eq!(ago(5), " (last seen just now)");
        assert_eq!(ago(61), " (last seen 1 minute ago)");
        assert_eq!(ago(3 * 3600 + 5), " (last seen 3 hours ago)");
        assert_eq!(ago(3 * 86_400 + 5), " (last seen 3 days ago)");
        assert_eq!(last_seen(None), "");
        assert_eq!(last_seen(Some(u64::MAX)), "");
    }
}
