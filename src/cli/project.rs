//! `mediafs project`: projects made, opened, saved, collected, made ready for the road.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Subcommand;

use mediafs_platform::files::canonical;

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report, counted};
use crate::control::methods::*;

/// Make, open, save and close projects; see what one needs
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a project in a folder, and open it
    New {
        /// The folder; made where it is not there
        folder: PathBuf,
        /// Its name; else that of the folder
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        report: Report,
    },
    /// Open a project: its sounds are on the drive
    Open {
        /// Its folder
        folder: PathBuf,
        /// Only if it is at this revision of the host
        #[arg(long)]
        revision: Option<String>,
        /// The manifest before the present one
        #[arg(long)]
        previous: bool,
        #[command(flatten)]
        report: Report,
    },
    /// Write what is known of a project into its media.json
    Save {
        /// Its folder, id, or name on the drive
        project: PathBuf,
        /// The host's revision
        #[arg(long)]
        revision: Option<String>,
        #[command(flatten)]
        report: Report,
    },
    /// Save a project as another one, in a new folder
    SaveAs {
        /// Its folder, id, or name on the drive
        project: PathBuf,
        /// The new folder
        to: PathBuf,
        /// Copy all its sounds into the new folder
        #[arg(long)]
        collect: bool,
        /// The host's revision of the new one
        #[arg(long)]
        revision: Option<String>,
        #[command(flatten)]
        report: Report,
    },
    /// Keep a state of the host beside what is saved, on this machine
    SaveDraft {
        /// Its folder, id, or name on the drive
        project: PathBuf,
        /// Names the draft
        draft: String,
        /// The state, as JSON; from the standard input if it is `-`
        #[arg(long, default_value = "null")]
        state: String,
        #[command(flatten)]
        report: Report,
    },
    /// Print a draft's state
    Draft {
        /// Its folder, id, or name on the drive
        project: PathBuf,
        /// Its name
        draft: String,
        /// Forget it
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        report: Report,
    },
    /// Close a project; its sounds stay known
    Close {
        /// Its folder, id, or name on the drive
        project: PathBuf,
        #[command(flatten)]
        report: Report,
    },
    /// List all projects
    List {
        #[command(flatten)]
        report: Report,
    },
    /// How a project is: its sounds, what is not saved, what is held back, its drafts
    Status {
        /// Its folder, id, or name on the drive
        project: PathBuf,
        #[command(flatten)]
        report: Report,
    },
    /// Let in what is held back of a project's media.json
    Allow {
        /// Its folder, id, or name on the drive
        project: PathBuf,
        /// The keys that `status` lists
        #[arg(required = true)]
        keys: Vec<String>,
        #[command(flatten)]
        report: Report,
    },
    /// Whether a project plays with every cable and network off
    Ready {
        /// Its folder, id, or name on the drive
        project: PathBuf,
        /// Bring and pin what it needs for that
        #[arg(long)]
        fetch: bool,
        #[command(flatten)]
        report: Report,
    },
    /// Print the media.json of a project as it would be saved now
    Export {
        /// Its folder, id, or name on the drive
        project: PathBuf,
    },
    /// Rebuild a project in a folder from what was exported
    Load {
        /// The folder
        folder: PathBuf,
        /// The file with what was exported; `-` for the standard input
        document: PathBuf,
        #[command(flatten)]
        report: Report,
    },
    /// Make a sound of the library one of a project, too, under the same id
    Use {
        /// Its folder, id, or name on the drive
        project: PathBuf,
        /// The sound's id or path
        item: PathBuf,
        #[command(flatten)]
        report: Report,
    },
    /// Copy a sound of a project into the library, under the same id
    Promote {
        /// Its folder, id, or name on the drive
        project: PathBuf,
        /// The sound's id or path
        item: PathBuf,
        #[command(flatten)]
        report: Report,
    },
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    match &arguments.command {
        Command::New {
            folder,
            name,
            report,
        } => {
            let params = ProjectNewParams {
                path: super::absolute(folder)?,
                name: name.clone(),
                focused: false,
                intent: super::history::by_hand(),
            };
            let opened = context.client()?.call::<ProjectNew>(&params)?;
            tell_opened(&opened, *report, "made")
        }
        Command::Open {
            folder,
            revision,
            previous,
            report,
        } => {
            let params = ProjectOpenParams {
                path: super::absolute(folder)?,
                focused: false,
                revision: revision.clone(),
                previous: *previous,
            };
            let opened = context.client()?.call::<ProjectOpen>(&params)?;
            tell_opened(&opened, *report, "open")
        }
        Command::Save {
            project,
            revision,
            report,
        } => {
            let params = ProjectSaveParams {
                project: which(project)?,
                revision: revision.clone(),
                document: None,
                intent: super::history::by_hand(),
            };
            let saved = context.client()?.call::<ProjectSave>(&params)?;
            tell(*report, &saved, |out| {
                let sounds = counted(saved.items, "sound", "sounds");
                out.line(&match saved.written {
                    true => format!("saved: {sounds}"),
                    false => format!("nothing has changed: {sounds}"),
                })?;
                if !saved.taken_over.is_empty() {
                    let count = saved.taken_over.len() as u64;
                    let sounds = counted(count, "sound of theirs was", "sounds of theirs were");
                    out.line(&format!(
                        "media.json had been written by somebody else; {sounds} taken over"
                    ))?;
                }
                Ok(())
            })
        }
        Command::SaveAs { .. } => save_as(&arguments.command, context),
        Command::SaveDraft {
            project,
            draft,
            state,
            report,
        } => {
            let text = match state.as_str() {
                "-" => read_whole(Path::new("-"))?,
                given => given.to_owned(),
            };
            let state = serde_json::from_str(&text)
                .map_err(|error| CliError::new(format!("the state is no JSON: {error}")))?;
            let params = DraftParams {
                project: which(project)?,
                draft: draft.clone(),
                state,
                revision: None,
                intent: super::history::by_hand(),
            };
            let kept = context.client()?.call::<ProjectSaveDraft>(&params)?;
            tell(*report, &kept, |out| {
                out.line(&format!("kept {}", plain(&kept.draft)))
            })
        }
        Command::Draft {
            project,
            draft,
            remove,
            report,
        } => {
            let params = DraftWhich {
                project: which(project)?,
                draft: draft.clone(),
                intent: super::history::by_hand(),
            };
            let mut client = context.client()?;
            if *remove {
                let gone = client.call::<ProjectRemoveDraft>(&params)?;
                return tell(*report, &gone, |out| {
                    out.line(&format!("forgot {}", plain(&gone.draft)))
                });
            }
            let found = client.call::<ProjectDraft>(&params)?;
            tell(*report, &found, |out| out.line(&found.state.to_string()))
        }
        Command::Close { project, report } => {
            let params = which(project)?;
            let closed = context.client()?.call::<ProjectClose>(&params)?;
            tell(*report, &closed, |out| {
                out.line(&format!("{} is closed", plain(&closed.name)))
            })
        }
        Command::List { report } => {
            let list = context.client()?.call::<ProjectList>(&Nothing {})?;
            tell(*report, &list.projects, |out| {
                for project in &list.projects {
                    out.line(&info_line(project))?;
                }
                Ok(())
            })
        }
        Command::Status { project, report } => {
            let params = which(project)?;
            let status = context.client()?.call::<ProjectStatus>(&params)?;
            tell(*report, &status, |out| tell_status(out, &status))
        }
        Command::Allow {
            project,
            keys,
            report,
        } => {
            let params = ProjectAllowParams {
                project: which(project)?,
                keys: keys.clone(),
                intent: super::history::by_hand(),
            };
            let opened = context.client()?.call::<ProjectAllow>(&params)?;
            tell_opened(&opened, *report, "open")
        }
        Command::Ready {
            project,
            fetch,
            report,
        } => ready(project, *fetch, *report, context),
        Command::Export { project } => {
            let params = which(project)?;
            let exported = context.client()?.call::<ProjectExport>(&params)?;
            let mut out = Out::new();
            out.line(exported.text.trim_end_matches('\n'))?;
            out.flush()?;
            Ok(Done::Well)
        }
        Command::Load {
            folder,
            document,
            report,
        } => {
            let params = ProjectLoadParams {
                path: super::absolute(folder)?,
                text: read_whole(document)?,
                focused: false,
                intent: super::history::by_hand(),
            };
            let opened = context.client()?.call::<ProjectLoad>(&params)?;
            tell_opened(&opened, *report, "open")
        }
        Command::Use {
            project,
            item,
            report,
        } => {
            let params = ProjectUseParams {
                project: which(project)?,
                item: super::which(item.as_os_str())?,
                intent: super::history::by_hand(),
            };
            let made = context.client()?.call::<ProjectUse>(&params)?;
            tell(*report, &made, |out| {
                let item = &made.item;
                out.line(&format!("{}\t{}", item.media_id, plain(&item.path)))
            })
        }
        Command::Promote {
            project,
            item,
            report,
        } => {
            let params = ProjectUseParams {
                project: which(project)?,
                item: super::which(item.as_os_str())?,
                intent: super::history::by_hand(),
            };
            let made = context.client()?.call::<MediaPromote>(&params)?;
            tell(*report, &made, |out| {
                let item = &made.item;
                out.line(&format!("{}\t{}", item.media_id, plain(&item.path)))
            })
        }
    }
}

