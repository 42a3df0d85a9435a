//! Open files of the drop box.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mediafs_platform::files::{self, Make, Opening};
use parking_lot::Mutex;

use super::{At, Cut, DropBox, WRITING};

/// An open file. Opening and closing it may take as long as the disk likes.
pub(crate) struct BoxHandle {
    drop_box: Arc<DropBox>,
    number: u32,
    file: Arc<File>,
    writes: bool,
    /// Which content of the file this handle writes: what becomes of one that was begun anew since is not its business.
    content: AtomicU64,
}

impl BoxHandle {
    /// Opens the file of a node.
    pub(crate) fn open(
        drop_box: &Arc<DropBox>,
        number: u32,
        write: bool,
        truncate: bool,
    ) -> io::Result<Self> {
        let how = Opening {
            write,
            change_meta: true,
            ..Opening::default()
        };
        let this = {
            let _still = drop_box.changing.read();
            let path = drop_box
                .path_of(number)
                .ok_or(io::ErrorKind::StaleNetworkFileHandle)?;
            Self::opened(drop_box, number, &path, how)?
        };
        if write && truncate {
            this.empty()?;
        }
        Ok(this)
    }

    /// Makes a file, and opens it for writing. Counts a look-up of it.
    pub(crate) fn create(
        drop_box: &Arc<DropBox>,
        at: At<'_>,
        permissions: u16,
        exclusive: bool,
        truncate: bool,
    ) -> io::Result<(u32, Self)> {
        let how = Opening {
            write: true,
            make: if exclusive {
                Make::New
            } else {
                Make::IfMissing
            },
            permissions: permissions & 0o777 | 0o600,
            ..Opening::default()
        };
        let still = drop_box.changing.read();
        let path = drop_box.place(at)?;
        let number = drop_box.number(&path, true);
        let opened = Self::opened(drop_box, number, &path, how);
        drop(still);
        let emptied = opened.and_then(|this| {
            // Somebody else may have made it since it was looked up.
            if truncate {
                this.empty()?;
            }
            Ok(this)
        });
        match emptied {
            Ok(this) => Ok((number, this)),
            Err(error) => {
                drop_box.forget(number, 1);
                Err(error)
            }
        }
    }

    /// Nothing gets or loses a name, nor is sealed, meanwhile.
    fn opened(drop_box: &Arc<DropBox>, number: u32, path: &Path, how: Opening) -> io::Result<Self> {
        let writes = how.write;
        if writes && drop_box.table.lock().sealed.contains(&number) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        let file = how.open(&drop_box.absolute(path))?;
        let noting = writes.then(|| noting(drop_box, number)).flatten();
        let noted = noting.as_ref().map(|noting| noting.lock());
        if writes {
            // Where there are no such attributes, one that is cut off by a crash is known by its container only.
            drop_box.noted(number, &file, |file| {
                let _ = files::mark(file, WRITING);
            });
        }
        let file = Arc::new(file);
        let mut content = 0;
        if let Some(node) = drop_box.table.lock().nodes.get_mut(&number) {
            node.handles += 1;
            node.writers += usize::from(writes);
            node.file = Arc::downgrade(&file);
            content = node.content;
        }
        drop(noted);
        Ok(Self {
            drop_box: Arc::clone(drop_box),
            number,
            file,
            writes,
            content: AtomicU64::new(content),
        })
    }

    /// For reading, and for writing if it is open for that.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// It is open for writing.
    pub(crate) fn writes(&self) -> bool {
        self.writes
    }

    /// Begins the file anew.
    pub(crate) fn empty(&self) -> io::Result<()> {
        if self.file.metadata()?.len() > 0 {
            self.file.set_len(0)?;
        }
        let mut table = self.drop_box.table.lock();
        if let Some(node) = table.nodes.get_mut(&self.number) {
            node.content += 1;
            self.content.store(node.content, Ordering::Relaxed);
            if let Some(path) = node.path.clone() {
                table.begin(&path);
            }
        }
        Ok(())
    }

    /// What is written here does not come to its end.
    pub(crate) fn cut(&self, why: Cut) {
        let mut table = self.drop_box.table.lock();
        let content = self.content.load(Ordering::Relaxed);
        let node = table.nodes.get(&self.number);
        let path = node
            .filter(|node| node.content == content)
            .and_then(|node| node.path.clone());
        if let Some(path) = path {
            table.touch(&path, Some(why));
        }
    }
}

impl Drop for BoxHandle {
    fn drop(&mut self) {
        // Nobody begins to write between the look at who does and what is noted on the file.
        let noting = self.writes.then(|| noting(&self.drop_box, self.number));
        let noting = noting.flatten();
        let noted = noting.as_ref().map(|noting| noting.lock());
        let mut is_whole = false;
        {
            let mut table = self.drop_box.table.lock();
            let mut path = None;
            if let Some(node) = table.nodes.get_mut(&self.number) {
                node.handles -= 1;
                node.writers -= usize::from(self.writes);
                is_whole = self.writes && node.writers == 0;
                path = node.path.clone().filter(|_| self.writes);
            }
            if let Some(path) = path {
                table.touch(&path, None);
                is_whole &= table.touched.get(&path).is_some_and(|t| t.cut.is_none());
            }
        }
        if is_whole {
            self.drop_box.noted(self.number, &self.file, |file| {
                let _ = files::unmark(file, WRITING);
            });
        }
        drop(noted);
        self.drop_box.table.lock().drop_unused(self.number);
    }
}

fn noting(drop_box: &DropBox, number: u32) -> Option<Arc<Mutex<()>>> {
    let table = drop_box.table.lock();
    table
        .nodes
        .get(&number)
        .map(|node| Arc::clone(&node.noting))
}
