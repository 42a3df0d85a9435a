//! Whether somebody waits for a file that is only read here, so that reading in the background can give way.
//!
//! On Windows a file that anybody has open can't be replaced by a rename (but of the newest kind, which few programs ask
//! for), nor be opened by who shares it with nobody, whatever those who have it open agree to: a program would fail to
//! save. The system lets who asks for that know in time, and holds up the other one until the file is closed. On other
//! systems an open file is in nobody's way.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

#[cfg(windows)]
mod windows;

/// A file that is read, and who waits for it.
#[derive(Debug)]
pub struct GivesWay {
    // Whoever waits goes on when the second is dropped, and is to find the file closed: fields are dropped in this order.
    /// The file.
    pub file: File,
    /// Who waits for it to be closed.
    pub wanted: Wanted,
}

impl GivesWay {
    /// Of an open file.
    #[must_use]
    pub fn new(file: File) -> Self {
        let wanted = Wanted::of(&file);
        Self { file, wanted }
    }
}

impl Read for GivesWay {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Self { file, wanted } = self;
        Until::new(file, &|| wanted.is_wanted()).read(into)
    }
}

/// Reads something until it is wanted. From then on each read fails, so that whoever reads on and on comes to an end. What was
/// made of it is to be thrown away then, also where it came to an end by itself: an error may have been taken for one.
pub struct Until<'a, S> {
    source: &'a mut S,
    is_wanted: &'a dyn Fn() -> bool,
}

impl<'a, S> Until<'a, S> {
    /// Of what is read, and of who tells.
    pub fn new(source: &'a mut S, is_wanted: &'a dyn Fn() -> bool) -> Self {
        Self { source, is_wanted }
    }
}

impl<S: Read> Read for Until<'_, S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if (self.is_wanted)() {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another program waits for it",
            ));
        }
        self.source.read(into)
    }
}

impl<S: Seek> Seek for Until<'_, S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.source.seek(to)
    }
}

impl<S> std::fmt::Debug for Until<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Until").finish_non_exhaustive()
    }
}

/// Tells of one file whether somebody waits for it to be closed.
#[derive(Debug)]
pub struct Wanted {
    #[cfg(windows)]
    system: Option<windows::Told>,
}

impl Wanted {
    /// Asks the system to tell of this file. Where it can't, nobody is ever waited for: on other systems than Windows, on network
    /// drives that do not know of it, or where somebody writes to the file.
    fn of(file: &File) -> Self {
        #[cfg(not(windows))]
        let _ = file;
        Self {
            #[cfg(windows)]
            system: windows::Told::of(file)
                .inspect_err(|error| tracing::trace!(%error, "nobody tells who waits for a file"))
                .ok(),
        }
    }

    /// Whether somebody waits for the file to be closed. It has to be closed soon then.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        #[cfg(windows)]
        return self.system.as_ref().is_some_and(windows::Told::is_told);
        #[cfg(not(windows))]
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_is_wanted_is_read_no_further() {
        let wanted = Cell::new(false);
        let mut source = io::Cursor::new(b"sound".to_vec());
        let is_wanted = || wanted.get();
        let mut reading = Until::new(&mut source, &is_wanted);
        let mut two = [0; 2];
        reading.seek(SeekFrom::Start(1)).unwrap();
        reading.read_exact(&mut two).unwrap();
        assert_eq!(&two, b"ou");
        wanted.set(true);
        // Not as one that is tried again at once.
        let error = reading.read_exact(&mut two).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    }
}
