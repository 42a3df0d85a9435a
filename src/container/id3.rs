//! Tags before and behind a stream of frames: ID3v2 (2.2, 2.3, 2.4), ID3v1, APE, Lyrics3. Where they lie, what
//! they say about a sound, and which of their parts are too large to be kept whole.

use std::io;

use super::window::Window;

/// Files with more tags in a row than this are not believed.
const MOST_TAGS: usize = 16;

/// Frames and items read of one tag.
const MOST_FRAMES: usize = 4096;

/// A longer text is no title.
const LONGEST_TEXT: u64 = 4096;

/// A tag under unsynchronisation is read into memory up to here.
const LONGEST_UNSYNCHRONISED: usize = 1 << 20;

/// Told the name that a field has in its own format, and its text.
pub(crate) type Tell<'t> = &'t mut dyn FnMut(&str, &str);

/// The whole length of the ID3v2 tag that `head` begins, in bytes (ID3v2.4.0 structure, 3.1).
fn tag_length(head: &[u8; 10]) -> Option<u64> {
    let [b'I', b'D', b'3', major, minor, flags, size @ ..] = *head else {
        return None;
    };
    if major == 0xff || minor == 0xff || size.iter().any(|byte| byte & 0x80 != 0) {
        return None;
    }
    let footer = if flags & 0x10 == 0 { 0 } else { 10 };
    Some(10 + synchsafe(size) + footer)
}

fn synchsafe(bytes: [u8; 4]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
}

/// The places (start, length) of the ID3v2 tags that the file starts with.
fn leading(window: &mut Window<'_>) -> io::Result<Vec<(u64, u64)>> {
    let mut tags = Vec::new();
    let mut at = 0;
    while tags.len() < MOST_TAGS {
        let Some(length) = window.array(at)?.as_ref().and_then(tag_length) else {
            break;
        };
        let length = length.min(window.size() - at);
        tags.push((at, length));
        at += length;
    }
    Ok(tags)
}

/// Where the ID3v2 tags at the start of the file end; 0 where there are none.
///
/// # Errors
/// Where reading fails.
pub(crate) fn leading_end(window: &mut Window<'_>) -> io::Result<u64> {
    Ok(leading(window)?
        .last()
        .map_or(0, |(at, length)| at + length))
}

/// A tag behind the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trailing {
    Id3v1,
    Ape,
    Lyrics,
}

/// The tags at the end of the file (kind, start, length), the last one first.
fn trailing(window: &mut Window<'_>) -> io::Result<Vec<(Trailing, u64, u64)>> {
    let mut tags: Vec<(Trailing, u64, u64)> = Vec::new();
    let mut end = window.size();
    while tags.len() < MOST_TAGS {
        let found = match end.checked_sub(128) {
            Some(at) if window.at(at, 3)? == b"TAG" => Some((Trailing::Id3v1, 128)),
            _ => match trailing_ape(window, end)? {
                Some(length) => Some((Trailing::Ape, length)),
                None => trailing_lyrics(window, end)?.map(|length| (Trailing::Lyrics, length)),
            },
        };
        let Some((kind, length)) = found.filter(|(_, length)| (1..=end).contains(length)) else {
            break;
        };
        end -= length;
        tags.push((kind, end, length));
    }
    Ok(tags)
}

/// APEv1 and APEv2: a footer of 32 bytes; its size counts the items and itself, not the header.
fn trailing_ape(window: &mut Window<'_>, end: u64) -> io::Result<Option<u64>> {
    let Some(footer) = end.checked_sub(32) else {
        return Ok(None);
    };
    let Some(footer) = window.array::<32>(footer)? else {
        return Ok(None);
    };
    if !footer.starts_with(b"APETAGEX") {
        return Ok(None);
    }
    let size = u64::from(little(&footer, 12));
    let header = if little(&footer, 20) >> 31 == 1 {
        32
    } else {
        0
    };
    Ok(Some(size + header).filter(|_| size >= 32))
}

/// Lyrics3v2: six digits of length and `LYRICS200`.
fn trailing_lyrics(window: &mut Window<'_>, end: u64) -> io::Result<Option<u64>> {
    let Some(at) = end.checked_sub(15) else {
        return Ok(None);
    };
    let tail = window.at(at, 15)?;
    if tail.get(6..) != Some(b"LYRICS200") {
        return Ok(None);
    }
    let digits = tail[..6].iter().try_fold(0_u64, |value, digit| {
        digit
            .is_ascii_digit()
            .then(|| value * 10 + u64::from(digit - b'0'))
    });
    Ok(digits.map(|length| length + 15))
}

/// Where the tags at the end of the file start; its size where there are none.
///
/// # Errors
/// Where reading fails.
pub(crate) fn trailing_start(window: &mut Window<'_>) -> io::Result<u64> {
    Ok(trailing(window)?
        .last()
        .map_or(window.size(), |(_, at, _)| *at))
}

