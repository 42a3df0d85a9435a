//! A placeholder as a file that can be probed and is never written.

use std::io::{self, Read, Seek, SeekFrom};

use mediafs::silence::Placeholder;

pub(crate) struct SilentFile {
    silence: Box<dyn Placeholder>,
    at: u64,
}

impl SilentFile {
    pub(crate) fn new(silence: Box<dyn Placeholder>) -> Self {
        Self { silence, at: 0 }
    }
}

impl Read for SilentFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.silence.read_at(self.at, buffer);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for SilentFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => self.silence.size().saturating_add_signed(by),
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
        };
        Ok(self.at)
    }
}