/// A project is named by its folder, its id, or its name.
fn which(text: &Path) -> Result<ProjectWhich, CliError> {
    let is_path = super::looks_like_path(text.as_os_str()) || text.exists();
    if is_path {
        let path = super::absolute(text)?;
        let path = canonical(&path.0).map_or(path, crate::control::WirePath);
        return Ok(ProjectWhich {
            path: Some(path),
            ..ProjectWhich::default()
        });
    }
    let text = text
        .to_str()
        .ok_or_else(|| CliError::new("a project is named by its folder, its id, or its name"))?;
    let is_id = uuid::Uuid::try_parse(text).is_ok();
    Ok(ProjectWhich {
        path: None,
        project_id: is_id.then(|| crate::model::ProjectId(text.to_owned())),
        project_name: (!is_id).then(|| text.to_owned()),
    })
}

fn read_whole(path: &Path) -> Result<String, CliError> {
    /// More is no manifest.
    const MOST: u64 = 64 << 20;
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(MOST + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_string(&mut text))
    };
    match read {
        Ok(length) if length as u64 > MOST => Err(CliError::new(format!(
            "{} is too long for a manifest",
            path.display()
        ))),
        Ok(_) => Ok(text),
        Err(error) => Err(CliError::new(format!(
            "{} cannot be read: {error}",
            path.display()
        ))),
    }
}