/// What all tags of the file say; those in front come first.
///
/// # Errors
/// Where reading fails.
pub(crate) fn texts(window: &mut Window<'_>, tell: Tell<'_>) -> io::Result<()> {
    for (at, length) in leading(window)? {
        read_id3v2(window, at, length, tell)?;
    }
    for (kind, at, length) in trailing(window)? {
        match kind {
            Trailing::Id3v1 => {
                if let Some(tag) = window.array::<128>(at)? {
                    read_id3v1(&tag, tell);
                }
            }
            Trailing::Ape => read_ape(window, at, length, tell)?,
            Trailing::Lyrics => {}
        }
    }
    Ok(())
}

/// Reads the ID3v2 tag of `length` bytes at `start`.
fn read_id3v2(window: &mut Window<'_>, start: u64, length: u64, tell: Tell<'_>) -> io::Result<()> {
    let Some(head) = window.array::<10>(start)? else {
        return Ok(());
    };
    if head[5] & 0x80 != 0 && head[3] < 4 {
        // The lengths inside count bytes after unsynchronisation is undone.
        let take = length.min(LONGEST_UNSYNCHRONISED as u64);
        let Some(bytes) =
            window.vector(start + 10, take.saturating_sub(10), LONGEST_UNSYNCHRONISED)?
        else {
            return Ok(());
        };
        let bytes = synchronised(&bytes);
        let mut inner = io::Cursor::new(&bytes);
        let mut inner = Window::new(&mut inner)?;
        let end = inner.size();
        return walk_id3v2(&mut inner, head, 0, end, &mut |id, text| {
            tell_frame(tell, id, text);
        });
    }
    walk_id3v2(window, head, start + 10, start + length, &mut |id, text| {
        tell_frame(tell, id, text);
    })
}

/// Calls `visit` with the name and the content of each short frame between `at` and `end`.
fn walk_id3v2(
    window: &mut Window<'_>,
    head: [u8; 10],
    at: u64,
    end: u64,
    visit: &mut dyn FnMut(&[u8], &[u8]),
) -> io::Result<()> {
    for frame in frames(window, head, at, end)? {
        if frame.length <= LONGEST_TEXT && frame.name.starts_with(b"T") {
            let content = window.at(frame.at, frame.length as usize)?;
            let name = frame.name;
            if frame.unsynchronised {
                visit(&name, &synchronised(content));
            } else {
                visit(&name, content);
            }
        }
    }
    Ok(())
}

struct Id3Frame {
    name: [u8; 4],
    at: u64,
    length: u64,
    unsynchronised: bool,
}

/// The frames between `at` and `end` of a tag with this header.
fn frames(
    window: &mut Window<'_>,
    head: [u8; 10],
    mut at: u64,
    end: u64,
) -> io::Result<Vec<Id3Frame>> {
    let (major, flags) = (head[3], head[5]);
    let mut frames = Vec::new();
    if flags & 0x40 != 0 && major > 2 {
        let Some(size) = window.array::<4>(at)? else {
            return Ok(frames);
        };
        at += match major {
            3 => 4 + u64::from(u32::from_be_bytes(size)),
            _ => synchsafe(size).max(1),
        };
    }
    let head_length = if major == 2 { 6 } else { 10 };
    while at + head_length < end && frames.len() < MOST_FRAMES {
        let Some(head) = window.array::<10>(at)? else {
            break;
        };
        let name = if major == 2 {
            [head[0], head[1], head[2], b' ']
        } else {
            [head[0], head[1], head[2], head[3]]
        };
        if !name.iter().all(|c| c.is_ascii_alphanumeric() || *c == b' ') {
            break;
        }
        let size = [head[4], head[5], head[6], head[7]];
        let mut length = match major {
            2 => u64::from(u32::from_be_bytes([0, head[3], head[4], head[5]])),
            3 => u64::from(u32::from_be_bytes(size)),
            _ => synchsafe(size),
        };
        at += head_length;
        let next = at + length;
        if length == 0 || next > end {
            break;
        }
        // Compressed or encrypted frames say nothing here; a length may be put before the content.
        let readable = match major {
            3 => head[9] & 0xc0 == 0,
            4 => head[9] & 0x0c == 0,
            _ => true,
        };
        if major == 4 && head[9] & 1 != 0 {
            at += 4;
            length = length.saturating_sub(4);
        }
        if readable {
            frames.push(Id3Frame {
                name,
                at,
                length,
                unsynchronised: major == 4 && head[9] & 2 != 0,
            });
        }
        at = next;
    }
    Ok(frames)
}

fn synchronised(bytes: &[u8]) -> Vec<u8> {
    let mut before = 0;
    bytes
        .iter()
        .copied()
        .filter(|byte| {
            let keep = !(before == 0xff && *byte == 0);
            before = *byte;
            keep
        })
        .collect()
}

