//! `mediafs ls`: which sounds there are.

use super::output::{self, JsonArray, Out};
use super::{CliError, Context, Done, Report};
use crate::control::methods::{MediaSearch, SearchParams};

/// List the sounds, or those whose name, tags, folder or id hold every word of the query
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Words to look for
    query: Vec<String>,
    #[command(flatten)]
    report: Report,
}

/// Widths of id, length, format, state.
const WIDTHS: [usize; 4] = [36, 9, 26, 22];

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let mut client = context.client()?;
    let mut params = SearchParams {
        query: arguments.query.join(" "),
        ..SearchParams::default()
    };
    let mut out = Out::new();
    let mut array = JsonArray::default();
    let mut count = 0u64;
    loop {
        let page = client.call::<MediaSearch>(&params)?;
        for item in &page.items {
            count += 1;
            if arguments.report.json {
                array.push(&mut out, item)?;
                continue;
            }
            if count == 1 {
                out.row(&WIDTHS, &["ID", "LENGTH", "FORMAT", "STATE", "NAME"])?;
            }
            let length = output::length(
                item.format
                    .as_ref()
                    .and_then(|format| format.duration_seconds),
            );
            out.row(
                &WIDTHS,
                &[
                    item.media_id.as_str(),
                    &length,
                    &output::format(item.format.as_ref()),
                    &output::state(item),
                    &output::plain(&item.name),
                ],
            )?;
        }
        match page.next {
            Some(next) => params.after = next,
            None => break,
        }
    }
    if arguments.report.json {
        array.end(&mut out)?;
    } else if count == 0 {
        out.flush()?;
        if params.query.is_empty() {
            eprintln!(
                "No sounds yet. Add a folder with `mediafs import FOLDER`, or mount one with --library FOLDER."
            );
        } else {
            eprintln!("No sound has all of: {}", output::plain(&params.query));
        }
    }
    out.flush()?;
    Ok(Done::Well)
}
