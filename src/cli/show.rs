//! `mediafs show`: everything known of one sound.

use std::ffi::OsString;

use super::output::{self, Out, plain};
use super::{CliError, Context, Done, Report};
use crate::control::methods::MediaGet;
use crate::model::{Lifecycle, MediaItem, Scope, SidecarKept, Storage, TagSource};

/// Show everything known of one sound
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Its id, or its path on the drive or on disk
    #[arg(value_name = "ID")]
    item: OsString,
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let which = super::which(&arguments.item)?;
    let item = context.client()?.call::<MediaGet>(&which)?;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&item)?;
    } else {
        out.facts(&facts(&item))?;
    }
    out.flush()?;
    Ok(Done::Well)
}

fn facts(item: &MediaItem) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("name", plain(&item.name)),
        ("id", item.media_id.to_string()),
        ("path", plain(&item.path)),
        (
            "kind",
            format!(
                "{}, {}",
                plain(item.kind.as_str()),
                plain(item.origin.as_str())
            ),
        ),
    ];
    if let Scope::Project(project) = &item.scope {
        facts.push(("project", plain(&project.0)));
    }
    facts.push(("format", output::format(item.format.as_ref())));
    if let Some(format) = &item.format {
        let frames = format
            .frames
            .map_or_else(String::new, |frames| format!(" ({frames} frames)"));
        facts.push(("length", output::length(format.duration_seconds) + &frames));
    }
    facts.push(("size", output::size(item.size)));
    let state = output::state(item);
    facts.push((
        "state",
        if state.is_empty() {
            "here".to_owned()
        } else {
            state
        },
    ));
    match item.lifecycle {
        Lifecycle::Final => {}
        Lifecycle::Pending => facts.push(("lifecycle", "still being written".to_owned())),
        Lifecycle::Abandoned => facts.push(("lifecycle", "given up".to_owned())),
    }
    facts.push(("stored", storage(&item.storage)));
    facts.extend(
        item.alternatives
            .iter()
            .map(|other| ("also", storage(other))),
    );
    if let Some(path) = &item.resolved_path {
        facts.push(("file", plain(path)));
    }
    facts.extend(
        item.candidates
            .iter()
            .map(|path| ("perhaps", format!("{} (relink if it is)", plain(path)))),
    );
    if let Some(hash) = item.blake3 {
        facts.push(("blake3", hash.to_string()));
    }
    if !item.tags.is_empty() {
        let tags: Vec<String> = item
            .tags
            .iter()
            .map(|tag| match tag.source {
                TagSource::User => plain(&tag.name),
                source => format!("{} ({})", plain(&tag.name), source_word(source)),
            })
            .collect();
        facts.push(("tags", tags.join(", ")));
    }
    for attribute in &item.attributes {
        let value = match &attribute.value {
            serde_json::Value::String(text) => plain(text),
            other => plain(&other.to_string()),
        };
        facts.push((
            "attribute",
            format!(
                "{} = {value} ({})",
                plain(&attribute.name),
                source_word(attribute.source)
            ),
        ));
    }
    for usage in &item.usages {
        facts.push((
            "used by",
            format!(
                "{}: {} {}",
                plain(&usage.project),
                plain(usage.role.as_str()),
                plain(&usage.target)
            ),
        ));
    }
    for sidecar in &item.sidecars {
        let kept = match sidecar.kept {
            SidecarKept::Home => "",
            SidecarKept::Disk => ", beside the file",
        };
        let size = output::size(sidecar.size);
        facts.push((
            "sidecar",
            format!("{} ({size}{kept})", plain(&sidecar.name)),
        ));
    }
    facts.extend(item.notes.iter().map(|note| ("note", plain(note))));
    facts
}

fn source_word(source: TagSource) -> &'static str {
    match source {
        TagSource::User => "by you",
        TagSource::File => "from the file",
        TagSource::Name => "from its name",
        TagSource::Analysis => "from analysis",
        TagSource::Composer => "from Composer",
    }
}

fn storage(storage: &Storage) -> String {
    match storage {
        Storage::Project { path } => format!("in the project: {}", plain(path)),
        Storage::Cloud { root, path, .. } => {
            format!("in the cloud folder {}: {}", plain(root), plain(path))
        }
        Storage::Volume { volume, path } => {
            format!("on the volume {}: {}", plain(volume), plain(path))
        }
        Storage::Reference {
            root: Some(root),
            path,
        } => format!("in the library {}: {}", plain(root), plain(path)),
        Storage::Reference { root: None, path } => plain(path),
    }
}
