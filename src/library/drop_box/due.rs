//! Which files are whole: nobody writes to them, they were not touched for a while, and nothing cut them off.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::names::is_temporary;
use super::{DropBox, Table};

/// A file that was not touched for so long is whole.
pub(super) const QUIET: Duration = Duration::from_secs(1);

/// Why a file is not whole, though nobody writes to it any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Cut {
    /// Its writer, or the daemon, did not come to its end.
    #[error("the program that wrote it was ended before it had done so")]
    Ended,
    /// The disk was full.
    #[error("there was no space left for all of it")]
    NoSpace,
    /// The disk did not take a part of it.
    #[error("a part of it could not be written to the disk")]
    Failed,
}

/// What happened to a file since it was last dealt with.
#[derive(Clone, Copy)]
pub(super) struct Touched {
    pub(super) at: Instant,
    /// Grows with each touch of any file.
    pub(super) touch: u64,
    /// Until the file is begun anew, whoever writes to it meanwhile.
    pub(super) cut: Option<Cut>,
    /// It was dealt with, and stays.
    pub(super) settled: bool,
}

/// Nobody writes to the file while this lives, and it keeps its name. When it is dropped, the file counts as dealt with.
pub(crate) struct Seal<'a> {
    drop_box: &'a DropBox,
    number: u32,
    path: PathBuf,
    touch: u64,
    cut: Option<Cut>,
    gone: bool,
}

impl Seal<'_> {
    /// Why the file is not whole, if it is not.
    pub(crate) fn cut(&self) -> Option<Cut> {
        self.cut
    }

    /// The file is gone from here.
    pub(crate) fn gone(mut self) {
        self.gone = true;
    }

    /// So it is, as an item.
    pub(crate) fn taken(self) {
        self.drop_box.table.lock().took(&self.path);
        self.gone();
    }
}

impl Drop for Seal<'_> {
    fn drop(&mut self) {
        let mut table = self.drop_box.table.lock();
        table.sealed.remove(&self.number);
        if self.gone {
            table.touched.remove(&self.path);
            table.unname(&self.path);
        } else if let Some(state) = table.touched.get_mut(&self.path)
            && state.touch == self.touch
        {
            state.settled = true;
        }
        table.drop_unused(self.number);
    }
}

impl DropBox {
    /// The files that are due at this moment: a list to go through. Whether one still is, its [`Seal`] tells.
    pub(crate) fn quiet(&self) -> Vec<PathBuf> {
        let table = self.table.lock();
        let due = |path: &&PathBuf| table.due(path).is_some();
        table.touched.keys().filter(due).cloned().collect()
    }

    /// Nobody writes to a file from now on, as long as the seal lives; `None` if it is not due, or not any more.
    pub(crate) fn seal(&self, path: &Path) -> Option<Seal<'_>> {
        let _alone = self.changing.write();
        let mut table = self.table.lock();
        let Touched { touch, cut, .. } = *table.due(path)?;
        let number = table.number(path);
        table.sealed.insert(number);
        Some(Seal {
            drop_box: self,
            number,
            path: path.to_owned(),
            touch,
            cut,
            gone: false,
        })
    }
}

impl Table {
    /// What is known of a file that is neither written nor something that programs put down for a moment only, and that was
    /// not touched for a while, nor dealt with since.
    fn due(&self, path: &Path) -> Option<&Touched> {
        let state = self.touched.get(path)?;
        let node = self.numbers.get(path).and_then(|n| self.nodes.get(n));
        let is_due = !state.settled
            && state.at.elapsed() >= QUIET
            && node.is_none_or(|node| node.writers == 0)
            && !path.iter().any(is_temporary);
        is_due.then_some(state)
    }

    /// Something happens to a file. It stays cut off, if it was.
    pub(super) fn touch(&mut self, path: &Path, cut: Option<Cut>) {
        self.last_touch += 1;
        let had = self.touched.get(path).and_then(|state| state.cut);
        let state = Touched {
            at: Instant::now(),
            touch: self.last_touch,
            cut: had.or(cut),
            settled: false,
        };
        self.touched.insert(path.to_owned(), state);
    }

    /// A file is begun anew.
    pub(super) fn begin(&mut self, path: &Path) {
        self.touched.remove(path);
        self.touch(path, None);
    }
}
