//! ID3v2: where leading tags end.

use std::io;

use super::Source;
use super::bytes::read_at;

/// Files with more tags in a row than this are not believed.
const MOST_TAGS: usize = 16;

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
pub(super) fn tag_length(head: &[u8]) -> Option<u64> {
    let &[b'I', b'D', b'3', major, minor, flags, a, b, c, d, ..] = head else {
        return None;
    };
    if major == 0xff || minor == 0xff || (a | b | c | d) & 0x80 != 0 {
        return None;
    }
    let body = [a, b, c, d]
        .into_iter()
        .fold(0, |length, part| length << 7 | u64::from(part));
    let footer = if flags & 0x10 == 0 { 0 } else { 10 };
    Some(10 + body + footer)
}
