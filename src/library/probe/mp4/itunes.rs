//! iTunes's tags: `udta/meta/ilst`.

use std::io;

use super::{BoxAt, Movie, Tags, Window, number};
use crate::container::id3;

/// A longer text is no title.
const LONGEST_TEXT: usize = 4096;

/// What iTunes notes about the encoder's padding (`iTunSMPB`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Padding {
    /// Sample frames without delay and padding.
    pub(super) frames: u64,
}

/// Reads the tags into `tags`.
pub(super) fn read(
    window: &mut Window<'_>,
    movie: &Movie,
    tags: &mut Tags,
) -> io::Result<Option<Padding>> {
    let Some(meta) = movie.at.path(window, &[b"udta", b"meta"])? else {
        return Ok(None);
    };
    // QuickTime has no version and flags here.
    let plain = meta.number(window, 4, 4)? == number(b"hdlr", 0, 4);
    let inner = BoxAt {
        body: meta.body + if plain { 0 } else { 4 },
        ..meta
    };
    if inner.body > inner.end {
        return Ok(None);
    }
    let Some(list) = inner.child(window, b"ilst")? else {
        return Ok(None);
    };
    let mut padding = None;
    for item in list.children(window)?.into_iter().take(1024) {
        let Some(data) = item.child(window, b"data")? else {
            continue;
        };
        // Type and locale stand before the value.
        let bytes = data.bytes(window, LONGEST_TEXT)?.to_vec();
        let value = bytes.get(8..).unwrap_or_default();
        let text = String::from_utf8_lossy(value).into_owned();
        match &item.kind {
            b"tmpo" => {
                let bpm = number(value, 0, value.len().min(8)).unwrap_or(0);
                if bpm > 0 {
                    tags.bpm(bpm as f64);
                }
            }
            b"\xa9nam" => tags.text("title", &text),
            b"\xa9ART" => tags.text("artist", &text),
            b"\xa9alb" => tags.text("album", &text),
            b"\xa9day" => tags.text("date", &text),
            b"\xa9cmt" => tags.text("comment", &text),
            b"\xa9too" => tags.text("software", &text),
            b"\xa9gen" => tags.text("genre", &text),
            b"gnre" => {
                // ID3v1's list, from 1.
                if let Some(index) = number(value, 0, 2).and_then(|index| index.checked_sub(1)) {
                    tags.text("genre", &id3::genre(&index.to_string()));
                }
            }
            b"----" => {
                let name = match item.child(window, b"name")? {
                    Some(name) => name
                        .bytes(window, 64)?
                        .get(4..)
                        .unwrap_or_default()
                        .to_vec(),
                    None => Vec::new(),
                };
                if name == b"iTunSMPB" {
                    padding = smpb(&text);
                } else {
                    tags.foreign(&String::from_utf8_lossy(&name), &text);
                }
            }
            _ => {}
        }
    }
    Ok(padding)
}

/// ` 00000000 DELAY PADDING FRAMES …`, in hexadecimal.
fn smpb(text: &str) -> Option<Padding> {
    let frames = text.split_ascii_whitespace().nth(3)?;
    u64::from_str_radix(frames, 16)
        .ok()
        .map(|frames| Padding { frames })
}
