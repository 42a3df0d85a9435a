//! Long comments in Ogg's headers: pictures in base64, mostly.

use std::io;

use crate::container::ogg::Page;
use crate::container::window::Window;

/// Headers are read up to here.
pub(super) const LONGEST_HEADER: usize = 16 << 20;

/// Of a comment so many bytes are kept.
const KEPT: usize = 64 * 1024;

/// Pages looked at for one header.
const HEADER_PAGES: usize = 512;

/// The places in the file (start, end) of what is not kept of the comments of the stream that `first` begins.
pub(super) fn large(window: &mut Window<'_>, first: &Page) -> io::Result<Vec<(u64, u64)>> {
    let mut packet = Vec::new();
    // Where each part of the packet starts in it, and in the file.
    let mut places: Vec<(usize, u64)> = Vec::new();
    let mut at = first.end();
    let mut done = false;
    for _ in 0..HEADER_PAGES {
        let Some(page) = Page::read(window, at)? else {
            break;
        };
        at = page.end();
        if page.serial != first.serial {
            continue;
        }
        let Some(part) = page.parts().next() else {
            continue;
        };
        let header = page.header_length();
        places.push((packet.len(), page.at + header as u64));
        let bytes = page.bytes(window)?;
        packet.extend_from_slice(bytes.get(header..header + part.length).unwrap_or_default());
        done = part.ends;
        if done || packet.len() > LONGEST_HEADER {
            break;
        }
    }
    if !done || packet.len() <= KEPT {
        return Ok(Vec::new());
    }
    let ends = places
        .iter()
        .skip(1)
        .map(|(start, _)| *start)
        .chain([packet.len()]);
    let mut filled = Vec::new();
    let ranges = beyond_kept(&packet).unwrap_or_default();
    for ((start, at), end) in places.iter().zip(ends) {
        for (from, to) in &ranges {
            let (from, to) = ((*from).max(*start), (*to).min(end));
            if from < to {
                filled.push((at + (from - start) as u64, at + (to - start) as u64));
            }
        }
    }
    Ok(filled)
}

/// Ranges of the packet that hold what is not kept.
fn beyond_kept(packet: &[u8]) -> Option<Vec<(usize, usize)>> {
    let number = |at: usize| {
        let bytes = packet.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let start = match packet {
        [3, b'v', b'o', b'r', b'b', b'i', b's', ..] => 7,
        [b'O', b'p', b'u', b's', b'T', b'a', b'g', b's', ..] => 8,
        _ => return None,
    };
    let mut at = number(start)?.checked_add(start + 4)?;
    let count = number(at)?;
    at += 4;
    let mut ranges = Vec::new();
    for _ in 0..count {
        let Some(length) = number(at) else {
            break;
        };
        at += 4;
        let end = at.saturating_add(length).min(packet.len());
        if length > KEPT {
            ranges.push(((at + KEPT).min(end), end));
        }
        at = end;
    }
    Some(ranges)
}
