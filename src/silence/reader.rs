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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::silence::capsule::{CapsuleBuilder, CapsuleError, seal};
    use crate::silence::flac_frames::SilentFrames;

    /// A part of a file: how far behind the last one, and what.
    #[derive(Clone, Debug)]
    enum Part {
        Verbatim(Vec<u8>),
        Fill(u8, u64),
        Pattern(Vec<u8>, u64),
        Flac(u64),
    }

    fn part() -> impl Strategy<Value = (u64, Part)> {
        let byte = prop_oneof![2 => Just(0_u8), 1 => any::<u8>()];
        let bytes = prop::collection::vec(byte, 0..120);
        let part = prop_oneof![
            4 => bytes.prop_map(Part::Verbatim),
            1 => (any::<u8>(), 0..300_u64).prop_map(|(byte, length)| Part::Fill(byte, length)),
            1 => (prop::collection::vec(any::<u8>(), 1..9), 0..300_u64)
                .prop_map(|(block, length)| Part::Pattern(block, length)),
            1 => (0..5000_u64).prop_map(Part::Flac),
        ];
        (prop_oneof![Just(0), 0..50_u64], part)
    }

    /// The capsule of these parts, and the bytes it must give.
    fn built(parts: &[(u64, Part)], behind: usize) -> (Capsule, Vec<u8>) {
        let flac = |samples| SilentFrames::new(2, 16, 44_100, 16, samples).unwrap();
        let mut model = Vec::new();
        for (gap, part) in parts {
            model.resize(model.len() + *gap as usize, 0);
            match part {
                Part::Verbatim(bytes) => model.extend_from_slice(bytes),
                Part::Fill(byte, length) => {
                    model.resize(model.len() + *length as usize, *byte);
                }
                Part::Pattern(block, length) => {
                    model.extend(block.iter().cycle().take(*length as usize));
                }
                Part::Flac(samples) => {
                    let mut frames = vec![0; flac(*samples).length().unwrap() as usize];
                    flac(*samples).fill(0, &mut frames);
                    model.extend(frames);
                }
            }
        }
        model.resize(model.len() + behind, 0);
        let mut builder = CapsuleBuilder::new(model.len() as u64);
        let mut at = 0;
        for (gap, part) in parts {
            at += gap;
            at += match part {
                Part::Verbatim(bytes) => {
                    builder.verbatim(at, bytes);
                    bytes.len() as u64
                }
                Part::Fill(byte, length) => {
                    builder.generated(at, *length, &Generator::Fill(*byte));
                    *length
                }
                Part::Pattern(block, length) => {
                    builder.generated(at, *length, &Generator::Pattern(block));
                    *length
                }
                Part::Flac(samples) => {
                    let frames = flac(*samples);
                    let length = frames.length().unwrap();
                    builder.generated(at, length, &Generator::Flac(frames));
                    length
                }
            };
        }
        (builder.finish().unwrap(), model)
    }

    proptest! {
        #[test]
        fn any_capsule_gives_the_bytes_it_was_built_of(
            parts in prop::collection::vec(part(), 0..200),
            behind in 0..100_usize,
            reads in prop::collection::vec((any::<prop::sample::Index>(), 0..400_usize), 20),
        ) {
            let (capsule, model) = built(&parts, behind);
            let reader = CapsuleReader::open(&capsule).unwrap();
            prop_assert_eq!(reader.size(), model.len() as u64);
            let mut whole = vec![0xaa; model.len()];
            prop_assert_eq!(reader.read_at(0, &mut whole), model.len());
            prop_assert!(whole == model);
            for (index, length) in reads {
                let at = index.index(model.len() + 1);
                let due = &model[at..(at + length).min(model.len())];
                let mut buffer = vec![0xaa; length];
                let count = reader.read_at(at as u64, &mut buffer);
                prop_assert_eq!(&buffer[..count], due);
                prop_assert!(buffer[count..].iter().all(|byte| *byte == 0xaa));
            }
            let mut beyond = [0xaa; 4];
            prop_assert_eq!(reader.read_at(model.len() as u64 + 1, &mut beyond), 0);
        }

        #[test]
        fn hostile_capsules_with_a_right_check_never_panic(
            parts in prop::collection::vec(part(), 0..20),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            at in any::<u64>(),
        ) {
            let (mut capsule, _) = built(&parts, 10);
            let body = capsule.bytes.len() - PREFIX;
            for (index, byte) in changes {
                capsule.bytes[PREFIX + index.index(body)] = byte;
            }
            seal(&mut capsule.bytes);
            if let Ok(reader) = CapsuleReader::open(&capsule) {
                let mut buffer = vec![0; 5000];
                for at in [0, at, at % reader.size().max(1), reader.size().saturating_sub(7)] {
                    let count = reader.read_at(at, &mut buffer) as u64;
                    prop_assert_eq!(count, reader.size().saturating_sub(at).min(5000));
                }
            }
        }
    }

    #[test]
    fn parts_out_of_place_are_refused() {
        let refused = |build: &dyn Fn(&mut CapsuleBuilder)| {
            let mut builder = CapsuleBuilder::new(100);
            build(&mut builder);
            assert!(builder.failed());
            builder.finish().unwrap_err()
        };
        let outside = refused(&|builder| builder.verbatim(99, b"ab"));
        assert_eq!(outside, CapsuleError::OutOfPlace { offset: 99 });
        let overlapping = refused(&|builder| {
            builder.verbatim(10, b"abcd");
            builder.verbatim(13, b"e");
        });
        assert_eq!(overlapping, CapsuleError::OutOfPlace { offset: 13 });
        refused(&|builder| builder.generated(u64::MAX, 2, &Generator::Fill(1)));
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let mut capsule = CapsuleBuilder::new(7).finish().unwrap();
        assert_eq!(CapsuleReader::open(&capsule).unwrap().size(), 7);
        capsule.bytes[0] = 2;
        let error = CapsuleReader::open(&capsule).unwrap_err();
        assert_eq!(error, InvalidCapsule::Version(2));
        let empty = Capsule::default();
        assert_eq!(
            CapsuleReader::open(&empty).unwrap_err(),
            InvalidCapsule::Check
        );
    }
}
