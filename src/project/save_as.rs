//! A project saved as another one: a new folder, a new project id, the same media ids. Collected, it has all its media in its
//! own folder (`collect`). The project that it was made of is not touched.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::collect::{Collecting, OpenBytes};
use super::document::Document;
use super::{
    MANIFEST, MEDIA, ManifestError, Opening, ProjectError, Revision, Wish, export, files, open_as,
};
use crate::catalog::BaseRow;
use crate::library::{Library, Progress, carry_sources};
use crate::model::{Lifecycle, MediaId, ProjectId, display_name};

/// How a project is to be saved as another one.
#[derive(Clone, Debug)]
pub struct SaveAs {
    /// The folder of the new project: not there yet, or empty.
    pub to: PathBuf,
    /// Its name; else that of its folder.
    pub name: Option<String>,
    /// All media are to be copied into it.
    pub collect: bool,
    /// What the host says of it.
    pub host: Revision,
    /// It is the one that the host works in from now on.
    pub focused: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct SavedAs {
    /// The new project, open.
    pub opening: Opening,
    /// Files that were copied.
    pub copied: usize,
    /// Their length, in bytes.
    pub bytes: u64,
    /// Items that stay where they are, with the reason, where they should have been copied.
    pub left: Vec<(MediaId, String, String)>,
}

/// Saves a project as another one and opens that.
///
/// # Errors
/// [`ProjectError`]. Copies that were made by then stay in the folder, and are taken up when it is tried again.
pub fn save_as(
    library: &Library,
    base: &BaseRow,
    wish: &SaveAs,
    bytes_of: OpenBytes<'_>,
    progress: &Progress,
    cancel: &AtomicBool,
) -> Result<SavedAs, ProjectError> {
    let target = target(library, &wish.to)?;
    let mut document = export(library, base)?;
    document.project_id = ProjectId::new();
    document.name = match &wish.name {
        Some(name) => name.clone(),
        None => display_name(target.file_name().unwrap_or_default().as_encoded_bytes()),
    };
    if !super::is_name(&document.name) {
        let why = "the name of a project is 1 to 1,024 bytes long";
        return Err(ProjectError::Unfit(why.to_owned()));
    }
    if wish.host.revision.is_some() {
        document.revision.clone_from(&wish.host.revision);
    }
    if wish.host.document.is_some() {
        document.document.clone_from(&wish.host.document);
    }
    let mut collecting = Collecting::new(library, base, &target, bytes_of, progress, cancel);
    progress.add_expected(u64::try_from(document.items.len()).unwrap_or(u64::MAX));
    for item in &mut document.items {
        if cancel.load(Ordering::Relaxed) {
            return Err(ProjectError::Cancelled);
        }
        if wish.collect {
            collecting.collect(item)?;
        }
        collecting.refer(item);
        progress.add_done(0);
    }
    let failed = |source| ManifestError::Io {
        path: target.join(MANIFEST),
        doing: "written",
        source,
    };
    let text = document.text().map_err(|e| failed(io::Error::other(e)))?;
    document
        .check(&text)
        .map_err(|reason| ManifestError::NotTheSame {
            path: target.join(MANIFEST),
            reason,
        })?;
    files::put(&target, MANIFEST, &text, false, None).map_err(failed)?;
    let (copied, bytes, mut left) = (collecting.copied, collecting.bytes, collecting.left);
    left.extend(unfinished(library, base, &document)?);
    // What was made of the user's own project may be looked at where it is.
    let held = library.catalog().reader()?.held(base.row)?;
    let held: HashSet<&MediaId> = held
        .iter()
        .filter_map(|hold| hold.media_id.as_ref())
        .collect();
    let own: HashSet<&MediaId> = document
        .items
        .iter()
        .map(|item| &item.media_id)
        .filter(|id| !held.contains(id))
        .collect();
    let opening = open_own(library, &target, &own, wish.focused)?;
    carry_sources(library.catalog(), base.row, opening.base.row)?;
    Ok(SavedAs {
        opening,
        copied,
        bytes,
        left,
    })
}

/// Takes that are no part of the new project yet, as they are still being recorded.
fn unfinished(
    library: &Library,
    base: &BaseRow,
    document: &Document,
) -> Result<Vec<(MediaId, String, String)>, ProjectError> {
    let reader = library.catalog().reader()?;
    let mut left = Vec::new();
    reader.each_project_item(base.row, |row| {
        if row.lifecycle != Lifecycle::Final && document.item(&row.media_id).is_none() {
            let why = format!("it is still being recorded, and stays with {}", base.name);
            left.push((row.media_id, row.name, why));
        }
        Ok::<_, ProjectError>(())
    })?;
    Ok(left)
}

/// Opens a project that was just made of another one: references are followed that were followed there.
fn open_own(
    library: &Library,
    target: &Path,
    own: &HashSet<&MediaId>,
    focused: bool,
) -> Result<Opening, ProjectError> {
    let wish = Wish {
        focused,
        ..Wish::default()
    };
    let opening = open_as(library, target, &wish)?;
    let allowable = opening.held.iter().filter(|hold| hold.allowable);
    let keys: Vec<String> = allowable
        .filter(|hold| hold.media_id.as_ref().is_some_and(|id| own.contains(id)))
        .map(|hold| hold.key.clone())
        .collect();
    if keys.is_empty() {
        return Ok(opening);
    }
    super::allow(library, &opening.base, &keys)
}

/// The folder, made; on trusted storage, with nothing in it but copies that were made before.
fn target(library: &Library, to: &Path) -> Result<PathBuf, ProjectError> {
    let refused = |reason: String| ProjectError::Target {
        path: to.to_owned(),
        reason,
    };
    let failed = |error: io::Error| refused(error.to_string());
    let absolute = std::path::absolute(to).map_err(failed)?;
    if let Some(reason) = library.untrusted(&absolute) {
        return Err(refused(format!(
            "it is {reason}; save it to trusted storage and copy the folder there"
        )));
    }
    std::fs::create_dir_all(&absolute).map_err(failed)?;
    let folder = mediafs_platform::files::canonical(&absolute).map_err(failed)?;
    if let Some(reason) = library.untrusted(&folder) {
        return Err(refused(format!(
            "it is {reason}; save it to trusted storage and copy the folder there"
        )));
    }
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        if entry.map_err(failed)?.file_name() != MEDIA {
            return Err(refused(
                "the folder is not empty; name a new one".to_owned(),
            ));
        }
    }
    match std::fs::create_dir(folder.join(MEDIA)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(folder),
    }
}
