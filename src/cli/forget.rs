//! `mediafs forget`: removes what is gone for good and nobody would miss.

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report, counted};
use crate::control::methods::{ForgetUnusedParams, Intent, MediaForgetUnused};

/// Remove sounds whose file is gone for good, that no project uses, and of which you have told nothing (no tag, value,
/// name or pin)
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Those; there is nothing else to forget
    #[arg(long, required = true)]
    unused: bool,
    /// Only list them
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let mut client = context.client()?;
    // One revert brings all pages back.
    let group = format!("forget {}", uuid::Uuid::now_v7());
    let mut params = ForgetUnusedParams {
        dry_run: arguments.dry_run,
        after: 0,
        intent: Intent {
            group: Some(group),
            ..super::history::by_hand()
        },
    };
    let mut all = client.call::<MediaForgetUnused>(&params)?;
    while let Some(next) = all.next {
        params.after = next;
        let page = client.call::<MediaForgetUnused>(&params)?;
        all.items.extend(page.items);
        all.next = page.next;
        all.kept = page.kept;
        all.operation = page.operation.or(all.operation);
    }
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&all)?;
    } else {
        for item in &all.items {
            let was_at = item.was_at.as_ref().map(|path| plain(&path.to_string()));
            out.line(&format!(
                "{}\t{}",
                item.media_id,
                was_at.unwrap_or_else(|| plain(&item.name))
            ))?;
        }
        let count = u64::try_from(all.items.len()).unwrap_or(u64::MAX);
        let sounds = counted(count, "sound", "sounds");
        let mut words = match (count, arguments.dry_run) {
            (0, _) => "nothing is gone and unused".to_owned(),
            (_, true) => format!("{sounds} would go"),
            (1, false) => format!("{sounds} is off the drive; `mediafs undo` brings it back"),
            (_, false) => format!("{sounds} are off the drive; `mediafs undo` brings them back"),
        };
        if all.kept > 0 {
            words.push_str(&format!(
                "; {} gone as well stay known, as they are used, or tagged, named or pinned by hand",
                all.kept
            ));
        }
        out.line(&words)?;
    }
    out.flush()?;
    Ok(Done::Well)
}
