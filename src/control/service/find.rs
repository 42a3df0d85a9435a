//! Which item is meant: by an id, by a path on the drive, or by the path of its file.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use super::Service;
use crate::catalog::{BaseKind, BaseRow, FolderNo, ItemRow, Reader, Section};
use crate::control::methods::Which;
use crate::control::{Reason, RpcError};
use crate::model::{MediaId, display_name, unsafe_name};
use crate::tree::node::Door;

/// Deeper paths are no paths of the drive.
const DEEPEST: usize = 256;

impl Service {
    /// The item that is meant.
    pub(super) fn find(&self, reader: &Reader, which: &Which) -> Result<ItemRow, RpcError> {
        if let Some(id) = &which.media_id
            && let Some(item) = reader.item_by_id(id)?
        {
            return Ok(item);
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
            None => display_name(path.as_os_str().as_encoded_bytes()),
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
        found.ok_or_else(|| unknown(&shown()))
    }
}

fn unknown(what: &str) -> RpcError {
    RpcError::new(Reason::NotFound, format!("there is no sound {what:?}"))
        .remedy("`mediafs ls` lists all, with their ids")
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
fn on_drive(reader: &Reader, parts: &[OsString]) -> Result<Option<ItemRow>, RpcError> {
    let parts = match parts {
        [first, door, rest @ ..]
            if first == ".as" && Door::NAMED.iter().any(|(name, _)| door == *name) =>
        {
            rest
        }
        all => all,
    };
    let text = |name: &OsStr| name.to_str().map(str::to_owned);
    match parts {
        [view, id, ..] if view == "by-id" => Ok(match id_of(id) {
            Some(id) => reader.item_by_id(&id)?,
            None => None,
        }),
        [view, root, rest @ ..] if view == "library" => {
            let Some(base) = text(root)
                .map(|name| reader.base_named(BaseKind::Library, &name))
                .transpose()?
                .flatten()
            else {
                return Ok(None);
            };
            let names: Vec<OsString> = rest.iter().map(|name| on_disk_name(name)).collect();
            below(reader, &base, &names)
        }
        [view, project, section, name, ..] if view == "projects" => {
            let Some(base) = text(project)
                .map(|name| reader.base_named(BaseKind::Project, &name))
                .transpose()?
                .flatten()
            else {
                return Ok(None);
            };
            let section = match section.to_str() {
                Some("by-id") => {
                    return Ok(match id_of(name) {
                        Some(id) => reader.item_in_scope(&id, Some(base.row))?,
                        None => None,
                    });
                }
                other => match other.and_then(Section::shown_as) {
                    Some(section) => section,
                    None => return Ok(None),
                },
            };
            match text(name) {
                Some(name) => Ok(reader.shown(base.row, section, &name)?),
                None => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// `by-id/<id>` and `by-id/<id>.<ext>`.
fn id_of(name: &OsStr) -> Option<MediaId> {
    let name = name.to_str()?;
    name.split_once('.').map_or(name, |(id, _)| id).parse().ok()
}

/// The name that a safe name stands for.
fn on_disk_name(name: &OsStr) -> OsString {
    let Some(text) = name.to_str() else {
        return name.to_owned();
    };
    let bytes = unsafe_name(text);
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt as _;
        OsString::from_vec(bytes)
    }
    #[cfg(not(unix))]
    {
        String::from_utf8(bytes).map_or_else(|_| name.to_owned(), OsString::from)
    }
}

/// The item whose file has this path: of an active library or an open project first, the innermost first.
fn on_disk(reader: &Reader, path: &Path) -> Result<Option<ItemRow>, RpcError> {
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
        if let Some(item) = below(reader, &base, &names)? {
            return Ok(Some(item));
        }
    }
    Ok(None)
}

fn below(reader: &Reader, base: &BaseRow, names: &[OsString]) -> Result<Option<ItemRow>, RpcError> {
    let [folders @ .., file] = names else {
        return Ok(None);
    };
    let mut at: FolderNo = base.top;
    for name in folders {
        match reader.child_folder(at, name)? {
            Some(folder) => at = folder.row,
            None => return Ok(None),
        }
    }
    match reader.child_place(at, file)? {
        Some((_, Some(item))) => Ok(Some(item)),
        // Items of other scopes may have the file.
        Some((place, None)) => Ok(reader.items_of(place.row)?.into_iter().next()),
        None => Ok(None),
    }
}
