//! The boxes of MP4, M4A and QuickTime files (ISO/IEC 14496-12, QuickTime File Format): the movie's tracks, and
//! where the samples of a track lie.

use std::io;

use super::window::Window;

/// Boxes read on one level, and table entries read where they are kept.
const MOST_BOXES: usize = 1 << 16;

/// Tracks of one movie.
const MOST_TRACKS: usize = 256;

/// Chunks of one track that are listed.
const MOST_CHUNKS: u64 = 4 << 20;

/// Entries of an edit list, of a table of durations.
const MOST_ENTRIES: u64 = 1 << 20;

/// A box in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BoxAt {
    /// Its four letters.
    pub(crate) kind: [u8; 4],
    /// Where its header starts.
    pub(crate) start: u64,
    /// Where its content starts.
    pub(crate) body: u64,
    /// Where it ends; never behind the end of what it is in.
    pub(crate) end: u64,
    /// Its header said that it ends later.
    pub(crate) cut: bool,
}

impl BoxAt {
    /// The box at `at` inside something that ends at `end`.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn read(window: &mut Window<'_>, at: u64, end: u64) -> io::Result<Option<Self>> {
        let end = end.min(window.size());
        if at.checked_add(8).is_none_or(|body| body > end) {
            return Ok(None);
        }
        let head = window.at(at, 16)?;
        let Some(short) = number(head, 0, 4) else {
            return Ok(None);
        };
        let Some(kind) = head.get(4..8).and_then(|kind| kind.try_into().ok()) else {
            return Ok(None);
        };
        let (body, length) = match short {
            0 => (8, end - at),
            1 => match number(head, 8, 8) {
                Some(length) => (16, length),
                None => return Ok(None),
            },
            length => (8, length),
        };
        if length < body {
            return Ok(None);
        }
        let wanted = at.saturating_add(length);
        Ok((at + body <= end).then_some(Self {
            kind,
            start: at,
            body: at + body,
            end: wanted.min(end),
            cut: wanted > end,
        }))
    }

    /// The boxes between two places.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn all(window: &mut Window<'_>, from: u64, to: u64) -> io::Result<Vec<Self>> {
        let mut boxes = Vec::new();
        let mut at = from;
        while boxes.len() < MOST_BOXES {
            let Some(found) = Self::read(window, at, to)? else {
                break;
            };
            at = found.end;
            boxes.push(found);
        }
        Ok(boxes)
    }

    /// The boxes inside.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn children(&self, window: &mut Window<'_>) -> io::Result<Vec<Self>> {
        Self::all(window, self.body, self.end)
    }

    /// The first box of this kind inside.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn child(
        &self,
        window: &mut Window<'_>,
        kind: &[u8; 4],
    ) -> io::Result<Option<Self>> {
        let children = self.children(window)?;
        Ok(children.into_iter().find(|child| child.kind == *kind))
    }

    /// What is found by going down these kinds.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn path(
        &self,
        window: &mut Window<'_>,
        kinds: &[&[u8; 4]],
    ) -> io::Result<Option<Self>> {
        let mut here = *self;
        for kind in kinds {
            match here.child(window, kind)? {
                Some(child) => here = child,
                None => return Ok(None),
            }
        }
        Ok(Some(here))
    }

    /// Bytes of the content.
    pub(crate) fn length(&self) -> u64 {
        self.end - self.body
    }

    /// The content's first bytes, at most `most`.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn bytes<'w>(
        &self,
        window: &'w mut Window<'_>,
        most: usize,
    ) -> io::Result<&'w [u8]> {
        let length = usize::try_from(self.length()).unwrap_or(most);
        window.at(self.body, length.min(most))
    }

    /// The big-endian number of `count` bytes at `at` of the content.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn number(
        &self,
        window: &mut Window<'_>,
        at: u64,
        count: usize,
    ) -> io::Result<Option<u64>> {
        if at.saturating_add(count as u64) > self.length() {
            return Ok(None);
        }
        Ok(number(window.at(self.body + at, count)?, 0, count))
    }
}

/// The big-endian number of `count` bytes, at most eight, at `at`.
pub(crate) fn number(bytes: &[u8], at: usize, count: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(count)?)?;
    Some(
        part.iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)),
    )
}

/// A part of a track that is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Edit {
    /// In the movie's time units; 0: to the end.
    pub(crate) duration: u64,
    /// Where in the media, in the track's time units; `None`: nothing is played.
    pub(crate) start: Option<u64>,
}