fn tell<T: serde::Serialize>(
    report: Report,
    value: &T,
    words: impl FnOnce(&mut Out) -> std::io::Result<()>,
) -> Result<Done, CliError> {
    let mut out = Out::new();
    if report.json {
        out.json(value)?;
    } else {
        words(&mut out)?;
    }
    out.flush()?;
    Ok(Done::Well)
}

fn tell_opened(opened: &ProjectOpened, report: Report, word: &str) -> Result<Done, CliError> {
    tell(report, opened, |out| {
        let project = &opened.project;
        out.line(&format!(
            "{} is {word}, at {}",
            plain(&project.name),
            plain(&project.path.to_string())
        ))?;
        tell_more(out, opened)
    })
}

fn tell_more(out: &mut Out, opened: &ProjectOpened) -> std::io::Result<()> {
    if opened.project.away {
        out.line("its storage is not there now; what is known of it is shown")?;
    }
    if let Some(why) = &opened.instead_of {
        out.line(&format!(
            "media.json could not be used ({}); the one before was",
            plain(why)
        ))?;
    }
    for merged in &opened.merged {
        out.line(&format!(
            "merged {}: {} new, {} changed",
            plain(&merged.file),
            merged.added.len(),
            merged.changed.len()
        ))?;
    }
    for why in &opened.not_followed {
        out.line(&format!("not taken in: {}", plain(why)))?;
    }
    for take in &opened.recovered {
        out.line(&format!(
            "recovered {}: `mediafs finalise {}` keeps it, `mediafs abandon` gives it up",
            plain(&take.name),
            take.media_id
        ))?;
    }
    tell_held(out, &opened.held)
}

fn tell_held(out: &mut Out, held: &[HeldEntry]) -> std::io::Result<()> {
    for entry in held {
        let remedy = match entry.allowable {
            true => format!("; `mediafs project allow` with {} lets it in", entry.key),
            false => String::new(),
        };
        let id = entry.media_id.as_ref().map_or("an entry", |id| id.as_str());
        out.line(&format!(
            "held back: {}: {}{remedy}",
            plain(id),
            plain(&entry.reason)
        ))?;
    }
    Ok(())
}

fn info_line(project: &ProjectInfo) -> String {
    let state = match (project.open, project.away) {
        (_, true) => "away",
        (true, false) => "open",
        (false, false) => "closed",
    };
    format!(
        "{}\t{state}\t{}\t{}",
        project.project_id.0,
        plain(&project.name),
        plain(&project.path.to_string())
    )
}

