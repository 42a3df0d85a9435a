//! Silence as MP4, M4A and QuickTime: AAC, ALAC and linear PCM.
//!
//! A capsule, made from the headers at the scan: everything outside the sound's own bytes as it is (of pictures
//! the first 64 KiB), and in each sample's place a silent one of the same length: see [`aac`] and [`alac`]. Linear
//! PCM is zeros, or its coding's silence. The tables that tell where samples lie stay in the capsule, and each
//! group of samples holds its lengths once more, so that a read needs no search through them.
//!
//! AAC: Main, LC and LTP of one to eight channels (not those whose layout is told in the stream), HE-AAC where the
//! configuration says that it is. Where it does not, a decoder finds out from the sound itself, and shows the
//! silent core with half the sample rate. No silent form yet: moving pictures, fragmented files, other codings.
//!
//! From facts alone: see [`facts`]. Of a film these make its sound without pictures.

use std::io;

use super::{Capsule, CapsuleBuilder, CapsuleError, Generator};
use crate::container::isobmff::{BoxAt, Chunk, Movie, Samples, Track};
use crate::container::sample_entry::{Entry, read_entry};
use crate::container::window::Window;

pub(super) mod aac;
mod alac;
mod facts;
mod slots;

pub(super) use facts::from_facts;
pub(super) use slots::{AacSlots, HeadSlots};

/// Samples in one segment of a capsule.
const SAMPLES_IN_SEGMENT: usize = 256;

/// Of a picture, or another large part, so many bytes are kept.
const KEPT_OF_LARGE: u64 = 64 * 1024;

/// Samples of other tracks (chapters' names) are kept up to this many bytes together.
const KEPT_OF_OTHERS: u64 = 256 * 1024;

/// How the samples of a sound are silenced.
enum Silence {
    /// AAC of this layout.
    Aac(u8),
    /// ALAC, by its configuration.
    Alac(alac::Config),
    /// One byte over and over.
    Fill(u8),
}

/// The capsule of a file with this movie header; `None` where it has no silent form.
///
/// # Errors
/// Where reading fails.
pub(crate) fn capsule(
    window: &mut Window<'_>,
    movie: &Movie,
) -> io::Result<Option<Result<Capsule, CapsuleError>>> {
    if movie.fragmented {
        return Ok(None);
    }
    let mut pieces = Vec::new();
    for track in &movie.tracks {
        let silence = if track.handler == *b"soun" {
            match silence_of(&read_entry(window, track)?) {
                Some(silence) => Some(silence),
                None => return Ok(None),
            }
        } else {
            None
        };
        let (Some(samples), Some(silence)) = (Samples::read(window, track)?, silence) else {
            continue;
        };
        let Some(chunks) = samples.chunks(window)? else {
            return Ok(None);
        };
        let last = match &silence {
            Silence::Alac(config) => config.last_frames(window, track, samples.count)?,
            _ => 0,
        };
        pieces.push((silence, samples, chunks, last));
    }
    let [(silence, samples, chunks, last)] = &mut pieces[..] else {
        // Sound in several tracks is a film's.
        return Ok(None);
    };
    chunks.sort_unstable_by_key(|chunk| chunk.at);
    let size = window.size();
    let mut builder = CapsuleBuilder::new(size);
    let kept = others(window, movie)?;
    let mut at = 0;
    while at < size {
        let Some(top) = BoxAt::read(window, at, size)? else {
            copy(window, &mut builder, at, size, &[])?;
            break;
        };
        if top.kind == *b"mdat" {
            copy(window, &mut builder, top.start, top.body, &[])?;
            let inside = |place: &u64| (top.body..top.end).contains(place);
            let sound = chunks.iter().filter(|chunk| inside(&chunk.at));
            let done = match silence {
                Silence::Fill(byte) => {
                    if *byte != 0 && !kept.is_empty() {
                        return Ok(None);
                    }
                    builder.generated(top.body, top.length(), &Generator::Fill(*byte));
                    true
                }
                _ => {
                    let kept = kept.iter().filter(|(at, _)| inside(at)).copied();
                    let slots = Slots {
                        silence,
                        samples,
                        last: *last,
                    };
                    slots.write(window, &mut builder, sound, kept.collect())?
                }
            };
            if !done {
                return Ok(None);
            }
        } else {
            let mut large = Vec::new();
            find_large(window, &top, 0, &mut large)?;
            copy(window, &mut builder, top.start, top.end, &large)?;
        }
        at = top.end;
    }
    Ok(Some(builder.finish()))
}

fn silence_of(entry: &Entry) -> Option<Silence> {
    match entry.codec? {
        "aac" => {
            let config = entry.aac?;
            let known =
                matches!(config.object, 1 | 2 | 4) && !(config.parametric && config.layout != 1);
            (known && (1..=7).contains(&config.layout)).then_some(Silence::Aac(config.layout))
        }
        "alac" => alac::Config::parse(entry.alac.as_deref()?).map(Silence::Alac),
        "pcm_u8" => Some(Silence::Fill(0x80)),
        "pcm_mulaw" => Some(Silence::Fill(0xff)),
        "pcm_alaw" => Some(Silence::Fill(0xd5)),
        name if name.starts_with("pcm_") => Some(Silence::Fill(0)),
        _ => None,
    }
}

