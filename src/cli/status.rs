//! `mediafs status`: what is mounted, what it holds, how it is.

use serde::Serialize;

use super::output::{Out, plain};
use super::supervise::Supervision;
use super::{CliError, Context, Done, Report, counted};
use crate::control::WirePath;
use crate::control::methods::{BaseStatus, DriveStatus, Nothing, Status};

/// Show what is mounted, what it holds and how it is
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    report: Report,
}

/// What the daemon says, and what is to be said of who started it.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    status: Status,
    supervisor: Supervision,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let status = context.client()?.call::<DriveStatus>(&Nothing {})?;
    let supervisor = Supervision::of(&context.home, status.pid);
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&Told { status, supervisor })?;
    } else {
        out.facts(&facts(&status, supervisor))?;
    }
    out.flush()?;
    Ok(Done::Well)
}

fn path(path: &WirePath) -> String {
    plain(&path.to_string())
}

fn facts(status: &Status, supervisor: Supervision) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    match &status.mount {
        Some(mount) => {
            facts.push(("drive", path(&mount.point)));
            facts.push(("passthrough", plain(&mount.passthrough_note)));
        }
        None => facts.push((
            "drive",
            "not mounted; start it with `mediafs mount`".to_owned(),
        )),
    }
    if let Some(pid) = status.pid {
        facts.push((
            "daemon",
            format!("process {pid}, mediafs {}", plain(&status.version)),
        ));
    }
    facts.extend(supervisor.line().map(|line| ("supervisor", line)));
    facts.push(("home", path(&status.home)));
    let base = |base: &BaseStatus, inactive: &str| {
        let state = match &base.problem {
            _ if !base.active => format!(" ({inactive})"),
            Some(problem) => format!(" ({})", plain(problem)),
            None => String::new(),
        };
        format!("{}: {}{state}", plain(&base.name), path(&base.path))
    };
    facts.extend(
        status
            .libraries
            .iter()
            .map(|library| ("library", base(library, "forgotten; its sounds stay"))),
    );
    facts.extend(
        status
            .projects
            .iter()
            .map(|project| ("project", base(project, "closed"))),
    );
    let items = &status.items;
    let mut sounds = vec![counted(items.total, "sound", "sounds")];
    sounds.extend(
        items
            .availability
            .iter()
            .filter(|(state, _)| *state != "local")
            .map(|(state, count)| format!("{count} {}", plain(state))),
    );
    facts.push(("holds", sounds.join(", ")));
    if status.problems > 0 {
        facts.push((
            "unreadable",
            format!(
                "{}; `mediafs doctor` lists them",
                counted(status.problems, "file", "files")
            ),
        ));
    }
    if status.left_out > 0 {
        facts.push((
            "left out",
            format!(
                "{}; `mediafs doctor` says why",
                counted(
                    status.left_out,
                    "link or other entry",
                    "links and other entries"
                )
            ),
        ));
    }
    for task in &status.tasks {
        let of = task
            .total
            .map_or_else(String::new, |total| format!(" of {total}"));
        facts.push((
            "at work",
            format!(
                "{} {}: {}{of}",
                task.kind.word(),
                plain(&task.subject),
                task.done
            ),
        ));
    }
    facts.extend(
        status
            .warnings
            .iter()
            .map(|warning| ("warning", plain(warning))),
    );
    facts
}
