//! Where the bytes of a generation are, and opening them there and nowhere else.
//!
//! Places come from the catalog, files from beneath the roots of trusted storage. A file is only given out if the disk
//! says of it just what it said when the generation was recorded.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mediafs_platform::beneath::{self, BeneathError, Links, Root};
use mediafs_platform::drive::{Attributes, DriveError};
use mediafs_platform::failure::Failure;
use parking_lot::Mutex;

use super::failed;
use crate::catalog::{BaseNo, Evidence, Nanoseconds, PlaceNo, PlaceRow, Reader};
use crate::model::ObjectHash;

/// Where the bytes of an item or file can be had at once.
pub(super) enum Place {
    /// In a file on trusted storage.
    File(Source),
    /// In the cache; with the attributes of the file that it is the content of.
    Object(Attributes, ObjectHash),
}

/// A place on trusted storage, resolved for one generation.
#[derive(Debug)]
pub(super) struct Source {
    /// The generation whose bytes these are. The table of what the kernel knows keeps one source an item, but a node of
    /// an older generation may still be opened.
    pub(super) generation: u16,
    /// Of that generation.
    pub(super) attributes: Attributes,
    place: PlaceNo,
    base: BaseNo,
    /// Below the base.
    path: PathBuf,
    evidence: Evidence,
}

/// Why the bytes of a generation could not be had from its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotThere {
    /// Something else is there, or nothing: look at the place again.
    Look(PlaceNo),
    /// It is there, but the system does not let us read it.
    Refused(DriveError),
}

/// The opened roots of storage.
#[derive(Default)]
pub(super) struct Roots {
    open: Mutex<HashMap<BaseNo, Arc<Root>>>,
}

impl Roots {
    pub(super) fn forget(&self, base: BaseNo) {
        self.open.lock().remove(&base);
    }

    fn root(
        &self,
        reader: impl FnOnce() -> Result<Reader, DriveError>,
        base: BaseNo,
        is_trusted: &dyn Fn(&Path) -> bool,
    ) -> Result<Option<Arc<Root>>, DriveError> {
        if let Some(root) = self.open.lock().get(&base) {
            return Ok(Some(Arc::clone(root)));
        }
        let row = reader()?.base(base).map_err(failed)?;
        // Something may be mounted over it that nobody but a courier touches.
        let row = row.filter(|row| row.source.is_none() && is_trusted(&row.path));
        let Some(row) = row else {
            return Ok(None);
        };
        let Ok(root) = Root::open(&row.path, Links::Beneath) else {
            return Ok(None);
        };
        let root = Arc::new(root.staying_on_its_mount());
        self.open.lock().insert(base, Arc::clone(&root));
        Ok(Some(root))
    }

    /// Opens the source's file if it is what was recorded. What is mounted below a root is entered only if `is_trusted`
    /// says so of the file's path.
    pub(super) fn open(
        &self,
        source: &Source,
        reader: impl Fn() -> Result<Reader, DriveError>,
        is_trusted: &dyn Fn(&Path) -> bool,
    ) -> Result<File, NotThere> {
        // A root may have been replaced by another folder of its name: it is opened anew once.
        for last in [false, true] {
            let root = match self.root(&reader, source.base, is_trusted) {
                Ok(Some(root)) => root,
                Ok(None) => return Err(NotThere::Look(source.place)),
                Err(error) => return Err(NotThere::Refused(error)),
            };
            match open_below(&root, &source.path, is_trusted) {
                Ok((file, seen)) if is_same(&source.evidence, &seen) => return Ok(file),
                Err(BeneathError::Permission { .. }) => {
                    return Err(NotThere::Refused(DriveError::NotPermitted));
                }
                Err(BeneathError::Io { source, .. }) => {
                    return Err(NotThere::Refused(storage_failed(&source)));
                }
                Ok(_) | Err(_) if last => break,
                Ok(_) | Err(_) => self.forget(source.base),
            }
        }
        Err(NotThere::Look(source.place))
    }
}

fn open_below(
    root: &Root,
    below: &Path,
    is_trusted: &dyn Fn(&Path) -> bool,
) -> Result<(File, beneath::Evidence), BeneathError> {
    let whole = || root.path().join(below);
    if !root.is_sure_to_stay() && !is_trusted(&whole()) {
        return Err(BeneathError::Escapes { path: whole() });
    }
    match root.open_file(below) {
        // Another file system is mounted on the way, such as the disk of the home in the computer's own tree.
        Err(BeneathError::Escapes { .. }) if is_trusted(&whole()) => {
            Root::open(root.path(), Links::Beneath)?.open_file(below)
        }
        opened => opened,
    }
}

impl Source {
    /// The source of a place as the catalog has it now.
    pub(super) fn of(
        reader: &Reader,
        place: &PlaceRow,
        generation: u16,
        attributes: Attributes,
    ) -> Result<Option<Self>, DriveError> {
        // What is not on trusted storage is not touched from here, whatever the catalog says of it.
        if !place.is_here() || reader.source_of(place.base).is_some() {
            return Ok(None);
        }
        let located = reader.place_path(place.row).map_err(failed)?;
        let evidence = place.evidence;
        Ok(located.map(|(base, path)| Self {
            generation,
            attributes,
            place: place.row,
            base,
            path,
            evidence,
        }))
    }
}

#[cfg(test)]
impl Source {
    /// One that leads nowhere.
    pub(super) fn of_nothing() -> Self {
        let time = std::time::SystemTime::UNIX_EPOCH;
        Self {
            generation: 1,
            attributes: Attributes {
                inode: 0,
                kind: mediafs_platform::drive::NodeKind::File,
                size: 0,
                modified: time,
                changed: time,
                born: time,
                permissions: 0,
                uid: 0,
                gid: 0,
            },
            place: PlaceNo(0),
            base: BaseNo(0),
            path: PathBuf::new(),
            evidence: Evidence::NONE,
        }
    }
}

fn storage_failed(error: &std::io::Error) -> DriveError {
    match Failure::of(error) {
        Failure::TooManyOpen => DriveError::TooManyOpen,
        Failure::NotHere => DriveError::NotNow,
        _ => DriveError::Io,
    }
}

/// Is the file what was recorded? Devices are renumbered at each start of a machine, so theirs is not asked.
fn is_same(recorded: &Evidence, seen: &beneath::Evidence) -> bool {
    recorded.inode == seen.inode
        && recorded.size == seen.size
        && recorded.modified == Nanoseconds::from(seen.modified)
        && recorded.changed == Nanoseconds::from(seen.changed)
}
