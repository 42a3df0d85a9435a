//! Takes: from `media.reserve` until they are final.
//!
//! A take is written to a file of its own ([`staging`]) on trusted storage, by programs through `record/` of the drive,
//! or by the kernel for them while no daemon lives. [`Takes`] knows who has which take open; the tree asks it at each
//! open of one, `media.finalise` before it touches the file: nobody may write then, nor may anybody begin to. What a
//! writer that died left behind is put right in the file's own header ([`repair`]), and the library probes it, moves it
//! to where it stays and makes it final. What is found at the start of a daemon, or in a project's folder, is
//! [`recover`]ed.

mod cleanup;
mod moves;
mod open;
mod recover;
pub(crate) mod repair;
mod reserve;
mod staging;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::catalog::{BaseRow, CatalogError, Reader, TakeRow};

pub(crate) use cleanup::{DAYS, cleanup};
pub(crate) use moves::settle_moves;
pub(crate) use open::{NotOpened, TakeHandle, Takes, is_written};
pub(crate) use recover::{Recovered, begin, recover};
pub(crate) use reserve::{ReserveError, Wanted, now, reserve, room_for_takes, usual_rate};
pub(crate) use staging::{IN_PROJECT as FOLDER_OF_TAKES, copy_name};

impl Takes {
    /// The file of a take; `None` where its project is not on trusted storage any more.
    pub(crate) fn path_of(
        &self,
        reader: &Reader,
        take: &TakeRow,
    ) -> Result<Option<PathBuf>, CatalogError> {
        staging::path_of(reader, self.home(), take)
    }

    /// The folder in which takes of this base (`None`: of the home) are written.
    pub(crate) fn folder(&self, base: Option<&BaseRow>) -> PathBuf {
        staging::folder(self.home(), base)
    }
}

/// Opens the file of a take by its path.
pub(crate) fn open_file(path: &Path, write: bool) -> io::Result<File> {
    staging::open(path, write)
}
