//! Who has which take open, and keeping writers away from one that becomes final.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mediafs_platform::writers::has_writers;
use parking_lot::{Condvar, Mutex};

use super::staging;
use crate::catalog::ItemNo;

/// How often it is looked whether writers are gone that the system knows of only.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The takes of a home that are open.
pub(crate) struct Takes {
    home: PathBuf,
    table: Mutex<Table>,
    closed: Condvar,
}

#[derive(Default)]
struct Table {
    open: HashMap<ItemNo, Open>,
    /// These become final just now.
    sealed: HashSet<ItemNo>,
}

struct Open {
    /// For reading. All handles share it, so that the kernel is given one file.
    file: Arc<File>,
    handles: usize,
    writers: usize,
}

/// Why a take was not opened.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// It becomes final just now, and so is not written to any more.
    Sealed,
    /// The system says no.
    Failed(io::Error),
}

/// An open take.
pub(crate) struct TakeHandle {
    takes: Arc<Takes>,
    item: ItemNo,
    file: Arc<File>,
    writer: Option<Arc<File>>,
}

impl TakeHandle {
    /// For reading.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// For writing, if it was opened for that.
    pub(crate) fn writer(&self) -> Option<&Arc<File>> {
        self.writer.as_ref()
    }
}

impl Drop for TakeHandle {
    fn drop(&mut self) {
        // Before it is told: who waits for writers asks the system next.
        let was_writer = self.writer.take().is_some();
        let mut table = self.takes.table.lock();
        if let Some(open) = table.open.get_mut(&self.item) {
            open.handles -= 1;
            open.writers -= usize::from(was_writer);
            if open.handles == 0 {
                table.open.remove(&self.item);
            }
        }
        drop(table);
        self.takes.closed.notify_all();
    }
}

/// Nobody opens the take for writing while this lives.
pub(crate) struct Seal {
    takes: Arc<Takes>,
    item: ItemNo,
}

impl Drop for Seal {
    fn drop(&mut self) {
        self.takes.table.lock().sealed.remove(&self.item);
        self.takes.closed.notify_all();
    }
}

impl Takes {
    /// Of the home whose folder for data this is.
    pub(crate) fn new(home: &Path) -> Arc<Self> {
        Arc::new(Self {
            home: home.to_owned(),
            table: Mutex::default(),
            closed: Condvar::new(),
        })
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Opens a take, whose file is at `path`.
    pub(crate) fn open(
        self: &Arc<Self>,
        item: ItemNo,
        path: &Path,
        write: bool,
    ) -> Result<TakeHandle, NotOpened> {
        // Before it is known whether anybody may: a take that is being sealed is asked of under the lock below.
        if write && self.table.lock().sealed.contains(&item) {
            return Err(NotOpened::Sealed);
        }
        let writer = match write {
            true => Some(Arc::new(open_to_write(path).map_err(NotOpened::Failed)?)),
            false => None,
        };
        // Outside the lock, which others take who are not to wait for the disk.
        let file = match self.opened(item) {
            Some(file) => file,
            None => Arc::new(staging::open(path, false).map_err(NotOpened::Failed)?),
        };
        let mut table = self.table.lock();
        if write && table.sealed.contains(&item) {
            return Err(NotOpened::Sealed);
        }
        let open = table.open.entry(item).or_insert_with(|| Open {
            file: Arc::clone(&file),
            handles: 0,
            writers: 0,
        });
        open.handles += 1;
        open.writers += usize::from(write);
        Ok(TakeHandle {
            takes: Arc::clone(self),
            item,
            file: Arc::clone(&open.file),
            writer,
        })
    }

    /// The file of a take that is open.
    pub(crate) fn opened(&self, item: ItemNo) -> Option<Arc<File>> {
        let table = self.table.lock();
        table.open.get(&item).map(|open| Arc::clone(&open.file))
    }

    /// How many handles write to a take.
    pub(crate) fn writers(&self, item: ItemNo) -> usize {
        let table = self.table.lock();
        table.open.get(&item).map_or(0, |open| open.writers)
    }

    /// It becomes final: nobody may open it for writing from now on. Waits for those that have it open, up to `patience`;
    /// `None` if they still do, or if somebody else makes it final.
    pub(crate) fn seal(
        self: &Arc<Self>,
        item: ItemNo,
        path: &Path,
        patience: Duration,
    ) -> io::Result<Option<Seal>> {
        let until = Instant::now() + patience;
        let mut table = self.table.lock();
        while table.sealed.contains(&item) {
            if self.closed.wait_until(&mut table, until).timed_out() {
                return Ok(None);
            }
        }
        table.sealed.insert(item);
        let seal = Seal {
            takes: Arc::clone(self),
            item,
        };
        while table.open.get(&item).is_some_and(|open| open.writers > 0) {
            if self.closed.wait_until(&mut table, until).timed_out() {
                drop(table);
                return Ok(None);
            }
        }
        drop(table);
        // Programs that began under a daemon that has died write on without this one.
        let file = staging::open(path, false)?;
        loop {
            match has_writers(&file) {
                Ok(false) => return Ok(Some(seal)),
                Ok(true) if Instant::now() >= until => return Ok(None),
                Ok(true) => std::thread::sleep(LOOK_EVERY),
                Err(error) => {
                    tracing::debug!(%error, "who writes to a take is not known to the system");
                    return Ok(Some(seal));
                }
            }
        }
    }
}

/// Opens a take's file for writing. Whoever asks for its writers holds a lease on it for some microseconds.
fn open_to_write(path: &Path) -> io::Result<File> {
    const TRIES: u32 = 20;
    let mut tries = 0;
    loop {
        match staging::open(path, true) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries < TRIES => {
                tries += 1;
                std::thread::sleep(Duration::from_micros(200));
            }
            opened => return opened,
        }
    }
}

/// Whether a program has the file of a take open for writing, as far as the system can tell.
pub(crate) fn is_written(path: &Path) -> bool {
    staging::open(path, false).is_ok_and(|file| has_writers(&file).unwrap_or(false))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(60);

    #[test]
    fn a_take_is_sealed_when_its_last_writer_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("take x.wav");
        std::fs::write(&path, "x").unwrap();
        let takes = Takes::new(folder.path());
        let item = ItemNo(7);
        let reader = takes.open(item, &path, false).unwrap();
        let writer = takes.open(item, &path, true).unwrap();
        assert_eq!(takes.writers(item), 1);
        assert!(takes.seal(item, &path, SHORT).unwrap().is_none());
        // In vain, so it can be written to again.
        drop(takes.open(item, &path, true).unwrap());
        std::thread::scope(|scope| {
            let sealing = scope.spawn(|| takes.seal(item, &path, Duration::from_secs(10)));
            std::thread::sleep(SHORT);
            drop(writer);
            let seal = sealing.join().unwrap().unwrap().unwrap();
            assert!(matches!(
                takes.open(item, &path, true),
                Err(NotOpened::Sealed)
            ));
            assert!(takes.open(item, &path, false).is_ok());
            assert!(takes.seal(item, &path, SHORT).unwrap().is_none());
            drop(seal);
        });
        assert!(takes.open(item, &path, true).is_ok());
        drop(reader);
        // One that no handle of ours is.
        let stranger = File::options().append(true).open(&path).unwrap();
        assert!(is_written(&path));
        assert!(takes.seal(item, &path, SHORT).unwrap().is_none());
        drop(stranger);
        assert!(takes.seal(item, &path, SHORT).unwrap().is_some());
    }
}
