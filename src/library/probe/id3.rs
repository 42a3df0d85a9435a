//! ID3v2: where leading tags end, which frames are large, what the text frames say.
//!
//! Versions 2.2, 2.3 and 2.4 (id3.org: ID3v2.4.0 structure, ID3v2.4.0 native frames).

use std::io;

use super::Source;
use super::bytes::{read_at, read_up_to};
use super::tags::{Tags, latin1, text};

/// Files with more tags in a row than this are not believed.
const MOST_TAGS: usize = 16;

/// Tags with more frames than this are not believed.
const MOST_FRAMES: usize = 4096;

/// Longer text frames are cut.
const LONGEST_TEXT: u64 = 16 * 1024;

/// Where the ID3v2 tags at the start of the file end; 0 where there are none. Never more than `size`.
pub(super) fn end(source: &mut dyn Source, size: u64) -> io::Result<u64> {
    let mut at = 0;
    for _ in 0..MOST_TAGS {
        let mut head = [0; 10];
        let filled = read_at(source, at, &mut head)?;
        match tag_length(&head[..filled]) {
            Some(length) if length <= size - at => at += length,
            Some(_) => return Ok(size),
            None => break,
        }
    }
    Ok(at)
}

/// The whole length of the tag that `head` begins, in bytes (ID3v2.4.0 structure, 3.1).
fn tag_length(head: &[u8]) -> Option<u64> {
    let &[b'I', b'D', b'3', major, minor, flags, a, b, c, d, ..] = head else {
        return None;
    };
    if major == 0xff || minor == 0xff || (a | b | c | d) & 0x80 != 0 {
        return None;
    }
    let footer = if flags & 0x10 == 0 { 0 } else { 10 };
    Some(10 + syncsafe([a, b, c, d]) + footer)
}

/// Sets what the text frames of the tags from `from` up to `to` say.
pub(super) fn read(source: &mut dyn Source, from: u64, to: u64, tags: &mut Tags) -> io::Result<()> {
    for frame in frames(source, from, to)? {
        let name = frame.name();
        if !name.starts_with('T') && name != "COMM" && name != "COM" {
            continue;
        }
        let bytes = read_up_to(source, frame.body, frame.length.min(LONGEST_TEXT))?;
        let Some((&encoding, bytes)) = bytes.split_first() else {
            continue;
        };
        let value = if name.starts_with('T') {
            decoded(encoding, bytes)
        } else {
            // Language, description, the comment itself. Descriptions are of programs' own bookkeeping.
            let Some(bytes) = bytes.get(3..) else {
                continue;
            };
            let (description, comment) = split_at_zero(encoding, bytes);
            if !decoded(encoding, description).is_empty() {
                continue;
            }
            decoded(encoding, comment)
        };
        tags.foreign(&name, &value);
    }
    Ok(())
}

/// Start and end of the bodies, longer than `limit`, of frames that are not text, in the tags from `from` up to
/// `to`, in order.
pub(super) fn large_binary_frames(
    source: &mut dyn Source,
    from: u64,
    to: u64,
    limit: u64,
) -> io::Result<Vec<(u64, u64)>> {
    Ok(frames(source, from, to)?
        .into_iter()
        .filter(|frame| {
            let name = frame.name();
            let text = name.starts_with('T')
                || ["COMM", "COM", "USLT", "ULT", "SYLT", "CHAP", "CTOC"].contains(&name.as_str());
            frame.length > limit && !text
        })
        .map(|frame| (frame.body, frame.body + frame.length))
        .collect())
}

struct Frame {
    id: [u8; 4],
    body: u64,
    length: u64,
}

impl Frame {
    fn name(&self) -> String {
        latin1(&self.id).trim_end_matches('\0').to_owned()
    }
}

/// The frames of all tags from `from` up to `to`.
fn frames(source: &mut dyn Source, from: u64, to: u64) -> io::Result<Vec<Frame>> {
    let mut found = Vec::new();
    let mut at = from;
    for _ in 0..MOST_TAGS {
        let mut head = [0; 10];
        let filled = read_at(source, at, &mut head)?;
        let Some(length) = tag_length(&head[..filled]) else {
            break;
        };
        let end = at.saturating_add(length).min(to);
        frames_of_tag(source, at, end, head[3], head[5], &mut found)?;
        if end <= at {
            break;
        }
        at = end;
    }
    Ok(found)
}

fn frames_of_tag(
    source: &mut dyn Source,
    start: u64,
    end: u64,
    version: u8,
    flags: u8,
    found: &mut Vec<Frame>,
) -> io::Result<()> {
    let mut at = start + 10;
    if flags & 0x40 != 0 && version >= 3 {
        let mut length = [0; 4];
        read_at(source, at, &mut length)?;
        // Version 2.3 does not count the length itself.
        at += if version == 3 {
            4 + u64::from(u32::from_be_bytes(length))
        } else {
            syncsafe(length)
        };
    }
    let head_length = if version == 2 { 6 } else { 10 };
    while at + head_length < end && found.len() < MOST_FRAMES {
        let mut head = [0; 10];
        if read_at(source, at, &mut head[..head_length as usize])? < head_length as usize {
            break;
        }
        let (id, length) = match (version, head) {
            (2, [a, b, c, x, y, z, ..]) => {
                ([a, b, c, 0], u64::from(u32::from_be_bytes([0, x, y, z])))
            }
            (3, [a, b, c, d, w, x, y, z, ..]) => {
                ([a, b, c, d], u64::from(u32::from_be_bytes([w, x, y, z])))
            }
            (_, [a, b, c, d, w, x, y, z, ..]) => ([a, b, c, d], syncsafe([w, x, y, z])),
        };
        let body = at + head_length;
        if !id[0].is_ascii_uppercase() || length > end - body {
            break;
        }
        found.push(Frame { id, body, length });
        at = body + length;
    }
    Ok(())
}

fn syncsafe(bytes: [u8; 4]) -> u64 {
    bytes
        .into_iter()
        .fold(0, |length, part| length << 7 | u64::from(part & 0x7f))
}

/// Text in one of the four encodings, up to its first zero.
fn decoded(encoding: u8, bytes: &[u8]) -> String {
    match encoding {
        1 | 2 => {
            let little = encoding == 1 && bytes.starts_with(&[0xff, 0xfe]);
            let units = bytes
                .chunks_exact(2)
                .map(|pair| match (little, pair) {
                    (true, &[a, b]) => u16::from_le_bytes([a, b]),
                    (false, &[a, b]) => u16::from_be_bytes([a, b]),
                    _ => 0,
                })
                .skip_while(|unit| *unit == 0xfeff)
                .take_while(|unit| *unit != 0);
            char::decode_utf16(units)
                .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        _ => text(bytes),
    }
}

/// What stands before and behind the first zero character.
fn split_at_zero(encoding: u8, bytes: &[u8]) -> (&[u8], &[u8]) {
    let width = if encoding == 1 || encoding == 2 { 2 } else { 1 };
    let zero = bytes
        .chunks_exact(width)
        .position(|unit| unit.iter().all(|byte| *byte == 0));
    match zero {
        Some(index) => (&bytes[..index * width], &bytes[(index + 1) * width..]),
        None => (bytes, &[]),
    }
}