fn tell_status(out: &mut Out, status: &ProjectStatusAnswer) -> std::io::Result<()> {
    out.line(&info_line(&status.project))?;
    if let Some(revision) = &status.project.revision {
        out.line(&format!("revision {}", plain(revision)))?;
    }
    let states: Vec<String> = status
        .items
        .availability
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let sounds = counted(status.items.total, "sound", "sounds");
    out.line(&match states.is_empty() {
        true => sounds,
        false => format!("{sounds}: {}", states.join(", ")),
    })?;
    if status.unsaved == Some(true) {
        out.line("not all of it is saved; `mediafs project save` does")?;
    }
    for draft in &status.drafts {
        out.line(&format!("draft {}", plain(&draft.draft)))?;
    }
    tell_held(out, &status.held)
}

fn save_as(command: &Command, context: &Context) -> Result<Done, CliError> {
    let Command::SaveAs {
        project,
        to,
        collect,
        revision,
        report,
    } = command
    else {
        return Ok(Done::Badly);
    };
    let params = ProjectSaveAsParams {
        project: which(project)?,
        to: super::absolute(to)?,
        name: None,
        collect: *collect,
        revision: revision.clone(),
        document: None,
        focused: false,
        intent: super::history::by_hand(),
    };
    let cancelled = Arc::new(AtomicBool::new(false));
    let mut client = context.client()?;
    client.cancel_by(&cancelled);
    super::interrupt::on_interrupt(&cancelled);
    let saved = client.call::<ProjectSaveAs>(&params)?;
    let done = tell(*report, &saved, |out| {
        out.line(&format!(
            "{} is open, at {}; copied {}",
            plain(&saved.opened.project.name),
            plain(&saved.opened.project.path.to_string()),
            counted(saved.copied, "file", "files")
        ))?;
        for left in &saved.left {
            out.line(&format!(
                "{} stays where it is: {}",
                plain(&left.name),
                plain(&left.reason)
            ))?;
        }
        tell_more(out, &saved.opened)
    })?;
    Ok(match saved.left.is_empty() {
        true => done,
        false => Done::Badly,
    })
}

fn ready(project: &Path, fetch: bool, report: Report, context: &Context) -> Result<Done, CliError> {
    let mut params = ReadyParams {
        project: which(project)?,
        fetch,
    };
    let mut client = context.client()?;
    let mut answer = client.call::<ProjectReady>(&params)?;
    let mut interrupted = false;
    if fetch && answer.fetching.iter().any(|item| item.task.is_some()) {
        interrupted = super::hydrate::wait(&mut client, &mut answer.fetching)?;
        // Whether it is ready is asked again, of what is there now.
        params.fetch = false;
        let fetched = std::mem::take(&mut answer.fetching);
        answer = client.call::<ProjectReady>(&params)?;
        answer.fetching = fetched;
    }
    tell(report, &answer, |out| tell_ready(out, &answer))?;
    Ok(match (interrupted, answer.ready) {
        (true, _) => Done::Interrupted,
        (false, true) => Done::Well,
        (false, false) => Done::Badly,
    })
}

fn tell_ready(out: &mut Out, answer: &ReadyAnswer) -> std::io::Result<()> {
    if answer.ready {
        let sounds = counted(answer.total, "sound", "sounds");
        return out.line(&format!(
            "ready: it plays with every cable and network off ({sounds})"
        ));
    }
    let count = answer.items.len() as u64;
    out.line(&format!(
        "not ready: {} of {}",
        counted(count, "sound", "sounds"),
        answer.total
    ))?;
    for item in &answer.items {
        let state = match item.state {
            NotReady::Unpinned => "is in the cache, but not pinned",
            NotReady::ToBring => "can be brought",
            NotReady::Away => "is away",
            NotReady::Missing => "is missing",
            NotReady::Pending => "is being recorded",
            NotReady::Held => "is held back",
        };
        let name = match (item.name.is_empty(), &item.media_id) {
            (false, _) => item.name.clone(),
            (true, Some(id)) => id.to_string(),
            (true, None) => "an entry".to_owned(),
        };
        let source = item
            .source
            .as_ref()
            .map_or_else(String::new, |source| format!(", on {source}"));
        let reason = item
            .reason
            .as_ref()
            .map_or_else(String::new, |reason| format!(": {reason}"));
        out.line(&plain(&format!("{name} {state}{source}{reason}")))?;
    }
    if answer.bytes > 0 {
        let time = match answer.seconds {
            Some(seconds) => format!(", about {seconds} s"),
            None => String::new(),
        };
        out.line(&format!(
            "{} bytes to bring{time}; `mediafs project ready --fetch` does",
            answer.bytes
        ))?;
    }
    Ok(())
}
