//! `mediafs tasks` and `mediafs cancel`: what is going on, and its end.

use super::output::{Out, plain, size};
use super::{CliError, Context, Done, Report, counted};
use crate::control::TaskInfo;
use crate::control::methods::{CancelParams, Nothing, SessionCancel, SessionTasks, TaskList};

/// Show what is going on
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Also what has ended lately, and how
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    report: Report,
}

/// End a task; what it did until then stays
#[derive(clap::Args)]
pub(super) struct CancelArguments {
    /// Its id, as `mediafs tasks` shows it
    task: String,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    // Without a daemon a command's own work is all there could be, and it has the home for itself.
    let list = match context.daemon()? {
        Some(mut client) => client.call::<SessionTasks>(&Nothing {})?,
        None => TaskList::default(),
    };
    let mut tasks = list.tasks;
    if arguments.all {
        tasks.extend(list.ended);
    }
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&tasks)?;
    } else if tasks.is_empty() {
        out.line("nothing is going on")?;
    } else {
        out.table(&tasks.iter().map(cells).collect::<Vec<_>>())?;
    }
    out.flush()?;
    Ok(Done::Well)
}

pub(super) fn run_cancel(arguments: &CancelArguments, context: &Context) -> Result<Done, CliError> {
    context
        .daemon_needed()?
        .call::<SessionCancel>(&CancelParams {
            task: Some(arguments.task.clone()),
            request: None,
        })?;
    Ok(Done::Well)
}

fn cells(task: &TaskInfo) -> Vec<String> {
    let mut doing = task.kind.word().to_owned();
    if let Some(subject) = task.subject() {
        doing = format!("{doing} {}", plain(&subject));
    }
    let mut how = vec![task.state.word().to_owned()];
    how.extend(task.rate.map(|rate| format!("{}/s", size(rate))));
    how.extend(task.priority.as_deref().map(plain));
    how.extend(task.reason.as_deref().map(plain));
    vec![
        plain(&task.id),
        format!("{doing}{}", progress(task)),
        how.join(", "),
    ]
}

/// How far it is, after a colon; empty if it has not begun.
pub(super) fn progress(task: &TaskInfo) -> String {
    let (done, total) = match &task.files {
        Some(files) => (
            counted(files.done, "file", "files"),
            files.total.map(|total| total.to_string()),
        ),
        None => (size(task.bytes), task.total.map(size)),
    };
    match total {
        Some(total) => format!(": {done} of {total}"),
        None => format!(": {done}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::methods::TaskKind;
    use crate::control::tasks::{TaskFiles, TaskState};

    #[test]
    fn tasks_are_told_by_files_or_bytes() {
        let mut task = TaskInfo {
            id: "work-1".to_owned(),
            kind: TaskKind::Hydrate,
            media_id: "kick".parse().ok(),
            name: None,
            state: TaskState::Waiting,
            bytes: 1500,
            total: Some(3000),
            files: None,
            rate: Some(1000),
            since: 0,
            priority: Some("player".to_owned()),
            reason: Some("RED is\nunplugged".to_owned()),
        };
        assert_eq!(
            cells(&task),
            [
                "work-1",
                "fetching kick: 1.5 kB of 3.0 kB",
                "waiting, 1.0 kB/s, player, RED is\\u{a}unplugged"
            ]
        );
        task.name = Some("Kick 1.wav".to_owned());
        assert_eq!(cells(&task)[1], "fetching Kick 1.wav: 1.5 kB of 3.0 kB");
        task.files = Some(TaskFiles {
            done: 1,
            total: None,
        });
        assert_eq!(progress(&task), ": 1 file");
    }
}
