//! Which item is meant: by an id, by a path on the drive, or by the path of its file.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use super::Service;
use super::history::meant_by;
use crate::catalog::{BaseKind, BaseRow, FolderNo, ItemRow, PlaceRow, Reader, Section};
use crate::control::methods::Which;
use crate::control::{Reason, RpcError};
use crate::model::{MediaId, ProjectId, path_text};
use crate::tree::node::{Door, Uses};

/// Deeper paths are no paths of the drive.
const DEEPEST: usize = 256;

impl Service {
    /// The item that is meant.
    pub(super) fn find(&self, reader: &Reader, which: &Which) -> Result<ItemRow, RpcError> {
        if let Some(id) = &which.media_id {
            if let Some(project) = &which.project_id {
                return in_project(reader, id, project);
            }
            // Items of several projects may have this id: a path says which of them.
            let named = match &which.path {
                Some(path) => self.find_path(reader, &path.0, Some(id)).ok(),
                None => None,
            };
            let named = named.filter(|item| item.media_id == *id);
            if let Some(item) =
                named.map_or_else(|| reader.item_by_id(id), |item| Ok(Some(item)))?
            {
                return Ok(item);
            }
        }
        if let Some(path) = &which.path {
            return self.find_path(reader, &path.0, which.media_id.as_ref());
        }
        Err(match &which.media_id {
            Some(id) => unknown(id.as_str()),
            None => RpcError::new(Reason::InvalidParameter, "name an item by mediaId or path"),
        })
    }

    fn find_path(
        &self,
        reader: &Reader,
        path: &Path,
        id: Option<&MediaId>,
    ) -> Result<ItemRow, RpcError> {
        let shown = || match id {
            Some(id) => id.to_string(),
            None => path_text(path),
        };
        let parts = parts(path).ok_or_else(|| {
            RpcError::new(
                Reason::InvalidParameter,
                format!("{} is not an absolute path without `..`", shown()),
            )
        })?;
        let found = match self
            .mount_point()
            .and_then(|mount| parts_below(&parts, &mount))
        {
            Some(below) => on_drive(reader, &below)?,
            None => on_disk(reader, path)?,
        };
        match found {
            Some(Found::Item(item)) => Ok(item),
            Some(Found::Folder) => Err(RpcError::new(
                Reason::NotFound,
                format!("{} is a folder, not a sound", shown()),
            )
            .remedy("media.search lists those whose folder has that word")
            .command("`mediafs ls WORD` lists those whose folder has that word")),
            Some(Found::File(file)) => Err(no_sound(&shown(), &file)),
            None => Err(self.left_out(path).unwrap_or_else(|| unknown(&shown()))),
        }
    }

    /// Why something in a library was not taken in.
    fn left_out(&self, path: &Path) -> Option<RpcError> {
        let library = self.library.lock().clone()?;
        let reason = library.problem_at(path)?;
        Some(RpcError::new(
            Reason::NotFound,
            format!("{} is left out: {reason}", path_text(path)),
        ))
    }
}

/// The item of a project that has this id: of the folder that is open, where the project has several.
fn in_project(reader: &Reader, id: &MediaId, project: &ProjectId) -> Result<ItemRow, RpcError> {
    let own = match meant_by(reader, &project.0)? {
        Some(base) => reader.item_in_scope(id, Some(base.row))?,
        None => None,
    };
    own.ok_or_else(|| unknown(id.as_str()))
}

fn unknown(what: &str) -> RpcError {
    RpcError::new(Reason::NotFound, format!("there is no sound {what:?}"))
        .remedy("media.search lists all, with their ids, and media.import adds files")
        .command("`mediafs ls` lists all, with their ids, and `mediafs import` adds files")
}

/// What a path leads to.
enum Found {
    Item(ItemRow),
    /// A file of a library or project, of which there is no item.
    File(PlaceRow),
    /// A folder of one.
    Folder,
}

fn no_sound(what: &str, file: &PlaceRow) -> RpcError {
    match &file.problem {
        Some(reason) => RpcError::new(
            Reason::NotFound,
            format!("{what} cannot be read as a sound: {reason}"),
        )
        .remedy("it is shown in library/ as it is, but has no id"),
        None => RpcError::new(Reason::NotFound, format!("{what} is there, but no sound"))
            .remedy("media.import makes one of it, or says why it cannot")
            .command("`mediafs import` makes one of it, or says why it cannot"),
    }
}

/// The names of an absolute path; `None` for any other.
fn parts(path: &Path) -> Option<Vec<OsString>> {
    if !path.is_absolute() {
        return None;
    }
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => parts.push(name.to_owned()),
            Component::RootDir | Component::Prefix(_) | Component::CurDir => {}
            Component::ParentDir => return None,
        }
        if parts.len() > DEEPEST {
            return None;
        }
    }
    Some(parts)
}

fn parts_below(of: &[OsString], top: &Path) -> Option<Vec<OsString>> {
    of.strip_prefix(parts(top)?.as_slice())
        .map(<[OsString]>::to_vec)
}