/// A track.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Track {
    /// Its number, which fragments name.
    pub(crate) id: u64,
    /// `soun`, `vide`, `text`, …
    pub(crate) handler: [u8; 4],
    /// Time units a second.
    pub(crate) timescale: u64,
    /// Of the media, in these.
    pub(crate) duration: u64,
    /// The edit list.
    pub(crate) edits: Vec<Edit>,
    /// The first sample description.
    pub(crate) entry: Option<BoxAt>,
    /// The table of samples.
    pub(crate) table: Option<BoxAt>,
}

/// The movie header and its tracks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Movie {
    /// The whole of it.
    pub(crate) at: BoxAt,
    /// Time units a second.
    pub(crate) timescale: u64,
    /// In these.
    pub(crate) duration: u64,
    /// In the file's order.
    pub(crate) tracks: Vec<Track>,
    /// Samples follow in fragments.
    pub(crate) fragmented: bool,
}

impl Movie {
    /// Reads the `moov` box.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn read(window: &mut Window<'_>, at: BoxAt) -> io::Result<Self> {
        let mut movie = Self {
            at,
            timescale: 0,
            duration: 0,
            tracks: Vec::new(),
            fragmented: false,
        };
        for child in at.children(window)? {
            match &child.kind {
                b"mvhd" => (movie.timescale, movie.duration) = times(window, &child)?,
                b"mvex" => movie.fragmented = true,
                b"trak" if movie.tracks.len() < MOST_TRACKS => {
                    movie.tracks.extend(Track::read(window, &child)?);
                }
                _ => {}
            }
        }
        Ok(movie)
    }
}

impl Track {
    /// Chapters' pictures, a cover: nothing that moves.
    pub(crate) fn is_still(&self) -> bool {
        self.entry
            .is_none_or(|entry| matches!(&entry.kind, b"jpeg" | b"png " | b"tiff" | b"gif "))
    }

    fn read(window: &mut Window<'_>, at: &BoxAt) -> io::Result<Option<Self>> {
        let Some(media) = at.child(window, b"mdia")? else {
            return Ok(None);
        };
        let (timescale, duration) = match media.child(window, b"mdhd")? {
            Some(header) => times(window, &header)?,
            None => (0, 0),
        };
        let handler = match media.child(window, b"hdlr")? {
            Some(handler) => handler.number(window, 8, 4)?.unwrap_or(0),
            None => 0,
        };
        let id = match at.child(window, b"tkhd")? {
            Some(header) => {
                let wide = header.number(window, 0, 1)? == Some(1);
                header.number(window, if wide { 20 } else { 12 }, 4)?
            }
            None => None,
        };
        let table = media.path(window, &[b"minf", b"stbl"])?;
        let duration = match &table {
            Some(table) => told_duration(window, table, duration)?,
            None => duration,
        };
        let entry = match &table {
            Some(table) => match table.child(window, b"stsd")? {
                Some(list) => BoxAt::read(window, list.body + 8, list.end)?,
                None => None,
            },
            None => None,
        };
        let edits = match at.path(window, &[b"edts", b"elst"])? {
            Some(list) => edits(window, &list)?,
            None => Vec::new(),
        };
        Ok(Some(Self {
            id: id.unwrap_or(0),
            handler: (handler as u32).to_be_bytes(),
            timescale,
            duration,
            edits,
            entry,
            table,
        }))
    }
}

/// Time scale and duration of `mvhd` and `mdhd`.
fn times(window: &mut Window<'_>, header: &BoxAt) -> io::Result<(u64, u64)> {
    let wide = header.number(window, 0, 1)? == Some(1);
    let (scale, duration, count) = if wide { (20, 24, 8) } else { (12, 16, 4) };
    let unknown = if wide { u64::MAX } else { u64::from(u32::MAX) };
    let scale = header.number(window, scale, 4)?.unwrap_or(0);
    let duration = header
        .number(window, duration, count)?
        .filter(|n| *n != unknown);
    Ok((scale, duration.unwrap_or(0)))
}

/// The media's duration: the header's, unless the samples' own durations say that there is less, or it says nothing.
fn told_duration(window: &mut Window<'_>, table: &BoxAt, header: u64) -> io::Result<u64> {
    let Some(times) = table.child(window, b"stts")? else {
        return Ok(header);
    };
    let count = times.number(window, 4, 4)?.unwrap_or(0).min(MOST_ENTRIES);
    let mut sum = 0_u64;
    for index in 0..count {
        let (Some(samples), Some(each)) = (
            times.number(window, 8 + index * 8, 4)?,
            times.number(window, 12 + index * 8, 4)?,
        ) else {
            break;
        };
        sum = sum.saturating_add(samples.saturating_mul(each));
    }
    Ok(match (header, sum) {
        (_, 0) => header,
        (0, sum) => sum,
        (header, sum) => header.min(sum),
    })
}

