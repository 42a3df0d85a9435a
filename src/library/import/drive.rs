//! Paths on the drive itself: importing one means the item that it shows.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use mediafs_platform::volume::MountTable;

use crate::catalog::{BaseKind, CatalogError, ItemRow, Reader, Section};
use crate::library::engine::Engine;
use crate::model::MediaId;

/// The item that `path` shows, or why there is none, if the path is on a drive of ours. Touches no file.
pub(super) fn item_on_drive(
    engine: &Engine,
    path: &Path,
) -> Result<Option<Result<ItemRow, String>>, CatalogError> {
    let Some(relative) = on_drive(engine, path) else {
        return Ok(None);
    };
    let parts: Vec<&OsStr> = relative
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect();
    let parts = match parts.as_slice() {
        [door, _class, rest @ ..] if *door == ".as" => rest,
        all => all,
    };
    let reader = engine.catalog.reader()?;
    // The library's folders are shown under the names they have on disk, all else under safe names.
    let item = match parts {
        [view, base, rest @ ..] if *view == "library" => match base.to_str() {
            Some(base) => in_library(&reader, base, rest)?,
            None => None,
        },
        _ => match parts
            .iter()
            .map(|part| part.to_str())
            .collect::<Option<Vec<&str>>>()
            .as_deref()
        {
            Some(["by-id", id, ..]) => match id.parse::<MediaId>() {
                Ok(id) => reader.item_by_id(&id)?,
                Err(_) => None,
            },
            Some(["projects", project, section, name]) => {
                in_project(&reader, project, section, name)?
            }
            _ => None,
        },
    };
    Ok(Some(item.ok_or_else(|| {
        "a path of the drive that shows no media item".to_owned()
    })))
}

fn on_drive(engine: &Engine, path: &Path) -> Option<PathBuf> {
    let configured = engine.config.mount_point.as_deref();
    if let Some(relative) = configured.and_then(|mount| path.strip_prefix(mount).ok()) {
        return Some(relative.to_owned());
    }
    let table = MountTable::read().ok()?;
    let mount = table.holding(path)?;
    if !mount.is_our_drive() {
        return None;
    }
    path.strip_prefix(&mount.mount_point)
        .ok()
        .map(Path::to_owned)
}

fn in_library(
    reader: &Reader,
    base: &str,
    rest: &[&OsStr],
) -> Result<Option<ItemRow>, CatalogError> {
    let Some(base) = reader.base_named(BaseKind::Library, base)? else {
        return Ok(None);
    };
    let Some((name, folders)) = rest.split_last() else {
        return Ok(None);
    };
    let mut at = base.top;
    for folder in folders {
        match reader.child_folder(at, folder)? {
            Some(child) => at = child.row,
            None => return Ok(None),
        }
    }
    Ok(reader.child_place(at, name)?.and_then(|(_, item)| item))
}

fn in_project(
    reader: &Reader,
    project: &str,
    section: &str,
    name: &str,
) -> Result<Option<ItemRow>, CatalogError> {
    let Some(section) = Section::shown_as(section) else {
        return Ok(None);
    };
    match reader.base_named(BaseKind::Project, project)? {
        Some(project) => reader.shown(project.row, section, name),
        None => Ok(None),
    }
}
