//! Saving: what the catalog knows of a project becomes its manifest, or a text that a host keeps.

use std::io;

use super::document::{Document, Fault};
use super::gather::{self, Gathered};
use super::shelf::{MANIFEST, Shelf};
use super::{ManifestError, ProjectError, SAVING, apply, hash_of};
use crate::catalog::{BaseRow, Durability};
use crate::library::Library;

/// How often it is begun anew where somebody else writes the manifest at the same time.
const TRIES: u32 = 5;

/// What a save wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Saved {
    /// The host's revision that it belongs to.
    pub revision: Option<String>,
    /// Items in it.
    pub items: usize,
    /// Its length.
    pub bytes: usize,
    /// False where it was that already.
    pub written: bool,
    /// Somebody else had written the manifest since it was read or written last, and items of theirs were taken over.
    pub taken_over: Vec<String>,
}

/// What the host says with a save; what it does not say stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Revision {
    /// Its revision.
    pub revision: Option<String>,
    /// Where it has its own document.
    pub document: Option<String>,
}

/// Writes what the catalog knows of a project into its manifest.
///
/// # Errors
/// [`ProjectError`]; the manifest is as it was then.
pub fn save(library: &Library, base: &BaseRow, host: &Revision) -> Result<Saved, ProjectError> {
    if base
        .source
        .is_some_and(|source| !library.catalog().source_state(source).is_online())
    {
        let path = base.path.clone();
        return Err(ProjectError::Away { path });
    }
    let shelf = Shelf::new(library, &base.path);
    let _one_at_a_time = SAVING.lock();
    write(library, base, &shelf, None, Some(host))
}

/// `before`: what the manifest says, with more than it has; else it is read. Without `host` the revision stays. For who
/// holds [`SAVING`].
pub(super) fn write(
    library: &Library,
    base: &BaseRow,
    shelf: &Shelf<'_>,
    before: Option<Document>,
    host: Option<&Revision>,
) -> Result<Saved, ProjectError> {
    shelf.clear_abandoned();
    let mut taken_over = Vec::new();
    for _ in 0..TRIES {
        let before = before.clone();
        if let Some(saved) = write_once(library, base, shelf, before, host, &mut taken_over)? {
            return Ok(Saved {
                taken_over,
                ..saved
            });
        }
    }
    Err(ManifestError::Io {
        path: shelf.folder.join(MANIFEST),
        doing: "written",
        source: io::Error::other("somebody else writes it all the time; try again"),
    }
    .into())
}

