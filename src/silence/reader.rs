//! Reads a capsule as the placeholder it describes, at any offset.
//!
//! Opening checks the whole capsule once (version, check, every segment) and keeps a mark for every
//! [`MARK_EVERY`]th segment. A read finds the mark before its offset by binary search and walks on from there, in
//! the capsule's own bytes: no memory is taken while reading, and none in proportion to the sound's length.

use super::Placeholder;
use super::capsule::{Capsule, PREFIX, VERSION};
use super::generator::Generator;

const MARK_EVERY: usize = 32;

/// A placeholder made of a capsule.
#[derive(Debug)]
pub(crate) struct CapsuleReader {
    bytes: Vec<u8>,
    size: u64,
    marks: Vec<Mark>,
}

/// A place from which segments can be read.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Of the file: where the segment before ended.
    offset: u64,
    /// Of the capsule: where the next segment's description starts.
    place: usize,
}

struct Segment<'a> {
    start: u64,
    end: u64,
    content: Content<'a>,
}

enum Content<'a> {
    Verbatim(&'a [u8]),
    Generated(Generator<'a>),
}

/// What is wrong with a capsule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum InvalidCapsule {
    /// Made by a newer mediafs.
    #[error("the capsule has version {0}, which this mediafs does not know")]
    Version(u8),
    /// Not the bytes that were stored.
    #[error("the capsule is damaged: its check does not match")]
    Check,
    /// A segment makes no sense.
    #[error("the capsule is damaged at byte {0}")]
    Segment(usize),
}

impl CapsuleReader {
    /// Checks the capsule.
    ///
    /// # Errors
    /// [`InvalidCapsule`]
    pub(crate) fn open(capsule: &Capsule) -> Result<Self, InvalidCapsule> {
        let bytes = capsule.bytes.as_slice();
        match bytes.first() {
            Some(&VERSION) if bytes.len() > PREFIX => {}
            Some(&version) if version != VERSION => return Err(InvalidCapsule::Version(version)),
            _ => return Err(InvalidCapsule::Check),
        }
        if blake3::hash(&bytes[PREFIX..]).as_bytes()[..PREFIX - 1] != bytes[1..PREFIX] {
            return Err(InvalidCapsule::Check);
        }
        let (size, place) = number(bytes, PREFIX).ok_or(InvalidCapsule::Segment(PREFIX))?;
        let mut reader = Self {
            bytes: Vec::new(),
            size,
            marks: Vec::new(),
        };
        let mut mark = Mark { offset: 0, place };
        let mut count = 0_usize;
        while mark.place < bytes.len() {
            if count.is_multiple_of(MARK_EVERY) {
                reader.marks.push(mark);
            }
            let (segment, next) =
                segment(bytes, mark).ok_or(InvalidCapsule::Segment(mark.place))?;
            if segment.end > size {
                return Err(InvalidCapsule::Segment(mark.place));
            }
            mark = next;
            count += 1;
        }
        reader.bytes = bytes.to_vec();
        Ok(reader)
    }
}

impl Placeholder for CapsuleReader {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let Some(left) = self.size.checked_sub(offset) else {
            return 0;
        };
        let length = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let buffer = &mut buffer[..length];
        buffer.fill(0);
        let end = offset + length as u64;
        let after = self.marks.partition_point(|mark| mark.offset <= offset);
        let mut next = after
            .checked_sub(1)
            .and_then(|index| self.marks.get(index).copied());
        while let Some(mark) = next {
            let Some((segment, following)) = segment(&self.bytes, mark) else {
                break;
            };
            if segment.start >= end {
                break;
            }
            if segment.end > offset {
                let from = segment.start.max(offset);
                let to = segment.end.min(end);
                let target = &mut buffer[(from - offset) as usize..(to - offset) as usize];
                match segment.content {
                    Content::Verbatim(bytes) => {
                        let skipped = (from - segment.start) as usize;
                        target.copy_from_slice(&bytes[skipped..skipped + target.len()]);
                    }
                    Content::Generated(generator) => {
                        generator.fill(from - segment.start, target);
                    }
                }
            }
            next = Some(following);
        }
        length
    }
}

/// The segment described at `mark`, and the mark behind it; `None` at the end or where it makes no sense.
fn segment(bytes: &[u8], mark: Mark) -> Option<(Segment<'_>, Mark)> {
    let (gap, place) = number(bytes, mark.place)?;
    let (head, place) = number(bytes, place)?;
    let start = mark.offset.checked_add(gap)?;
    let length = head >> 1;
    let end = start.checked_add(length)?;
    let (content, place) = if head & 1 == 0 {
        let (content, place) = take(bytes, place, length)?;
        (Content::Verbatim(content), place)
    } else {
        let tag = *bytes.get(place)?;
        let (count, place) = number(bytes, place + 1)?;
        let (parameters, place) = take(bytes, place, count)?;
        let generator = Generator::decode(tag, parameters, length)?;
        (Content::Generated(generator), place)
    };
    let segment = Segment {
        start,
        end,
        content,
    };
    Some((segment, Mark { offset: end, place }))
}

fn take(bytes: &[u8], place: usize, length: u64) -> Option<(&[u8], usize)> {
    let end = place.checked_add(usize::try_from(length).ok()?)?;
    Some((bytes.get(place..end)?, end))
}

fn number(bytes: &[u8], mut place: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(place)?;
        place += 1;
        let part = u64::from(byte & 0x7f);
        if (part << shift) >> shift != part {
            return None;
        }
        value |= part << shift;
        if byte < 0x80 {
            return Some((value, place));
        }
    }
    None
}
