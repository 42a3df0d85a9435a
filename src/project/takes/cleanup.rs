//! Takes that were given up go to the system's trash after a while, but for those that anything still names.

use std::io;
use std::path::{Path, PathBuf};

use super::Takes;
use crate::catalog::{
    BaseKind, BaseRow, Catalog, CatalogError, Durability, ItemRow, Nanoseconds, Reader, TakeRow,
};
use crate::control::rpc::one_line;
use crate::model::Lifecycle;

/// How long takes stay that were given up, in days.
pub(crate) const DAYS: u64 = 30;
/// Files in a project's folder that may name takes are read up to this length, in bytes.
const LONGEST: u64 = 64 << 20;

/// What becomes of one take.
#[derive(Clone, Debug)]
pub(crate) struct Cleaned {
    /// Its item, as it was.
    pub(crate) item: ItemRow,
    /// Its file.
    pub(crate) file: PathBuf,
    /// In bytes.
    pub(crate) size: u64,
    /// Why it stays, if it does.
    pub(crate) kept: Option<String>,
}

/// Moves to the trash what was given up before `before`; with `dry_run` only says what it would.
pub(crate) fn cleanup(
    catalog: &Catalog,
    takes: &Takes,
    before: Nanoseconds,
    dry_run: bool,
) -> Result<Vec<Cleaned>, CatalogError> {
    let reader = catalog.reader()?;
    let mut cleaned = Vec::new();
    for item in reader.unfinished(None)? {
        let Some(take) = reader.take(item.row)? else {
            continue;
        };
        let is_old = take.given_up.is_some_and(|when| when <= before);
        if item.lifecycle != Lifecycle::Abandoned || !is_old {
            continue;
        }
        let Some(file) = takes.path_of(&reader, &take)? else {
            continue;
        };
        let size = file.symlink_metadata().map_or(0, |found| found.len());
        let mut kept = named_by(&reader, &item)?;
        if kept.is_none() && super::open::is_written(&file) {
            kept = Some("a program still writes to it".to_owned());
        }
        if kept.is_none() && !dry_run {
            kept = remove(catalog, &take, &file).err();
        }
        cleaned.push(Cleaned {
            item,
            file,
            size,
            kept,
        });
    }
    Ok(cleaned)
}

/// Its folder is there, and it is not.
fn is_gone(file: &Path) -> bool {
    let found = file.symlink_metadata();
    let is_absent = found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    is_absent && file.parent().is_some_and(Path::is_dir)
}

fn remove(catalog: &Catalog, take: &TakeRow, file: &Path) -> Result<(), String> {
    match trash::delete(file) {
        Ok(()) => {}
        // Nothing is left to be moved.
        Err(_) if is_gone(file) => {}
        Err(error) => return Err(format!("it cannot be moved to the trash: {error}")),
    }
    catalog
        .write(Durability::Full, |writer| writer.drop_take(take.item))
        .map_err(|error: CatalogError| one_line(&error))
}

/// What names a take, if anything does: a usage, or a file of a project (its manifest, a draft, its history).
pub(crate) fn named_by(reader: &Reader, item: &ItemRow) -> Result<Option<String>, CatalogError> {
    if let Some(usage) = reader.usages(item.row)?.first() {
        return Ok(Some(format!("the project {} uses it", usage.project)));
    }
    if let Some(operation) = reader.last_operation_on(item.row)? {
        return Ok(Some(format!("history names it: {}", operation.summary)));
    }
    for base in reader.bases()? {
        let may_name = base.kind == BaseKind::Project
            && item.project.is_none_or(|project| project == base.row);
        // Who is away is not asked: what is there may name it.
        if may_name && base.source.is_some() {
            return Ok(Some(format!(
                "the project {} is not on this machine's disks, and may use it",
                base.name
            )));
        }
        if may_name {
            let id = item.media_id.key();
            let names_it = |text: &str| text.to_lowercase().contains(&id);
            for draft in reader.drafts(base.row)? {
                let state = reader.draft(base.row, &draft.name)?;
                if names_it(&draft.items) || state.is_some_and(|draft| names_it(&draft.state)) {
                    return Ok(Some(format!(
                        "the draft {:?} of the project {} names it",
                        draft.name, base.name
                    )));
                }
            }
        }
        if may_name && let Some(file) = names(&base, item.media_id.as_str()) {
            return Ok(Some(format!("{} names it", file.display())));
        }
    }
    Ok(None)
}

/// The file of a project that has this id somewhere in its text; or one that can't be read.
fn names(base: &BaseRow, id: &str) -> Option<PathBuf> {
    let entries = match std::fs::read_dir(&base.path) {
        Ok(entries) => entries,
        // It may be elsewhere now, or on a disk that is not there yet.
        Err(_) => return Some(base.path.clone()),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_text = entry.file_name().to_string_lossy().contains(".json");
        if !is_text || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let is_short = entry.metadata().is_ok_and(|found| found.len() <= LONGEST);
        let named = is_short.then(|| std::fs::read(&path)).map(|read| {
            read.map_or(true, |text| {
                let lower = text.to_ascii_lowercase();
                let id = id.to_ascii_lowercase();
                lower.windows(id.len()).any(|part| part == id.as_bytes())
            })
        });
        if named.unwrap_or(true) {
            return Some(path);
        }
    }
    None
}