/// The way the views of the drive go, as far as they lead to items.
fn on_drive(reader: &Reader, parts: &[OsString]) -> Result<Option<Found>, RpcError> {
    let parts = match parts {
        [first, door, rest @ ..]
            if first == ".as" && Door::NAMED.iter().any(|(name, _)| door == *name) =>
        {
            rest
        }
        all => all,
    };
    let text = |name: &OsStr| name.to_str().map(str::to_owned);
    let item = match parts {
        [view, name] if view == "record" => match text(name) {
            Some(name) => match reader.take_named(&name)? {
                Some(take) => reader.item(take.item)?,
                None => match id_of(&OsString::from(name)) {
                    Some(id) => reader.item_by_id(&id)?,
                    None => None,
                },
            },
            None => None,
        },
        [view, id, ..] if view == "by-id" => match id_of(id) {
            Some(id) => reader.item_by_id(&id)?,
            None => None,
        },
        [view, root, rest @ ..] if view == "library" => {
            let Some(base) = text(root)
                .map(|name| reader.base_named(BaseKind::Library, &name))
                .transpose()?
                .flatten()
            else {
                return Ok(None);
            };
            // The library's folders are shown under the names they have on disk.
            return below(reader, &base, rest);
        }
        [view, project, section, name, ..] if view == "projects" => {
            let Some(base) = text(project)
                .map(|name| reader.base_named(BaseKind::Project, &name))
                .transpose()?
                .flatten()
            else {
                return Ok(None);
            };
            if let Some(uses) = section.to_str().and_then(Uses::shown_as) {
                return used(reader, &base, uses, parts.get(3..).unwrap_or_default());
            }
            let section = match section.to_str() {
                Some("by-id") => {
                    return Ok(match id_of(name) {
                        Some(id) => reader.item_in_scope(&id, Some(base.row))?.map(Found::Item),
                        None => None,
                    });
                }
                other => match other.and_then(Section::shown_as) {
                    Some(section) => section,
                    None => return Ok(None),
                },
            };
            match text(name) {
                Some(name) => reader.shown(base.row, section, &name)?,
                None => None,
            }
        }
        _ => None,
    };
    Ok(item.map(Found::Item))
}

/// `<track>/<name>` below `by-track/`.
fn used(
    reader: &Reader,
    base: &BaseRow,
    uses: Uses,
    parts: &[OsString],
) -> Result<Option<Found>, RpcError> {
    let (Some(project), [folder, rest @ ..]) = (&base.project, parts) else {
        return Ok(Some(Found::Folder));
    };
    let folder = match folder.to_str() {
        Some(name) => reader.usage_folder_named(project, &uses.role(), name)?,
        None => None,
    };
    Ok(match (folder, rest) {
        (Some(_), []) => Some(Found::Folder),
        (Some(folder), [name]) => match name.to_str() {
            Some(name) => reader.used(folder, name)?.map(Found::Item),
            None => None,
        },
        _ => None,
    })
}

/// `by-id/<id>` and `by-id/<id>.<ext>`.
fn id_of(name: &OsStr) -> Option<MediaId> {
    let name = name.to_str()?;
    name.split_once('.').map_or(name, |(id, _)| id).parse().ok()
}

/// The item whose file has this path: of an active library or an open project first, the innermost first.
fn on_disk(reader: &Reader, path: &Path) -> Result<Option<Found>, RpcError> {
    let mut other_than_item = None;
    let mut bases = reader.bases()?;
    bases.retain(|base| path.starts_with(&base.path));
    bases.sort_by_key(|base| {
        (
            !base.active,
            std::cmp::Reverse(base.path.components().count()),
        )
    });
    for base in bases {
        let Ok(relative) = path.strip_prefix(&base.path) else {
            continue;
        };
        let names: Vec<OsString> = PathBuf::from(relative)
            .components()
            .map(|component| component.as_os_str().to_owned())
            .collect();
        match below(reader, &base, &names)? {
            Some(other @ (Found::File(_) | Found::Folder)) => {
                other_than_item = other_than_item.or(Some(other))
            }
            Some(item) => return Ok(Some(item)),
            None => {}
        }
    }
    Ok(other_than_item)
}

fn below(reader: &Reader, base: &BaseRow, names: &[OsString]) -> Result<Option<Found>, RpcError> {
    let [folders @ .., file] = names else {
        return Ok(Some(Found::Folder));
    };
    let mut at: FolderNo = base.top;
    for name in folders {
        match reader.child_folder(at, name)? {
            Some(folder) => at = folder.row,
            None => return Ok(None),
        }
    }
    match reader.child_place(at, file)? {
        Some((_, Some(item))) => Ok(Some(Found::Item(item))),
        // Items of other scopes may have the file.
        Some((place, None)) => Ok(match reader.items_of(place.row)?.into_iter().next() {
            Some(item) => Some(Found::Item(item)),
            None => place.present.then_some(Found::File(place)),
        }),
        None => Ok(reader.child_folder(at, file)?.map(|_| Found::Folder)),
    }
}
