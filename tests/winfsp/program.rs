//! What programs do with files, in the requests that Windows makes of it.

use crate::host::{
    DELETE, Driver, GENERIC_READ, GENERIC_WRITE, MAKE, OPEN, OVERWRITE_OR_MAKE, Opened, Wish,
};

pub(crate) const STATUS_END_OF_FILE: u32 = 0xc000_0011;
pub(crate) const STATUS_ACCESS_DENIED: u32 = 0xc000_0022;
pub(crate) const STATUS_OBJECT_NAME_NOT_FOUND: u32 = 0xc000_0034;
pub(crate) const STATUS_OBJECT_NAME_COLLISION: u32 = 0xc000_0035;
pub(crate) const STATUS_MEDIA_WRITE_PROTECTED: u32 = 0xc000_00a2;
pub(crate) const STATUS_DIRECTORY_NOT_EMPTY: u32 = 0xc000_0101;
pub(crate) const STATUS_FILE_IS_OFFLINE: u32 = 0xc000_0267;
/// As it is read and copied.
const AT_A_TIME: usize = 65_536;

impl Driver {
    /// A program closes its last handle.
    pub(crate) fn done_with(&self, file: Opened, path: &str) {
        self.cleanup(&file, path, false);
        self.close(file);
    }

    pub(crate) fn read_whole(&self, file: &Opened) -> Result<Vec<u8>, u32> {
        let mut all = Vec::new();
        loop {
            match self.read(file, all.len() as u64, AT_A_TIME) {
                Ok(part) => all.extend(part),
                Err(STATUS_END_OF_FILE) => return Ok(all),
                Err(status) => return Err(status),
            }
        }
    }

    /// As whoever reads a file and closes it.
    pub(crate) fn bytes(&self, path: &str) -> Result<Vec<u8>, u32> {
        let file = self.open(path, GENERIC_READ)?;
        let read = self.read_whole(&file);
        self.close(file);
        read
    }

    pub(crate) fn is_there(&self, path: &str) -> bool {
        match self.open(path, 0x0010_0080) {
            Ok(file) => {
                self.close(file);
                true
            }
            Err(_) => false,
        }
    }

    /// As `CopyFile` and most others write: made or emptied, in pieces, closed.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) -> Result<(), u32> {
        let wish = Wish::new(GENERIC_READ | GENERIC_WRITE | DELETE, OVERWRITE_OR_MAKE);
        let file = self.create(path, wish)?;
        if file.how == 3 {
            self.overwrite(&file)?;
        }
        let mut written = 0;
        for part in bytes.chunks(10_007) {
            written = self.write(&file, written, part)?;
        }
        self.done_with(file, path);
        Ok(())
    }

    pub(crate) fn make_folder(&self, path: &str) -> Result<(), u32> {
        let wish = Wish {
            options: 0x1,
            ..Wish::new(GENERIC_READ, MAKE)
        };
        self.create(path, wish).map(|folder| self.close(folder))
    }

    /// As `DeleteFile` and `RemoveDirectory`.
    pub(crate) fn delete(&self, path: &str) -> Result<(), u32> {
        let file = self.open(path, DELETE)?;
        let marked = self.mark_to_go(&file, path);
        self.cleanup(&file, path, marked.is_ok());
        self.close(file);
        marked
    }

    /// As `MoveFileEx`.
    pub(crate) fn move_to(&self, from: &str, to: &str, replace: bool) -> Result<(), u32> {
        let file = self.open(from, DELETE | 0x0010_0080)?;
        let renamed = self.rename(&file, from, to, replace);
        self.close(file);
        renamed
    }

    /// As Explorer: the folder is opened once and asked for more until there is no more.
    pub(crate) fn names_in(&self, path: &str, room: usize) -> Vec<(String, u32)> {
        let wish = Wish {
            options: 0x1,
            ..Wish::new(0x0010_0081, OPEN)
        };
        let folder = self.create(path, wish).unwrap();
        let mut all: Vec<(String, u32)> = Vec::new();
        loop {
            let marker = all.last().map(|(name, _)| name.clone());
            let more = self.list(&folder, marker.as_deref(), room);
            if more.is_empty() {
                break;
            }
            all.extend(more);
        }
        self.close(folder);
        all.retain(|(name, _)| name != "." && name != "..");
        all
    }

    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let listed = self.names_in(path, 65_536).into_iter();
        let mut names: Vec<String> = listed.map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    }
}