fn tell_frame(tell: Tell<'_>, id: &[u8], content: &[u8]) {
    let Some((encoding, text)) = content.split_first() else {
        return;
    };
    // Several values are divided by a zero; the first one counts.
    let text = decoded(*encoding, text);
    let text = text.split('\0').find(|part| !part.is_empty()).unwrap_or("");
    let name = String::from_utf8_lossy(id);
    let name = name.trim_end();
    if matches!(name, "TCON" | "TCO") {
        tell(name, &genre(text));
    } else {
        tell(name, text);
    }
}

/// ID3's four encodings: Latin 1, UTF-16 with a mark, UTF-16 big-endian, UTF-8.
fn decoded(encoding: u8, bytes: &[u8]) -> String {
    let utf16 = |bytes: &[u8], big: bool| {
        let units = bytes.as_chunks::<2>().0.iter().map(|pair| {
            if big {
                u16::from_be_bytes(*pair)
            } else {
                u16::from_le_bytes(*pair)
            }
        });
        char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect()
    };
    match (encoding, bytes) {
        (1, [0xfe, 0xff, rest @ ..]) => utf16(rest, true),
        (1, [0xff, 0xfe, rest @ ..]) => utf16(rest, false),
        (1, rest) => utf16(rest, false),
        (2, rest) => utf16(rest, true),
        (3, rest) => String::from_utf8_lossy(rest).into_owned(),
        (_, rest) => rest.iter().map(|byte| char::from(*byte)).collect(),
    }
}

fn read_id3v1(tag: &[u8; 128], tell: Tell<'_>) {
    for (name, from) in [("TIT2", 3), ("TPE1", 33), ("TALB", 63)] {
        let text = decoded(0, &tag[from..from + 30]);
        tell(name, text.split('\0').next().unwrap_or_default().trim_end());
    }
    if let Some(name) = super::genres::GENRES.get(usize::from(tag[127])) {
        tell("TCON", name);
    }
}

fn read_ape(window: &mut Window<'_>, start: u64, length: u64, tell: Tell<'_>) -> io::Result<()> {
    for (at, size, key) in ape_items(window, start, length)? {
        if size <= LONGEST_TEXT {
            let text = String::from_utf8_lossy(window.at(at, size as usize)?).into_owned();
            tell(&key, text.split('\0').next().unwrap_or_default());
        }
    }
    Ok(())
}

/// The items of an APE tag: where the value starts, its length, the key.
fn ape_items(
    window: &mut Window<'_>,
    start: u64,
    length: u64,
) -> io::Result<Vec<(u64, u64, String)>> {
    let mut items = Vec::new();
    let end = start + length.saturating_sub(32);
    let mut at = start;
    if window.at(at, 8)? == b"APETAGEX" {
        at += 32;
    }
    while at + 9 < end && items.len() < MOST_FRAMES {
        let head = window.at(at, 8 + 256)?;
        let Some(key_length) = head
            .get(8..)
            .and_then(|key| key.iter().position(|c| *c == 0))
        else {
            break;
        };
        let size = u64::from(little(head, 0));
        let key = String::from_utf8_lossy(&head[8..8 + key_length]).into_owned();
        at += 9 + key_length as u64;
        if at + size > end {
            break;
        }
        items.push((at, size, key));
        at += size;
    }
    Ok(items)
}

/// Parts of the leading and trailing tags that are longer than `limit`: (start, length), in order. Pictures,
/// mostly.
///
/// # Errors
/// Where reading fails.
pub(crate) fn large_parts(window: &mut Window<'_>, limit: u64) -> io::Result<Vec<(u64, u64)>> {
    let mut parts = Vec::new();
    for (start, length) in leading(window)? {
        let Some(head) = window.array::<10>(start)? else {
            break;
        };
        for frame in frames(window, head, start + 10, start + length)? {
            parts.push((frame.at, frame.length));
        }
    }
    for (kind, start, length) in trailing(window)? {
        if kind == Trailing::Ape {
            let items = ape_items(window, start, length)?;
            parts.extend(items.into_iter().map(|(at, size, _)| (at, size)));
        }
    }
    parts.retain(|(_, length)| *length > limit);
    parts.sort_unstable();
    Ok(parts)
}

/// `(17)`, `17` and `(17)Rock` are numbers of ID3v1's list.
pub(crate) fn genre(text: &str) -> String {
    let (number, rest) = match text.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((number, rest)) => (number, rest),
        None => (text, ""),
    };
    match number
        .parse::<usize>()
        .ok()
        .and_then(|n| super::genres::GENRES.get(n))
    {
        Some(name) if rest.is_empty() => (*name).to_owned(),
        Some(_) => rest.to_owned(),
        None => text.to_owned(),
    }
}

/// Little-endian; the callers have checked that there are enough bytes, else 0.
fn little(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|part| part.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}