/// Places (start, length) of the samples of other tracks, if they are small enough to be kept.
fn others(window: &mut Window<'_>, movie: &Movie) -> io::Result<Vec<(u64, u64)>> {
    let mut places = Vec::new();
    let mut sum = 0_u64;
    let others = |track: &&Track| track.handler != *b"soun";
    for track in movie.tracks.iter().filter(others) {
        let Some(samples) = Samples::read(window, track)? else {
            continue;
        };
        for chunk in samples.chunks(window)?.unwrap_or_default() {
            let mut length = 0;
            for index in chunk.first..chunk.first + chunk.samples {
                length += samples.size_of(window, index)?.unwrap_or(0);
                if sum + length > KEPT_OF_OTHERS {
                    return Ok(Vec::new());
                }
            }
            sum += length;
            places.push((chunk.at, length));
        }
    }
    places.sort_unstable();
    Ok(places)
}

/// Finds the parts (start, length) of boxes that are not kept whole.
fn find_large(
    window: &mut Window<'_>,
    at: &BoxAt,
    depth: usize,
    large: &mut Vec<(u64, u64)>,
) -> io::Result<()> {
    if at.length() <= KEPT_OF_LARGE {
        return Ok(());
    }
    let skip = match &at.kind {
        b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" | b"udta" | b"ilst" | b"covr" | b"----" => {
            0
        }
        b"meta" => 4,
        // The tables are what readers need.
        b"stsz" | b"stz2" | b"stco" | b"co64" | b"stts" | b"stsc" | b"stss" | b"ctts" | b"elst" => {
            return Ok(());
        }
        _ => {
            large.push((at.body, at.length()));
            return Ok(());
        }
    };
    if depth > 8 {
        return Ok(());
    }
    for child in BoxAt::all(window, at.body + skip, at.end)? {
        find_large(window, &child, depth + 1, large)?;
    }
    Ok(())
}

/// Copies what lies between, of the large parts only the beginning.
fn copy(
    window: &mut Window<'_>,
    builder: &mut CapsuleBuilder,
    from: u64,
    to: u64,
    large: &[(u64, u64)],
) -> io::Result<()> {
    super::copy::copy_verbatim(window, builder, (from, to), large, KEPT_OF_LARGE)
}

/// Silent samples of one track.
struct Slots<'a> {
    silence: &'a Silence,
    samples: &'a Samples,
    /// Frames of ALAC's last sample; 0 where it is as long as the others.
    last: u32,
}

impl Slots<'_> {
    /// Writes the chunks, and the bytes of other tracks between them. False where a sample is too short to be
    /// silent.
    fn write<'c>(
        &self,
        window: &mut Window<'_>,
        builder: &mut CapsuleBuilder,
        chunks: impl Iterator<Item = &'c Chunk>,
        kept: Vec<(u64, u64)>,
    ) -> io::Result<bool> {
        let mut kept = kept.into_iter().peekable();
        let mut group = Group::default();
        for chunk in chunks {
            while let Some((at, length)) = kept.next_if(|(at, _)| *at < chunk.at) {
                self.flush(&mut group, builder);
                copy(window, builder, at, at + length, &[])?;
            }
            let mut at = chunk.at;
            for index in chunk.first..chunk.first + chunk.samples {
                let Some(length) = self.samples.size_of(window, index)? else {
                    return Ok(false);
                };
                let is_last = self.last > 0 && index + 1 == self.samples.count;
                let Some(slot) = u16::try_from(length)
                    .ok()
                    .filter(|slot| *slot == 0 || usize::from(*slot) >= self.shortest(is_last))
                else {
                    return Ok(false);
                };
                if at + length > window.size() {
                    // Cut off: what is left of the sample is no sample any more.
                    self.flush(&mut group, builder);
                    return Ok(true);
                }
                if at != group.end || group.slots.len() == SAMPLES_IN_SEGMENT || is_last {
                    self.flush(&mut group, builder);
                    group.start = at;
                    group.last = is_last;
                }
                group.slots.push(slot);
                at += length;
                group.end = at;
            }
        }
        self.flush(&mut group, builder);
        for (at, length) in kept {
            copy(window, builder, at, at + length, &[])?;
        }
        Ok(true)
    }

    /// The shortest sample that can be silent.
    fn shortest(&self, last: bool) -> usize {
        match self.silence {
            Silence::Aac(layout) => aac::shortest(*layout),
            Silence::Alac(config) => config.silent(if last { self.last } else { 0 }).len(),
            Silence::Fill(_) => 0,
        }
    }

    fn flush(&self, group: &mut Group, builder: &mut CapsuleBuilder) {
        let length = group.end - group.start;
        if !group.slots.is_empty() {
            let lengths = slots::encode(&group.slots);
            match self.silence {
                Silence::Aac(layout) => {
                    let slots = AacSlots::new(*layout, &lengths);
                    builder.generated(group.start, length, &Generator::AacSlots(slots));
                }
                Silence::Alac(config) => {
                    let head = config.silent(if group.last { self.last } else { 0 });
                    let slots = HeadSlots::new(&head, &lengths);
                    builder.generated(group.start, length, &Generator::HeadSlots(slots));
                }
                Silence::Fill(_) => {}
            }
        }
        *group = Group {
            start: group.end,
            end: group.end,
            ..Group::default()
        };
    }
}

/// Samples that lie one behind the other.
#[derive(Default)]
struct Group {
    start: u64,
    end: u64,
    last: bool,
    slots: Vec<u16>,
}
