//! `mediafs tag` and `mediafs untag`: words for a sound.

use std::ffi::OsString;

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report};
use crate::control::methods::{Changed, MediaTag, MediaUntag, TagParams};

/// Give a sound tags
#[derive(clap::Args)]
pub(super) struct TagArguments {
    #[command(flatten)]
    what: What,
}

/// Take tags off a sound; automatic ones do not come back
#[derive(clap::Args)]
pub(super) struct UntagArguments {
    #[command(flatten)]
    what: What,
}

#[derive(clap::Args)]
struct What {
    /// Its id, or its path on the drive or on disk
    #[arg(value_name = "ID")]
    item: OsString,
    /// The tags
    #[arg(value_name = "TAG", required = true)]
    tags: Vec<String>,
    #[command(flatten)]
    report: Report,
}

impl What {
    fn params(&self) -> Result<TagParams, CliError> {
        Ok(TagParams {
            item: super::which(&self.item)?,
            tags: self.tags.clone(),
            intent: super::history::by_hand(),
        })
    }

    fn tell(&self, item: &Changed) -> Result<Done, CliError> {
        let mut out = Out::new();
        if self.report.json {
            out.json(item)?;
        } else {
            let tags: Vec<String> = item.tags.iter().map(|tag| plain(&tag.name)).collect();
            let tags = if tags.is_empty() {
                "no tags".to_owned()
            } else {
                tags.join(", ")
            };
            out.line(&format!("{}: {tags}", plain(&item.name)))?;
        }
        out.flush()?;
        Ok(Done::Well)
    }
}

pub(super) fn run(arguments: &TagArguments, context: &Context) -> Result<Done, CliError> {
    let params = arguments.what.params()?;
    let item = context.client()?.call::<MediaTag>(&params)?;
    arguments.what.tell(&item)
}

pub(super) fn run_untag(arguments: &UntagArguments, context: &Context) -> Result<Done, CliError> {
    let params = arguments.what.params()?;
    let item = context.client()?.call::<MediaUntag>(&params)?;
    arguments.what.tell(&item)
}
