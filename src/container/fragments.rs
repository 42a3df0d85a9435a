//! Movie fragments of MP4 (ISO/IEC 14496-12, 8.8): how long they are.

use std::io;

use super::isobmff::{BoxAt, Movie};
use super::window::Window;

/// What fragments add to a track's duration, in its time units.
///
/// # Errors
/// Where reading fails.
pub(crate) fn fragments_duration(
    window: &mut Window<'_>,
    movie: &Movie,
    track: u64,
) -> io::Result<u64> {
    let mut usual = 0;
    if let Some(extends) = movie.at.child(window, b"mvex")? {
        for child in extends.children(window)? {
            if child.kind == *b"trex" && child.number(window, 4, 4)? == Some(track) {
                usual = child.number(window, 12, 4)?.unwrap_or(0);
            }
        }
    }
    let mut sum = 0_u64;
    let mut at = 0;
    let size = window.size();
    while let Some(top) = BoxAt::read(window, at, size)? {
        at = top.end;
        if top.kind != *b"moof" {
            continue;
        }
        for part in top.children(window)? {
            if part.kind == *b"traf" {
                sum = sum.saturating_add(fragment(window, &part, track, usual)?);
            }
        }
    }
    Ok(sum)
}

/// The duration of one `traf` if it is of this track.
fn fragment(window: &mut Window<'_>, part: &BoxAt, track: u64, usual: u64) -> io::Result<u64> {
    let Some(header) = part.child(window, b"tfhd")? else {
        return Ok(0);
    };
    if header.number(window, 4, 4)? != Some(track) {
        return Ok(0);
    }
    let flags = header.number(window, 0, 4)?.unwrap_or(0);
    let before = if flags & 1 == 0 { 0 } else { 8 } + if flags & 2 == 0 { 0 } else { 4 };
    let usual = match flags & 8 {
        0 => usual,
        _ => header.number(window, 8 + before, 4)?.unwrap_or(usual),
    };
    let mut sum = 0_u64;
    for run in part.children(window)? {
        if run.kind != *b"trun" {
            continue;
        }
        let flags = run.number(window, 0, 4)?.unwrap_or(0);
        let count = run.number(window, 4, 4)?.unwrap_or(0);
        if flags & 0x100 == 0 {
            sum = sum.saturating_add(count.saturating_mul(usual));
            continue;
        }
        let start = 8 + if flags & 1 == 0 { 0 } else { 4 } + if flags & 4 == 0 { 0 } else { 4 };
        let fields = (flags >> 8 & 15).count_ones();
        for index in 0..count.min(run.length() / 4) {
            let at = start + index * u64::from(fields) * 4;
            sum = sum.saturating_add(run.number(window, at, 4)?.unwrap_or(0));
        }
    }
    Ok(sum)
}
