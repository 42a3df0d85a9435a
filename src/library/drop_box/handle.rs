//! Open files of the drop box.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags, XattrFlags};
use rustix::io::Errno;

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
        let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
        let this = {
            let _still = drop_box.changing.read();
            let path = drop_box.path_of(number).ok_or(Errno::STALE)?;
            Self::opened(drop_box, number, &path, access, Mode::empty(), write)?
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
        let mut flags = OFlags::RDWR | OFlags::CREATE;
        flags.set(OFlags::EXCL, exclusive);
        let mode = Mode::from_raw_mode(u32::from(permissions) & 0o777 | 0o600);
        let still = drop_box.changing.read();
        let path = drop_box.place(at)?;
        let number = drop_box.number(&path, true);
        let opened = Self::opened(drop_box, number, &path, flags, mode, true);
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
    fn opened(
        drop_box: &Arc<DropBox>,
        number: u32,
        path: &Path,
        flags: OFlags,
        mode: Mode,
        writes: bool,
    ) -> io::Result<Self> {
        if writes && drop_box.table.lock().sealed.contains(&number) {
            return Err(Errno::BUSY.into());
        }
        let safe = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(
            drop_box.absolute(path),
            flags | safe,
            mode,
        )?);
        let noting = writes.then(|| noting(drop_box, number)).flatten();
        let noted = noting.as_ref().map(|noting| noting.lock());
        if writes {
            // Where there are no such attributes, one that is cut off by a crash is known by its container only.
            drop_box.noted(number, &file, |file| {
                let _ = rustix::fs::fsetxattr(file, WRITING, b"1", XattrFlags::empty());
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
                let _ = rustix::fs::fremovexattr(file, WRITING);
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