/// `None` if somebody else wrote the manifest meanwhile: a sync client, say.
fn write_once(
    library: &Library,
    base: &BaseRow,
    shelf: &Shelf<'_>,
    mut before: Option<Document>,
    host: Option<&Revision>,
    taken_over: &mut Vec<String>,
) -> Result<Option<Saved>, ProjectError> {
    let path = shelf.folder.join(MANIFEST);
    let failed = |doing| {
        let path = path.clone();
        move |source: io::Error| ManifestError::Io {
            path,
            doing,
            source,
        }
    };
    let catalog = library.catalog();
    let mut state = catalog.reader()?.project_state(base.row)?;
    let present = shelf.manifest().map_err(failed("read"))?;
    let present = present.transpose();
    let is_damaged = match &present {
        Ok(Some(found)) => found.instead_of.is_some(),
        Ok(None) => false,
        Err(Fault::Damaged(_) | Fault::TooLong(_)) => true,
        Err(_) => {
            let fault = present.err().unwrap_or(Fault::TooLong(0));
            return Err(ManifestError::Fault { path, fault }.into());
        }
    };
    let present = present.ok().flatten();
    if let Some(found) = &present
        && !is_damaged
    {
        if Some(&found.document.project_id) != base.project.as_ref() {
            return Err(ProjectError::Target {
                path: shelf.folder.clone(),
                reason: "its manifest is of another project now".to_owned(),
            });
        }
        if !state.knows(hash_of(&found.text)) {
            let applied = apply::apply(library, base, &found.document, false)?;
            library.look_at_told(&applied.told)?;
            taken_over.extend(applied.added);
            taken_over.extend(applied.changed);
            if let Some(before) = &mut before {
                before.absorb(&found.document);
            }
        }
    }
    let id = base.project.clone().unwrap_or_default();
    let (before, text_before) = match (before, present) {
        (Some(before), present) => (before, present.map(|found| found.text)),
        (None, Some(found)) => (found.document, Some(found.text)),
        (None, None) => (Document::new(id, &base.name), None),
    };
    let Gathered {
        mut document,
        entries,
    } = gather::gather(&catalog.reader()?, base, &before)?;
    if let Some(host) = host {
        if host.revision.is_some() {
            state.revision.clone_from(&host.revision);
        }
        if host.document.is_some() {
            state.document.clone_from(&host.document);
        }
        document.revision.clone_from(&state.revision);
        document.document.clone_from(&state.document);
    }
    let text = document
        .text()
        .map_err(|error| failed("written")(io::Error::other(error)))?;
    document
        .check(&text)
        .map_err(|reason| ManifestError::NotTheSame {
            path: path.clone(),
            reason,
        })?;
    let written = is_damaged || text_before.as_ref() != Some(&text);
    if written {
        let now = shelf.read(MANIFEST.as_ref()).map_err(failed("read"))?;
        if !is_damaged && now != text_before {
            return Ok(None);
        }
        shelf.write(&text, is_damaged).map_err(failed("written"))?;
        state.previous = text_before.as_deref().map(hash_of);
    }
    state.revision.clone_from(&document.revision);
    state.document.clone_from(&document.document);
    state.manifest = Some(hash_of(&text));
    catalog.write(Durability::Full, |writer| {
        for (item, entry) in &entries {
            writer.keep_entry(*item, Some(base.row), Some(entry))?;
        }
        for item in &document.items {
            writer.set_told_name(base.row, &item.media_id, &item.name)?;
        }
        writer.set_project_state(base.row, &state)
    })?;
    Ok(Some(Saved {
        revision: document.revision.clone(),
        items: document.items.len(),
        bytes: text.len(),
        written,
        taken_over: Vec::new(),
    }))
}

/// The manifest as it would be saved now, for hosts that keep it in a document of their own.
///
/// # Errors
/// [`ProjectError`].
pub fn export(library: &Library, base: &BaseRow) -> Result<Document, ProjectError> {
    let is_away = |source| !library.catalog().source_state(source).is_online();
    let before = match base.source.is_some_and(is_away) {
        true => None,
        false => Shelf::new(library, &base.path)
            .manifest()
            .ok()
            .flatten()
            .and_then(Result::ok)
            .map(|found| found.document),
    };
    let id = base.project.clone().unwrap_or_default();
    let before = before.unwrap_or_else(|| Document::new(id, &base.name));
    let reader = library.catalog().reader()?;
    let mut document = gather::gather(&reader, base, &before)?.document;
    let state = reader.project_state(base.row)?;
    document.revision = state.revision;
    document.document = state.document;
    Ok(document)
}

/// Whether something is known that the manifest, as it was read or written last, does not say. What the drive has seen by
/// itself (which programs opened what) does not count: it goes with the next save, and asks for none.
///
/// # Errors
/// [`ProjectError`].
pub fn is_unsaved(library: &Library, base: &BaseRow) -> Result<bool, ProjectError> {
    let found = Shelf::new(library, &base.path).manifest().ok().flatten();
    // One that is damaged or gone says nothing.
    let Some(Ok(found)) =
        found.filter(|found| found.as_ref().is_ok_and(|found| found.instead_of.is_none()))
    else {
        return Ok(true);
    };
    let reader = library.catalog().reader()?;
    let state = reader.project_state(base.row)?;
    if state.manifest != Some(hash_of(&found.text)) {
        return Ok(true);
    }
    let mut now = gather::gather(&reader, base, &found.document)?.document;
    (now.revision, now.document) = (state.revision, state.document);
    let text = |document: Document| document.without_observed().text().ok();
    let saved = text(found.document);
    Ok(saved.is_none() || saved != text(now))
}
