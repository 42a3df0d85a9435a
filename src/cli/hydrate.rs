//! `mediafs hydrate`: brings sounds into the cache, and may wait for them.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::interrupt::on_interrupt;
use super::output::{Out, plain};
use super::{CliError, Context, Done, Report};
use crate::control::BlockingClient as Client;
use crate::control::methods::{
    CancelParams, HydrateItem, MediaHydrate, SessionCancel, SessionTask, TaskParams,
};
use crate::control::tasks::{TaskInfo, TaskState};

/// How often is looked how far it is.
const GLANCE: Duration = Duration::from_millis(100);

/// Bring sounds into the cache, so that they play whatever happens to where they are
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Their ids, or their paths on the drive or on disk
    #[arg(value_name = "ID", required = true)]
    items: Vec<OsString>,
    /// Wait until they are there; Ctrl-C stops bringing them
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let params = super::pin::params(&arguments.items)?;
    let mut client = context.daemon_needed()?;
    let mut items = client.call::<MediaHydrate>(&params)?.items;
    let mut interrupted = false;
    if arguments.wait {
        interrupted = wait(&mut client, &mut items)?;
    }
    let failed = items
        .iter()
        .any(|item| !item.at_hand && fails(item, arguments.wait));
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&items)?;
    } else {
        for item in &items {
            out.line(&told(item))?;
        }
    }
    out.flush()?;
    Ok(match (interrupted, failed) {
        (true, _) => Done::Interrupted,
        (false, true) => Done::Badly,
        (false, false) => Done::Well,
    })
}

/// It was not brought, and nobody tries any more; or, who has waited, it is not there.
fn fails(item: &HydrateItem, waited: bool) -> bool {
    match &item.task {
        None => true,
        Some(task) => waited || matches!(task.state, TaskState::Failed | TaskState::Cancelled),
    }
}

/// Waits for all of them; true if the user ended it.
pub(super) fn wait(client: &mut Client, items: &mut [HydrateItem]) -> Result<bool, CliError> {
    let interrupted = Arc::new(AtomicBool::new(false));
    on_interrupt(&interrupted);
    let bar = ProgressBar::no_length().with_style(
        ProgressStyle::with_template(
            "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left  {msg}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    loop {
        let (mut done, mut total, mut left) = (0, 0, 0);
        let mut slow = None;
        for item in items.iter_mut() {
            let Some(task) = &item.task else { continue };
            if !is_over(task) {
                let params = TaskParams {
                    task: task.id.clone(),
                };
                let now = client.call::<SessionTask>(&params)?.task;
                if now.is_none() {
                    item.reason = Some("nobody knows any more what became of it".to_owned());
                }
                item.task = now;
            }
            let Some(task) = &item.task else { continue };
            // Also one that was over when the answer came that named it.
            item.at_hand |= task.state == TaskState::Done;
            done += task.bytes;
            total += task.total.unwrap_or(0);
            left += u64::from(!is_over(task));
            if task.state == TaskState::Waiting {
                slow = task.reason.clone();
            }
        }
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(plain(&slow.unwrap_or_default()));
        if left == 0 {
            bar.finish_and_clear();
            return Ok(false);
        }
        if interrupted.load(Ordering::Relaxed) {
            bar.finish_and_clear();
            for task in items.iter().filter_map(|item| item.task.as_ref()) {
                if !is_over(task) {
                    let params = CancelParams {
                        task: Some(task.id.clone()),
                        ..CancelParams::default()
                    };
                    // One that has ended meanwhile is no trouble.
                    let _ = client.call::<SessionCancel>(&params);
                }
            }
            return Ok(true);
        }
        std::thread::sleep(GLANCE);
    }
}

fn is_over(task: &TaskInfo) -> bool {
    matches!(
        task.state,
        TaskState::Done | TaskState::Failed | TaskState::Cancelled
    )
}

/// What became of one, in words.
pub(super) fn told(item: &HydrateItem) -> String {
    let name = plain(&item.name);
    let reason = |task: &TaskInfo| plain(task.reason.as_deref().unwrap_or("it does not say why"));
    match (&item.task, &item.reason) {
        _ if item.at_hand => format!("{name} is here"),
        (Some(task), _) if task.state == TaskState::Failed => {
            format!("{name} was not brought: {}", reason(task))
        }
        (Some(task), _) if task.state == TaskState::Cancelled => {
            format!("{name} was not brought: it was cancelled")
        }
        (Some(task), _) if task.state == TaskState::Waiting => {
            format!("{name} waits: {} (task {})", reason(task), plain(&task.id))
        }
        (Some(task), _) => format!("{name} is on its way (task {})", plain(&task.id)),
        (None, Some(reason)) => format!("{name} cannot be brought: {}", plain(reason)),
        (None, None) => format!("{name} cannot be brought now"),
    }
}
