//! Whether somebody waits for a file that is only read here, so that reading in the background can give way.
//!
//! On Windows a file that anybody has open can't be replaced by a rename (but of the newest kind, which few programs ask
//! for), nor be opened by who shares it with nobody, whatever those who have it open agree to: a program would fail to
//! save. The system lets who asks for that know in time, and holds up the other one until the file is closed. On other
//! systems an open file is in nobody's way.

use std::fs::File;

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
