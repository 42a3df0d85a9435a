//! Movie fragments of MP4 (ISO/IEC 14496-12, 8.8): how long they are, and where their samples lie.

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

/// Samples of all fragments that are listed.
const MOST_SAMPLES: usize = 8 << 20;

/// Samples of a fragment that lie one behind the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    /// The track's number.
    pub(crate) track: u64,
    /// Where the first one starts.
    pub(crate) at: u64,
    /// Bytes of each.
    pub(crate) sizes: Vec<u32>,
}

/// The runs of all fragments, in the file's order; `None` where there are too many samples.
///
/// # Errors
/// Where reading fails.
pub(crate) fn runs(window: &mut Window<'_>, movie: &Movie) -> io::Result<Option<Vec<Run>>> {
    let mut usual = Vec::new();
    if let Some(extends) = movie.at.child(window, b"mvex")? {
        for child in extends.children(window)? {
            if child.kind == *b"trex"
                && let Some(track) = child.number(window, 4, 4)?
            {
                usual.push((track, child.number(window, 16, 4)?.unwrap_or(0) as u32));
            }
        }
    }
    let mut runs = Vec::new();
    let mut left = MOST_SAMPLES;
    let mut at = 0;
    let size = window.size();
    while let Some(top) = BoxAt::read(window, at, size)? {
        at = top.end;
        if top.kind != *b"moof" {
            continue;
        }
        let mut end = top.start;
        for part in top.children(window)? {
            if part.kind != *b"traf" {
                continue;
            }
            match part_runs(window, &top, &part, end, &usual, left)? {
                Some(found) => {
                    left -= found.iter().map(|run| run.sizes.len()).sum::<usize>();
                    end = found.last().map_or(end, Run::end);
                    runs.extend(found);
                }
                None => return Ok(None),
            }
        }
    }
    Ok(Some(runs))
}

impl Run {
    /// Where the last sample ends.
    fn end(&self) -> u64 {
        let length: u64 = self.sizes.iter().map(|size| u64::from(*size)).sum();
        self.at.saturating_add(length)
    }
}

/// The runs of one `traf`; `before` is where the samples of the part before it end.
fn part_runs(
    window: &mut Window<'_>,
    fragment: &BoxAt,
    part: &BoxAt,
    before: u64,
    usual: &[(u64, u32)],
    left: usize,
) -> io::Result<Option<Vec<Run>>> {
    let mut runs = Vec::new();
    let Some(header) = part.child(window, b"tfhd")? else {
        return Ok(Some(runs));
    };
    let flags = header.number(window, 0, 4)?.unwrap_or(0);
    let track = header.number(window, 4, 4)?.unwrap_or(0);
    let mut place = 8;
    let mut field = |flag: u64, width: u64| {
        let here = place;
        (flags & flag != 0).then(|| {
            place += width;
            here
        })
    };
    let (base, _, _) = (field(1, 8), field(2, 4), field(8, 4));
    let size = field(16, 4);
    let base = match base {
        Some(at) => header.number(window, at, 8)?.unwrap_or(0),
        None if flags & 0x2_0000 != 0 => fragment.start,
        None => before,
    };
    let known = usual.iter().find(|(of, _)| *of == track);
    let size = match size {
        Some(at) => header.number(window, at, 4)?.unwrap_or(0) as u32,
        None => known.map_or(0, |(_, size)| *size),
    };
    let mut at = base;
    let mut left = left;
    for run in part.children(window)? {
        if run.kind != *b"trun" {
            continue;
        }
        let flags = run.number(window, 0, 4)?.unwrap_or(0);
        let count = run.number(window, 4, 4)?.unwrap_or(0);
        let mut start = 8;
        if flags & 1 != 0 {
            let offset = run.number(window, start, 4)?.unwrap_or(0) as u32 as i32;
            at = base.saturating_add_signed(i64::from(offset));
            start += 4;
        }
        if flags & 4 != 0 {
            start += 4;
        }
        let width = u64::from((flags >> 8 & 15).count_ones()) * 4;
        let own = flags & 0x200 != 0;
        let inside = if flags & 0x100 != 0 { 4 } else { 0 };
        let count = if own {
            count.min(run.length() / 4)
        } else {
            count
        };
        if usize::try_from(count).is_ok_and(|count| count > left) {
            return Ok(None);
        }
        left -= count as usize;
        let mut found = Run {
            track,
            at,
            sizes: Vec::new(),
        };
        for index in 0..count {
            let size = match own {
                true => run.number(window, start + index * width + inside, 4)?,
                false => Some(size.into()),
            };
            found.sizes.push(size.unwrap_or(0) as u32);
        }
        at = found.end();
        runs.push(found);
    }
    Ok(Some(runs))
}
