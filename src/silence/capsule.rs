//! The capsule: the bytes of a media file that are not payload, and how the silence between them looks.
//!
//! Made by [`CapsuleBuilder`], from an original while it is read or from its facts alone; kept by the catalog;
//! turned into a placeholder by [`super::reader::CapsuleReader`].
//!
//! The serialised form (whole numbers are LEB128 with at most ten bytes):
//!
//! | part | bytes |
//! | --- | --- |
//! | version | 1: [`VERSION`] |
//! | check | 8: the first bytes of the BLAKE3 of what follows |
//! | size of the file | number |
//! | segments, until the end | gap since the end of the last segment, number · length × 2 + (1 if generated), number · content |
//! | content of a verbatim segment | its bytes |
//! | content of a generated segment | tag, 1 byte · length of the parameters, number · the parameters |
//!
//! Gaps, and what lies behind the last segment, are zeros.

use super::generator::Generator;

/// Of the serialised form.
pub(super) const VERSION: u8 = 1;

/// Version and check.
pub(super) const PREFIX: usize = 9;

/// Zeros inside verbatim bytes from this number on are stored as a gap.
const GAP_FROM: usize = 16;

/// A capsule may always be this large, in bytes after compression.
const ALWAYS_ALLOWED: u64 = 256 * 1024;

/// Before compression a capsule may have this many bytes, and an eighth of the file's.
const ALWAYS_TRIED: u64 = 4 * 1024 * 1024;

/// The bytes of a media file that are not payload, and how the silence between them looks.
/// Serialised compactly (and compressed by the catalog).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Capsule {
    /// The serialised form.
    pub bytes: Vec<u8>,
}

impl Capsule {
    /// The most bytes that the capsule of a file of `size` bytes has before compression.
    pub(crate) fn most_bytes(size: u64) -> u64 {
        ALWAYS_TRIED + size / 8
    }
}

/// Why no capsule could be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum CapsuleError {
    /// More than 256 KiB and more than 3 % of the file.
    #[error("the capsule would be larger than 256 KiB and than 3 % of the file")]
    TooLarge,
    /// Two segments overlap, are out of order, or lie behind the end of the file.
    #[error("a segment at {offset} overlaps another or the end of the file")]
    OutOfPlace {
        /// Where the segment was to start.
        offset: u64,
    },
}

/// Makes a capsule, from the start of a file to its end. The first error is kept and told by [`Self::finish`].
pub(crate) struct CapsuleBuilder {
    size: u64,
    /// Everything before is decided.
    position: u64,
    /// End of the last segment that was stored; from there to `position` are zeros.
    stored: u64,
    bytes: Vec<u8>,
    error: Option<CapsuleError>,
}

impl CapsuleBuilder {
    /// For a file of `size` bytes; all zeros so far.
    pub(crate) fn new(size: u64) -> Self {
        let mut bytes = vec![0; PREFIX];
        push_number(&mut bytes, size);
        Self {
            size,
            position: 0,
            stored: 0,
            bytes,
            error: None,
        }
    }

    /// These bytes at `offset`. Long runs of zeros in them cost nothing.
    pub(crate) fn verbatim(&mut self, offset: u64, bytes: &[u8]) {
        if !self.pass(offset, bytes.len() as u64) {
            return;
        }
        let mut start = zeros(bytes);
        while start < bytes.len() {
            let mut end = start + 1;
            let mut run = zeros(&bytes[end..]);
            while run < GAP_FROM && end + run < bytes.len() {
                end += run + 1;
                run = zeros(&bytes[end..]);
            }
            self.store(offset + start as u64, (end - start) as u64, false);
            self.content(&bytes[start..end]);
            if self.failed() {
                return;
            }
            start = end + run;
        }
    }

    /// `length` bytes at `offset` that a rule makes.
    pub(crate) fn generated(&mut self, offset: u64, length: u64, generator: &Generator<'_>) {
        if !self.pass(offset, length) || length == 0 || *generator == Generator::Fill(0) {
            return;
        }
        self.store(offset, length, true);
        let mut parameters = Vec::new();
        generator.encode(&mut parameters);
        self.bytes.push(generator.tag());
        push_number(&mut self.bytes, parameters.len() as u64);
        self.content(&parameters);
    }

    /// Gives the capsule up. The first reason is kept.
    pub(crate) fn give_up(&mut self, error: CapsuleError) {
        self.error.get_or_insert(error);
        self.bytes = Vec::new();
    }

    /// There will be no capsule: what is added from now on is in vain.
    pub(crate) fn failed(&self) -> bool {
        self.error.is_some()
    }

    /// The capsule.
    ///
    /// # Errors
    /// [`CapsuleError::TooLarge`] where facts alone must do; [`CapsuleError::OutOfPlace`] where the segments
    /// contradict each other, as those of a damaged file can.
    pub(crate) fn finish(mut self) -> Result<Capsule, CapsuleError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        seal(&mut self.bytes);
        let limit = limit(self.size);
        if self.bytes.len() as u64 > limit {
            let fits = zstd::bulk::compress(&self.bytes, 3)
                .is_ok_and(|compressed| compressed.len() as u64 <= limit);
            if !fits {
                return Err(CapsuleError::TooLarge);
            }
        }
        self.bytes.shrink_to_fit();
        Ok(Capsule { bytes: self.bytes })
    }

    /// Checks the place of `length` bytes at `offset` and moves behind them. True if they are in order.
    fn pass(&mut self, offset: u64, length: u64) -> bool {
        if self.error.is_some() {
            return false;
        }
        let end = offset.checked_add(length).filter(|end| *end <= self.size);
        match end {
            Some(end) if offset >= self.position => {
                self.position = end;
                true
            }
            _ => {
                self.give_up(CapsuleError::OutOfPlace { offset });
                false
            }
        }
    }

    /// Begins a segment whose place is already checked.
    fn store(&mut self, start: u64, length: u64, generated: bool) {
        push_number(&mut self.bytes, start - self.stored);
        push_number(&mut self.bytes, length << 1 | u64::from(generated));
        self.stored = start + length;
    }

    fn content(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() as u64 > Capsule::most_bytes(self.size) {
            self.give_up(CapsuleError::TooLarge);
        }
    }
}

/// Writes version and check over the first bytes.
pub(super) fn seal(bytes: &mut [u8]) {
    let check = blake3::hash(&bytes[PREFIX..]);
    bytes[0] = VERSION;
    bytes[1..PREFIX].copy_from_slice(&check.as_bytes()[..PREFIX - 1]);
}

/// The most bytes that the capsule of a file of `size` bytes may have after compression.
fn limit(size: u64) -> u64 {
    ALWAYS_ALLOWED.max(size / 100 * 3)
}

/// How many zeros `bytes` starts with.
fn zeros(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(bytes.len())
}

fn push_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
