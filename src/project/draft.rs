//! Drafts: states that the host wants to have again after a crash, though they were not saved; pads, workspaces and the
//! like, in its own words. They stay on this machine, in the catalog, with the media that were pending then.

use std::time::SystemTime;

use super::ProjectError;
use crate::catalog::{BaseRow, Catalog, CatalogError, Draft, Durability, Nanoseconds};
use crate::model::Lifecycle;

/// Longest name of a draft, in bytes.
const LONGEST_NAME: usize = 256;
/// Longest state, in bytes.
const LONGEST_STATE: usize = 16 << 20;
/// Most drafts of a project.
const MOST: usize = 1000;

/// A draft that is to be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewDraft {
    /// Names it in its project; one of the same name is replaced.
    pub name: String,
    /// The host's words.
    pub state: String,
    /// The revision that it is made upon, if not the one that was saved last.
    pub revision: Option<String>,
}

/// Keeps a draft. On the disk when this returns.
///
/// # Errors
/// [`ProjectError`].
pub fn save_draft(catalog: &Catalog, base: &BaseRow, new: NewDraft) -> Result<Draft, ProjectError> {
    if new.name.trim().is_empty() || new.name.len() > LONGEST_NAME {
        let why = "the name of a draft is 1 to 256 bytes long";
        return Err(ProjectError::Unfit(why.to_owned()));
    }
    if new.state.len() > LONGEST_STATE {
        let why = "a draft is at most 16 MiB long; keep what is larger in a file of the project";
        return Err(ProjectError::Unfit(why.to_owned()));
    }
    let reader = catalog.reader()?;
    let drafts = reader.drafts(base.row)?;
    if drafts.len() >= MOST && !drafts.iter().any(|draft| draft.name == new.name) {
        let why = "the project has 1,000 drafts; remove some of them";
        return Err(ProjectError::Unfit(why.to_owned()));
    }
    let mut pending = Vec::new();
    reader.each_project_item(base.row, |row| {
        let item = reader.assemble_bare(row)?;
        if item.lifecycle == Lifecycle::Pending {
            pending.push(item.media_id);
        }
        Ok::<_, ProjectError>(())
    })?;
    let revision = match new.revision {
        Some(revision) => Some(revision),
        None => reader.project_state(base.row)?.revision,
    };
    let draft = Draft {
        name: new.name,
        at: Nanoseconds::from(SystemTime::now()),
        revision,
        state: new.state,
        items: serde_json::to_string(&pending).unwrap_or_default(),
    };
    catalog.write(Durability::Full, |writer| -> Result<(), CatalogError> {
        writer.put_draft(base.row, &draft)
    })?;
    Ok(draft)
}
