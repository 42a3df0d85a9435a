//! Giving and taking names. The disk is asked first, then the table follows.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mediafs_platform::drive::Replacing;
use mediafs_platform::files::{self, Opening};
use mediafs_platform::names;

use super::{DropBox, Table};

/// A name in a folder of the drop box.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    /// The number of the folder; `None` at the top.
    pub(crate) folder: Option<u32>,
    /// The name in it.
    pub(crate) name: &'a OsStr,
}

impl DropBox {
    /// The path that a name has, below the top.
    pub(super) fn place(&self, at: At<'_>) -> io::Result<PathBuf> {
        let folder = match at.folder {
            Some(number) => self
                .path_of(number)
                .ok_or(io::ErrorKind::StaleNetworkFileHandle)?,
            None => PathBuf::new(),
        };
        if !names::is_single(at.name) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(inside(&folder, at.name))
    }

    /// Makes a folder. Counts a look-up of it.
    pub(crate) fn make_folder(&self, at: At<'_>, permissions: u16) -> io::Result<(u32, Metadata)> {
        let _still = self.changing.read();
        let path = self.place(at)?;
        let absolute = self.absolute(&path);
        std::fs::create_dir(&absolute)?;
        let how = Opening {
            change_meta: true,
            ..Opening::default()
        };
        files::set_permissions(&how.open(&absolute)?, permissions & 0o777 | 0o700)?;
        let found = absolute.symlink_metadata()?;
        Ok((self.number(&path, true), found))
    }

    /// Removes a file, or a folder that is empty but for litter.
    pub(crate) fn remove(&self, at: At<'_>, folder: bool) -> io::Result<()> {
        let _alone = self.changing.write();
        let path = self.place(at)?;
        self.not_sealed(&path)?;
        let absolute = self.absolute(&path);
        if folder {
            self.emptied(&path, Duration::ZERO, || std::fs::remove_dir(&absolute))?;
        } else {
            std::fs::remove_file(&absolute)?;
        }
        let mut table = self.table.lock();
        table.touched.remove(&path);
        table.unname(&path);
        Ok(())
    }

    /// Gives something another name, with everything below it.
    pub(crate) fn rename(&self, from: At<'_>, to: At<'_>, how: Replacing) -> io::Result<()> {
        let _alone = self.changing.write();
        let (old, new) = (self.place(from)?, self.place(to)?);
        self.not_sealed(&old)?;
        self.not_sealed(&new)?;
        let rename = || files::rename(&self.absolute(&old), &self.absolute(&new), how);
        match how {
            Replacing::Replace => self.emptied(&new, Duration::ZERO, rename)?,
            _ => rename()?,
        }
        let is_file = |path: &Path| self.absolute(path).is_file();
        if how == Replacing::Exchange {
            let (old_is_file, new_is_file) = (is_file(&old), is_file(&new));
            let mut table = self.table.lock();
            let aside = Path::new("\u{0}exchanged");
            table.renamed(&old, aside, false);
            table.renamed(&new, &old, old_is_file);
            table.renamed(aside, &new, new_is_file);
        } else if old != new {
            let new_is_file = is_file(&new);
            self.table.lock().renamed(&old, &new, new_is_file);
        }
        Ok(())
    }

    /// Does what needs the folder to be empty, having removed litter from it, if that was all that is in the way, and nobody
    /// has touched it for so long.
    pub(super) fn emptied(
        &self,
        folder: &Path,
        untouched: Duration,
        change: impl Fn() -> io::Result<()>,
    ) -> io::Result<()> {
        match change() {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                self.clear(folder, untouched)?;
                change()
            }
            changed => changed,
        }
    }

    /// Puts the names in a folder on the disk for good.
    pub(crate) fn sync_folder(&self, folder: Option<u32>) -> io::Result<()> {
        let path = match folder {
            Some(number) => self
                .path_of(number)
                .ok_or(io::ErrorKind::StaleNetworkFileHandle)?,
            None => PathBuf::new(),
        };
        files::sync_folder(&self.absolute(&path))
    }

    /// What becomes a sound just now keeps its name, and so does all it is in.
    fn not_sealed(&self, path: &Path) -> io::Result<()> {
        let table = self.table.lock();
        let is_below = |number: &u32| {
            let sealed = table.nodes.get(number).and_then(|node| node.path.as_ref());
            sealed.is_some_and(|sealed| sealed.starts_with(path))
        };
        if table.sealed.iter().any(is_below) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        Ok(())
    }
}

impl Table {
    /// Something has another name, with everything below it; what had that name is gone.
    pub(super) fn renamed(&mut self, from: &Path, to: &Path, is_file: bool) {
        self.touched.remove(to);
        self.unname(to);
        let below = |path: &Path| path.strip_prefix(from).ok().map(|rest| joined(to, rest));
        let moved: Vec<(PathBuf, u32)> = self
            .numbers
            .iter()
            .filter(|(path, _)| path.starts_with(from))
            .map(|(path, number)| (path.clone(), *number))
            .collect();
        for (old, number) in moved {
            let Some(new) = below(&old) else { continue };
            self.numbers.remove(&old);
            self.numbers.insert(new.clone(), number);
            if let Some(node) = self.nodes.get_mut(&number) {
                node.path = Some(new);
            }
        }
        let touched: Vec<PathBuf> = self
            .touched
            .keys()
            .filter(|path| path.starts_with(from))
            .cloned()
            .collect();
        for old in touched {
            if let (Some(state), Some(new)) = (self.touched.remove(&old), below(&old)) {
                self.touch(&new, state.cut);
            }
        }
        // One that had been dealt with may be another thing under its new name.
        if is_file && !self.touched.contains_key(to) {
            self.touch(to, None);
        }
    }
}

/// The path with nothing behind it, where nothing is to be.
fn joined(to: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() {
        to.to_owned()
    } else {
        to.join(rest)
    }
}

/// The name of something in a folder of the drop box.
pub(crate) fn inside(folder: &Path, name: &OsStr) -> PathBuf {
    folder.join(name)
}
