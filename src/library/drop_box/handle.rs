//! Open files of the drop box.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, XattrFlags};

use super::{DropBox, Dropped, WRITING};

/// An open file.
pub(crate) struct BoxHandle {
    drop_box: Arc<DropBox>,
    number: u32,
    file: Arc<File>,
    writes: bool,
    cut_off: AtomicBool,
}

impl BoxHandle {
    /// Opens the file of a node.
    pub(crate) fn open(
        drop_box: &Arc<DropBox>,
        number: u32,
        write: bool,
        truncate: bool,
    ) -> io::Result<Self> {
        let path = drop_box
            .path_of(number)
            .ok_or(io::ErrorKind::NotFound)
            .map_err(io::Error::from)?;
        let mut flags = if write { OFlags::RDWR } else { OFlags::RDONLY };
        flags.set(OFlags::TRUNC, write && truncate);
        let absolute = drop_box.absolute(&path);
        Self::opened(drop_box, number, &absolute, flags, Mode::empty(), write)
    }

    /// Makes a file, and opens it for writing.
    pub(crate) fn create(
        drop_box: &Arc<DropBox>,
        path: &Path,
        permissions: u16,
        exclusive: bool,
    ) -> io::Result<(u32, Self)> {
        let mut flags = OFlags::RDWR | OFlags::CREATE;
        flags.set(OFlags::EXCL, exclusive);
        let mode = Mode::from_raw_mode(u32::from(permissions) & 0o777 | 0o600);
        let number = drop_box.number(path, true);
        let absolute = drop_box.absolute(path);
        match Self::opened(drop_box, number, &absolute, flags, mode, true) {
            Ok(handle) => Ok((number, handle)),
            Err(error) => {
                drop_box.forget(number, 1);
                Err(error)
            }
        }
    }

    fn opened(
        drop_box: &Arc<DropBox>,
        number: u32,
        path: &Path,
        flags: OFlags,
        mode: Mode,
        writes: bool,
    ) -> io::Result<Self> {
        let mut table = drop_box.table.lock();
        if writes && table.sealed.contains(&number) {
            return Err(rustix::io::Errno::BUSY.into());
        }
        let safe = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags | safe, mode)?);
        if writes {
            // Where there are no such attributes, one that is cut off by a crash is known by its container only.
            let _ = rustix::fs::fsetxattr(&file, WRITING, b"1", XattrFlags::empty());
        }
        let file = Arc::new(file);
        if let Some(node) = table.nodes.get_mut(&number) {
            node.handles += 1;
            node.writers += usize::from(writes);
            node.file = Arc::downgrade(&file);
        }
        Ok(Self {
            drop_box: Arc::clone(drop_box),
            number,
            file,
            writes,
            cut_off: AtomicBool::new(false),
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

    /// The program that writes was killed.
    pub(crate) fn cut_off(&self) {
        self.cut_off.store(true, Ordering::Relaxed);
    }
}

impl Drop for BoxHandle {
    fn drop(&mut self) {
        let mut table = self.drop_box.table.lock();
        let cut_off = self.cut_off.load(Ordering::Relaxed);
        let mut path = None;
        if let Some(Dropped {
            path: now,
            handles,
            writers,
            ..
        }) = table.nodes.get_mut(&self.number)
        {
            *handles -= 1;
            *writers -= usize::from(self.writes);
            if self.writes && *writers == 0 && !cut_off {
                let _ = rustix::fs::fremovexattr(&*self.file, WRITING);
            }
            path = now.clone().filter(|_| self.writes);
        }
        if let Some(path) = path {
            self.drop_box.touch(&mut table, &path, cut_off);
        }
        table.drop_unused(self.number);
    }
}
