//! Random access to a file that is read, through one small buffer.
//!
//! Parsers ask for "n bytes at offset" and get a slice; short slices mean the end of the file. Walking forward
//! reads large blocks, jumping about reads small ones.

use std::io::{self, Read, SeekFrom};

use crate::library::probe::Source;

/// The most that can be asked for at once, and the size of a block when walking forward.
pub(crate) const MOST: usize = 256 * 1024;

/// The size of a block after a jump.
const JUMP: usize = 4 * 1024;

/// A file seen through a buffer.
pub(crate) struct Window<'a> {
    source: &'a mut dyn Source,
    size: u64,
    start: u64,
    buffer: Vec<u8>,
}

impl<'a> Window<'a> {
    /// Over the whole of `source`, wherever it stands.
    ///
    /// # Errors
    /// Where the size cannot be found out.
    pub(crate) fn new(source: &'a mut dyn Source) -> io::Result<Self> {
        let size = source.seek(SeekFrom::End(0))?;
        Ok(Self {
            source,
            size,
            start: 0,
            buffer: Vec::new(),
        })
    }

    /// The size of the file, in bytes, as it was at the start.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Up to `length` (at most [`MOST`]) bytes at `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn at(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let left = self.size.saturating_sub(offset);
        let length = length.min(MOST).min(usize::try_from(left).unwrap_or(MOST));
        let held_end = self.start + self.buffer.len() as u64;
        let held = offset >= self.start && offset + length as u64 <= held_end;
        if !held {
            let walking = offset >= self.start && offset <= held_end && !self.buffer.is_empty();
            self.load(offset, if walking { MOST } else { length.max(JUMP) })?;
        }
        let from = usize::try_from(offset.saturating_sub(self.start))
            .unwrap_or(usize::MAX)
            .min(self.buffer.len());
        let to = (from + length).min(self.buffer.len());
        Ok(&self.buffer[from..to])
    }

    /// Exactly `N` bytes at `offset`, or `None` at the end of the file.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn array<const N: usize>(&mut self, offset: u64) -> io::Result<Option<[u8; N]>> {
        Ok(self.at(offset, N)?.try_into().ok())
    }

    /// All of `length` bytes at `offset` in a vector; `None` where there are fewer, or more than `limit` are asked.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn vector(
        &mut self,
        offset: u64,
        length: u64,
        limit: usize,
    ) -> io::Result<Option<Vec<u8>>> {
        let inside = offset
            .checked_add(length)
            .is_some_and(|end| end <= self.size);
        let Some(length) = usize::try_from(length)
            .ok()
            .filter(|n| inside && *n <= limit)
        else {
            return Ok(None);
        };
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let part = self.at(offset + bytes.len() as u64, length - bytes.len())?;
            if part.is_empty() {
                return Ok(None);
            }
            bytes.extend_from_slice(part);
        }
        Ok(Some(bytes))
    }

    fn load(&mut self, offset: u64, length: usize) -> io::Result<()> {
        self.buffer.clear();
        self.start = offset;
        self.source.seek(SeekFrom::Start(offset))?;
        self.source
            .take(length as u64)
            .read_to_end(&mut self.buffer)?;
        Ok(())
    }
}