fn edits(window: &mut Window<'_>, list: &BoxAt) -> io::Result<Vec<Edit>> {
    let wide = list.number(window, 0, 1)? == Some(1);
    let count = list.number(window, 4, 4)?.unwrap_or(0).min(MOST_ENTRIES);
    let size = if wide { 20 } else { 12 };
    let mut edits = Vec::new();
    for index in 0..count {
        let at = 8 + index * size;
        let half = (size - 4) as usize / 2;
        let (Some(duration), Some(start)) = (
            list.number(window, at, half)?,
            list.number(window, at + half as u64, half)?,
        ) else {
            break;
        };
        let negative = start >> (half * 8 - 1) != 0;
        edits.push(Edit {
            duration,
            start: (!negative).then_some(start),
        });
    }
    Ok(edits)
}

/// Samples that lie one behind the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Chunk {
    /// Where the first one starts.
    pub(crate) at: u64,
    /// Its number in the track, from 0.
    pub(crate) first: u64,
    /// How many.
    pub(crate) samples: u64,
}

/// The tables that say where a track's samples lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Samples {
    sizes: BoxAt,
    chunks: BoxAt,
    wide: bool,
    runs: BoxAt,
    /// Of all samples, where it is one; else 0.
    pub(crate) size: u64,
    /// How many samples.
    pub(crate) count: u64,
}

impl Samples {
    /// The tables of a track; `None` where one is missing.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn read(window: &mut Window<'_>, track: &Track) -> io::Result<Option<Self>> {
        let Some(table) = &track.table else {
            return Ok(None);
        };
        let children = table.children(window)?;
        let find = |kind: &[u8; 4]| children.iter().find(|child| child.kind == *kind).copied();
        let (Some(sizes), Some(runs)) = (find(b"stsz"), find(b"stsc")) else {
            return Ok(None);
        };
        let Some((chunks, wide)) = find(b"stco")
            .map(|chunks| (chunks, false))
            .or_else(|| find(b"co64").map(|chunks| (chunks, true)))
        else {
            return Ok(None);
        };
        let size = sizes.number(window, 4, 4)?.unwrap_or(0);
        let count = sizes.number(window, 8, 4)?.unwrap_or(0);
        Ok(Some(Self {
            sizes,
            chunks,
            wide,
            runs,
            size,
            count,
        }))
    }

    /// Bytes of the `index`th sample.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn size_of(&self, window: &mut Window<'_>, index: u64) -> io::Result<Option<u64>> {
        if self.size > 0 {
            return Ok(Some(self.size));
        }
        self.sizes.number(window, 12 + index.saturating_mul(4), 4)
    }

    /// All chunks, in the order of the track; `None` where there are too many or the tables contradict each other.
    ///
    /// # Errors
    /// Where reading fails.
    pub(crate) fn chunks(&self, window: &mut Window<'_>) -> io::Result<Option<Vec<Chunk>>> {
        let width = if self.wide { 8 } else { 4 };
        let count = self.chunks.number(window, 4, 4)?.unwrap_or(0);
        let there = self.chunks.length().saturating_sub(8) / width;
        if count > there || count > MOST_CHUNKS {
            return Ok(None);
        }
        let places = self.chunks.body + 8;
        let mut chunks = Vec::with_capacity(count as usize);
        for index in 0..count {
            let bytes = window.at(places + index * width, width as usize)?;
            let Some(at) = number(bytes, 0, width as usize) else {
                return Ok(None);
            };
            chunks.push(Chunk {
                at,
                first: 0,
                samples: 0,
            });
        }
        // How many samples each has: runs of chunks, numbered from 1.
        let runs = self.runs.number(window, 4, 4)?.unwrap_or(0);
        if runs > self.runs.length().saturating_sub(8) / 12 || runs == 0 && count > 0 {
            return Ok(None);
        }
        for index in 0..runs {
            let from = self.runs.number(window, 8 + index * 12, 4)?.unwrap_or(0);
            let samples = self.runs.number(window, 12 + index * 12, 4)?.unwrap_or(0);
            let until = if index + 1 < runs {
                self.runs.number(window, 20 + index * 12, 4)?.unwrap_or(0)
            } else {
                count + 1
            };
            if from == 0 || until <= from || until > count + 1 {
                return Ok(None);
            }
            for chunk in &mut chunks[(from - 1) as usize..(until - 1) as usize] {
                chunk.samples = samples;
            }
        }
        let mut first = 0_u64;
        for chunk in &mut chunks {
            chunk.first = first;
            chunk.samples = chunk.samples.min(self.count - first.min(self.count));
            first += chunk.samples;
        }
        Ok(Some(chunks))
    }
}
