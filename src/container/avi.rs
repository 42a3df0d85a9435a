//! The chunks of AVI.

use std::io;

use super::window::Window;

/// Chunks read on one level.
const MOST_CHUNKS: usize = 4096;

/// A chunk: its four letters (of a list those of its kind), where its content starts and ends.
#[derive(Clone, Copy)]
pub(crate) struct Chunk {
    pub(crate) kind: [u8; 4],
    pub(crate) list: bool,
    pub(crate) body: u64,
    pub(crate) end: u64,
}

/// The chunks between two places, up to the movie itself, which is behind all headers.
///
/// # Errors
/// Where reading fails.
pub(crate) fn chunks(window: &mut Window<'_>, mut at: u64, end: u64) -> io::Result<Vec<Chunk>> {
    let mut found = Vec::new();
    while at + 8 <= end && found.len() < MOST_CHUNKS {
        let head = window.at(at, 12)?;
        let Some((kind, rest)) = head.split_first_chunk::<4>() else {
            break;
        };
        let Some((length, rest)) = rest.split_first_chunk::<4>() else {
            break;
        };
        let length = u64::from(u32::from_le_bytes(*length));
        let list = kind == b"LIST" || kind == b"RIFF";
        let (kind, skip) = match rest.first_chunk::<4>() {
            Some(inner) if list => (*inner, 12),
            _ => (*kind, 8),
        };
        let stop = (at + 8 + length).min(end);
        found.push(Chunk {
            kind,
            list,
            body: (at + skip).min(stop),
            end: stop,
        });
        at = at + 8 + length + length % 2;
        // The movie itself is behind all headers.
        if list && kind == *b"movi" {
            break;
        }
    }
    Ok(found)
}
