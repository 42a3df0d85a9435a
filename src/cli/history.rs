//! `mediafs history`, `undo` and `redo`: what was done, and its revert.

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report, counted};
use crate::control::BlockingClient;
use crate::control::methods::{
    HistoryList, HistoryListParams, HistoryPage, HistoryRedo, HistoryRevert, HistoryRevertParams,
    HistoryUndo, HistoryUndoParams, Intent, Method, OperationInfo, RevertAnswer, RevertOutcome,
};

/// List what was done, the newest first
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only what is of this project
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    report: Report,
}

/// Revert what was done last
#[derive(clap::Args)]
pub(super) struct UndoArguments {
    /// How many steps
    #[arg(value_name = "N", default_value_t = 1)]
    steps: u32,
    /// Revert this operation, wherever it is in the history
    #[arg(long, value_name = "ID", conflicts_with_all = ["steps", "group", "project"])]
    operation: Option<u32>,
    /// Revert all of this group
    #[arg(long, value_name = "NAME", conflicts_with_all = ["steps", "project"])]
    group: Option<String>,
    /// Only what is of this project
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    #[command(flatten)]
    report: Report,
}

/// Do again what was reverted last
#[derive(clap::Args)]
pub(super) struct RedoArguments {
    /// How many steps
    #[arg(value_name = "N", default_value_t = 1)]
    steps: u32,
    /// Only what is of this project
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    #[command(flatten)]
    report: Report,
}

/// Who works on the command line.
pub(super) fn by_hand() -> Intent {
    Intent {
        group: None,
        who: Some("mediafs".to_owned()),
    }
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let mut client = context.client()?;
    let mut operations = Vec::new();
    let mut params = HistoryListParams {
        before: 0,
        project: arguments.project.clone(),
        limit: None,
    };
    while let Some(left) = arguments
        .limit
        .checked_sub(u32::try_from(operations.len()).unwrap_or(u32::MAX))
        .filter(|left| *left > 0)
    {
        params.limit = Some(left.min(HistoryPage::MOST));
        let page = client.call::<HistoryList>(&params)?;
        operations.extend(page.operations);
        match page.next {
            Some(next) => params.before = next,
            None => break,
        }
    }
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&operations)?;
    } else if operations.is_empty() {
        out.line("nothing was done yet")?;
    } else {
        out.table(&operations.iter().map(cells).collect::<Vec<_>>())?;
    }
    out.flush()?;
    Ok(Done::Well)
}

fn cells(operation: &OperationInfo) -> Vec<String> {
    let mut what = plain(&operation.summary);
    if let Some(by) = operation.reverted_by {
        what.push_str(&format!(" (undone by {by})"));
    }
    if !operation.revertible {
        what.push_str(" (for good)");
    }
    vec![
        operation.id.to_string(),
        operation.who.as_deref().map(plain).unwrap_or_default(),
        operation.group.as_deref().map(plain).unwrap_or_default(),
        what,
    ]
}

pub(super) fn run_undo(arguments: &UndoArguments, context: &Context) -> Result<Done, CliError> {
    let mut client = context.client()?;
    let who = by_hand().who;
    if arguments.operation.is_some() || arguments.group.is_some() {
        let params = HistoryRevertParams {
            operation: arguments.operation,
            group: arguments.group.clone(),
            who,
        };
        let answer = client.call::<HistoryRevert>(&params)?;
        return tell(vec![answer], arguments.report);
    }
    let params = HistoryUndoParams {
        project: arguments.project.clone(),
        who,
    };
    let answers = step::<HistoryUndo>(&mut client, &params, arguments.steps)?;
    tell(answers, arguments.report)
}

pub(super) fn run_redo(arguments: &RedoArguments, context: &Context) -> Result<Done, CliError> {
    let params = HistoryUndoParams {
        project: arguments.project.clone(),
        who: by_hand().who,
    };
    let steps = arguments.steps;
    let answers = step::<HistoryRedo>(&mut context.client()?, &params, steps)?;
    tell(answers, arguments.report)
}

/// So many steps, one after the other, up to one that is not done.
fn step<M>(
    client: &mut BlockingClient,
    params: &HistoryUndoParams,
    steps: u32,
) -> Result<Vec<RevertAnswer>, CliError>
where
    M: Method<Params = HistoryUndoParams, Answer = RevertAnswer>,
{
    let mut answers = Vec::new();
    for _ in 0..steps {
        match client.call::<M>(params) {
            Ok(answer) => {
                let goes_on = answer.outcome == RevertOutcome::Reverted;
                answers.push(answer);
                if !goes_on {
                    break;
                }
            }
            Err(error) if answers.is_empty() => return Err(error.into()),
            // Those before are done.
            Err(_) => break,
        }
    }
    Ok(answers)
}

fn tell(answers: Vec<RevertAnswer>, report: Report) -> Result<Done, CliError> {
    let conflict = answers
        .iter()
        .find(|answer| answer.outcome == RevertOutcome::Conflict)
        .map(|answer| {
            let first = answer.conflicts.first();
            let reason = first.map_or("something stands in the way", |c| c.reason.as_str());
            match answer.conflicts.len() {
                0 | 1 => reason.to_owned(),
                more => {
                    let more = counted(more as u64 - 1, "other thing", "other things");
                    format!("{reason}, and {more}")
                }
            }
        });
    let mut out = Out::new();
    if report.json {
        out.json(&answers)?;
    } else {
        for operation in answers.iter().flat_map(|answer| &answer.operations) {
            out.line(&plain(&operation.summary))?;
        }
    }
    out.flush()?;
    match conflict {
        None => Ok(Done::Well),
        Some(reason) => Err(CliError::new(format!(
            "it stands as it is: {reason}; revert that first (`mediafs undo --operation ID`)"
        ))),
    }
}
