//! Files by their paths and when they are open, on every system in one way: [`Positioned`] reads and writes that many
//! threads may do at once, [`Opening`] without following a link or waiting, names and what a file is known by (`named`),
//! permissions, times and marks (`meta`), and room in a file.
//!
//! What one system has no call for is done in the next best way, or is an error of the kind `Unsupported`; which, is told
//! where it matters.

use std::fs::File;
use std::io;

use crate::drive::Allocation;

mod meta;
mod named;
mod opening;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

pub use meta::{changed_at, is_marked, mark, permissions, set_permissions, unmark};
pub use named::{Identity, canonical, identity, identity_behind, is_called, rename, sync_folder};
pub use opening::{Make, Opening};

/// Gives a file room, or takes room from it. On Windows, and on macOS for all but holes, only what is there can be kept
/// ([`Fill::Kept`](crate::drive::Fill::Kept)).
///
/// # Errors
/// `Unsupported` where the system or the file system can't, or what the system says.
pub fn allocate(file: &File, wanted: Allocation) -> io::Result<()> {
    system::allocate(file, wanted)
}

/// Reads and writes at an offset (bytes). Nobody who uses this may use the file's cursor as well: it moves on some systems.
pub trait Positioned {
    /// Reads at most so many bytes as there are in `buffer`; 0 at the end.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at most all of `bytes`; says how many.
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Fills all of `buffer`.
    ///
    /// # Errors
    /// What the system says; `UnexpectedEof` where the file ends before.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    buffer = buffer.get_mut(count..).unwrap_or_default();
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// What the system says; some of it may be written then.
    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = bytes.get(count..).unwrap_or_default();
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Positioned for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        system::read_at(self, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        system::write_at(self, bytes, offset)
    }
}

/// Brings what anybody has written to a file to the disk; also of one that is open for reading alone.
///
/// # Errors
/// What the system says.
pub fn sync(file: &File) -> io::Result<()> {
    system::sync(file)
}

/// Has the system forget what it remembers of a file's bytes, as far as they are on the disk: who reads them from now on
/// reads the disk. Only Linux has a way for that; elsewhere nothing is done.
///
/// # Errors
/// What the system says.
#[cfg_attr(not(target_os = "linux"), allow(clippy::unnecessary_wraps))]
pub fn forget_cached(file: &File) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?;
    #[cfg(not(target_os = "linux"))]
    let _ = file;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_open_for_reading_is_brought_to_the_disk() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        std::fs::write(&path, "x").unwrap();
        sync(&File::open(&path).unwrap()).unwrap();
        sync(&File::create(&path).unwrap()).unwrap();
    }

    #[test]
    fn room_is_given_with_and_without_size() {
        use crate::drive::Fill;
        let home = tempfile::tempdir().unwrap();
        let file = File::create(home.path().join("file")).unwrap();
        let wanted = |offset, length, keep_size| Allocation {
            offset,
            length,
            keep_size,
            fill: Fill::Kept,
        };
        allocate(&file, wanted(0, 4096, false)).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 4096);
        allocate(&file, wanted(0, 16, false)).unwrap();
        allocate(&file, wanted(4096, 4096, true)).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 4096);
    }

    #[test]
    fn places_are_read_and_written_and_the_end_is_told() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        file.write_all_at(b"later", 10).unwrap();
        file.write_all_at(b"first", 0).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"first\0\0\0\0\0later");
        let mut buffer = [0; 5];
        file.read_exact_at(&mut buffer, 10).unwrap();
        assert_eq!(&buffer, b"later");
        assert_eq!(file.read_at(&mut buffer, 13).unwrap(), 2);
        assert_eq!(file.read_at(&mut buffer, 15).unwrap(), 0);
        assert_eq!(file.read_at(&mut buffer, 1 << 40).unwrap(), 0);
        assert_eq!(
            file.read_exact_at(&mut buffer, 13).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
