//! Silence as MP4, M4A and QuickTime, fragmented or not, with moving pictures or without.
//!
//! Everything outside the samples is kept as it is (of pictures and the like the first 64 KiB), and in each sample's
//! place is a silent one of the same length: see [`super::packets`]. Linear PCM is zeros, or its coding's silence. The
//! tables that tell where samples lie stay in the capsule, and each group of samples holds its lengths once more, so
//! that a read needs no search through them.
//!
//! The capsule is made from the headers at the scan, but for codings whose packets tell their shape themselves (Opus,
//! MPEG audio, FLAC, AC-3): theirs is made when the whole file passes.
//!
//! - AAC: Main, LC and LTP of one to eight channels (not those whose layout is told in the stream), HE-AAC where the
//!   configuration says that it is. Where it does not, a decoder finds out from the sound itself, and shows the silent
//!   core with half the sample rate.
//! - Sound without a silent form (E-AC-3, …): zeros, which decoders refuse.
//! - Moving pictures: the first one as it is, if it is not large; of all others zeros. Readers see the same streams of
//!   the same length; decoders of pictures complain about those that are none.
//! - Titles, chapters: kept where they are small.
//!
//! From facts alone: see [`facts`]. Of a film these make its sound without pictures.

use std::io;

use super::packets::{Coding, Packets, Role, alac, flac};
use super::{Capsule, CapsuleBuilder, CapsuleError, Generator, Reading};
use crate::container::fragments::{self, Run};
use crate::container::isobmff::{BoxAt, Movie, Samples, Track};
use crate::container::sample_entry::{Entry, read_entry};
use crate::container::window::Window;
use crate::library::probe::Source;

mod facts;

pub(super) use facts::from_facts;

/// Of a picture, or another large part, so many bytes are kept.
const KEPT_OF_LARGE: u64 = 64 * 1024;

/// Samples of other tracks (chapters' names) are kept up to this many bytes together.
const KEPT_OF_OTHERS: u64 = 256 * 1024;

/// Samples of one track that lie one behind the other.
struct Group {
    /// Of the tracks, by place.
    track: usize,
    at: u64,
    sizes: Sizes,
}

/// How long the samples of a group are.
enum Sizes {
    /// As the track's table says.
    Table { first: u64, count: u64 },
    /// These.
    List(Vec<u32>),
}

impl Group {
    fn count(&self) -> u64 {
        match &self.sizes {
            Sizes::Table { count, .. } => *count,
            Sizes::List(sizes) => sizes.len() as u64,
        }
    }
}

/// A film's samples.
struct Places {
    /// For each track, if it has one.
    tables: Vec<Option<Samples>>,
    /// Of each track, how many channels.
    channels: Vec<u64>,
    /// In the file's order.
    groups: Vec<Group>,
}

impl Places {
    /// `None` where the tables contradict each other.
    fn read(window: &mut Window<'_>, movie: &Movie) -> io::Result<Option<Self>> {
        let mut places = Self {
            tables: Vec::new(),
            channels: Vec::new(),
            groups: Vec::new(),
        };
        for (index, track) in movie.tracks.iter().enumerate() {
            let samples = Samples::read(window, track)?;
            places.tables.push(samples);
            let Some(samples) = samples else {
                continue;
            };
            let Some(chunks) = samples.chunks(window)? else {
                return Ok(None);
            };
            places.groups.extend(chunks.into_iter().map(|chunk| Group {
                track: index,
                at: chunk.at,
                sizes: Sizes::Table {
                    first: chunk.first,
                    count: chunk.samples,
                },
            }));
        }
        if movie.fragmented {
            let Some(runs) = fragments::runs(window, movie)? else {
                return Ok(None);
            };
            let track = |run: &Run| movie.tracks.iter().position(|track| track.id == run.track);
            places.groups.extend(runs.into_iter().filter_map(|run| {
                Some(Group {
                    track: track(&run)?,
                    at: run.at,
                    sizes: Sizes::List(run.sizes),
                })
            }));
        }
        places.groups.sort_by_key(|group| group.at);
        Ok(Some(places))
    }

    /// Bytes of a group whose samples are all alike. Old files of PCM say of each frame that it has one byte.
    fn length(&self, group: &Group) -> Option<u64> {
        match (&group.sizes, self.tables.get(group.track)) {
            (Sizes::Table { count, .. }, Some(Some(samples))) if samples.size > 0 => {
                let channels = self.channels.get(group.track).copied().unwrap_or(1);
                count.checked_mul(samples.size.max(channels))
            }
            (Sizes::List(sizes), _) => Some(sizes.iter().map(|size| u64::from(*size)).sum()),
            _ => None,
        }
    }

    /// Bytes of the `index`th sample of a group.
    fn size(&self, window: &mut Window<'_>, group: &Group, index: u64) -> io::Result<Option<u64>> {
        match (&group.sizes, self.tables.get(group.track)) {
            (Sizes::Table { first, .. }, Some(Some(samples))) => {
                samples.size_of(window, first + index)
            }
            (Sizes::List(sizes), _) => Ok(sizes.get(index as usize).map(|size| u64::from(*size))),
            _ => Ok(None),
        }
    }

    /// True for samples that may have fewer frames than the others of their track.
    fn may_be_short(&self, group: &Group, index: u64) -> bool {
        match (&group.sizes, self.tables.get(group.track)) {
            (Sizes::Table { first, .. }, Some(Some(samples))) => first + index + 1 == samples.count,
            _ => index + 1 == group.count(),
        }
    }

    /// True if the samples of a track are small enough to be kept.
    fn are_small(&self, window: &mut Window<'_>, track: usize) -> io::Result<bool> {
        let mut sum = 0;
        for group in self.groups.iter().filter(|group| group.track == track) {
            for index in 0..group.count() {
                sum += self.size(window, group, index)?.unwrap_or(0);
                if sum > KEPT_OF_OTHERS {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// The capsule of a whole file; `None` where it has none of this kind.
///
/// # Errors
/// Where reading fails.
pub(super) fn whole_capsule(
    source: &mut dyn Source,
) -> io::Result<Option<Result<Capsule, CapsuleError>>> {
    let mut window = Window::new(source)?;
    let size = window.size();
    let mut at = 0;
    while let Some(found) = BoxAt::read(&mut window, at, size)? {
        if found.kind == *b"moov" {
            let movie = Movie::read(&mut window, found)?;
            return capsule(&mut window, &movie, Reading::All);
        }
        at = found.end;
    }
    Ok(None)
}

/// The capsule of a file with this movie header; `None` where it has no silent form, or needs more to be read.
///
/// # Errors
/// Where reading fails.
pub(crate) fn capsule(
    window: &mut Window<'_>,
    movie: &Movie,
    reading: Reading,
) -> io::Result<Option<Result<Capsule, CapsuleError>>> {
    let size = window.size();
    let Some(mut places) = Places::read(window, movie)? else {
        return Ok(None);
    };
    let film = movie.tracks.iter().any(is_moving);
    let mut roles = Vec::new();
    for (index, track) in movie.tracks.iter().enumerate() {
        let entry = read_entry(window, track)?;
        places.channels.push(u64::from(entry.channels));
        let role = if track.handler == *b"soun" {
            match coding(&entry, film) {
                Some(coding) if coding.start() == 0 || reading == Reading::All => {
                    Role::Sound(Packets::new(coding))
                }
                _ => return Ok(None),
            }
        } else if is_moving(track) {
            Role::moving(size)
        } else if places.are_small(window, index)? {
            Role::Kept
        } else {
            Role::Zeros
        };
        roles.push(role);
    }
    // These have silence from facts, which is better than a sample that is none.
    let exact = !film
        && roles.iter().all(|role| match role {
            Role::Sound(packets) => matches!(packets.coding(), Coding::Aac(_) | Coding::Alac(_)),
            _ => true,
        });
    let filled = match &roles[..] {
        // Nothing but PCM: its tables may have an entry for every frame.
        [Role::Sound(packets)] => match packets.coding() {
            Coding::Fill(byte) => Some(*byte),
            _ => None,
        },
        _ => None,
    };
    let mut builder = CapsuleBuilder::new(size);
    let mut groups = places.groups.iter().peekable();
    let mut at = 0;
    while at < size {
        let Some(top) = BoxAt::read(window, at, size)? else {
            copy(window, &mut builder, at, size, &[])?;
            break;
        };
        at = top.end;
        if top.kind != *b"mdat" {
            let mut large = Vec::new();
            find_large(window, &top, 0, &mut large)?;
            copy(window, &mut builder, top.start, top.end, &large)?;
            continue;
        }
        copy(window, &mut builder, top.start, top.body, &[])?;
        if let Some(byte) = filled {
            builder.generated(top.body, top.length(), &Generator::Fill(byte));
            continue;
        }
        while let Some(group) = groups.next_if(|group| group.at < top.end) {
            if group.at < top.body {
                continue;
            }
            let whole = write(window, &mut builder, &places, group, &mut roles)?;
            if exact && !whole {
                return Ok(None);
            }
        }
        for role in &mut roles {
            role.flush(&mut builder);
        }
    }
    Ok(Some(builder.finish()))
}

fn is_moving(track: &Track) -> bool {
    track.handler == *b"vide" && !track.is_still()
}

/// How a sound's samples are silenced; `None` where silence from facts is better.
fn coding(entry: &Entry, film: bool) -> Option<Coding> {
    let none = Coding::Fill(0);
    Some(match entry.codec.unwrap_or_default() {
        "aac" => match entry.aac.as_ref().and_then(Coding::aac) {
            Some(coding) => coding,
            None if film => none,
            None => return None,
        },
        "alac" => match entry.alac.as_deref().and_then(alac::Config::parse) {
            Some(config) => Coding::Alac(config),
            None => none,
        },
        "opus" => entry.opus.clone().map_or(none, Coding::Opus),
        "flac" => {
            let stream = flac::Stream::new(entry.channels, entry.bits.unwrap_or(0));
            stream.map_or(none, Coding::Flac)
        }
        "mp3" => Coding::Mpeg,
        "ac3" => Coding::Ac3,
        name => Coding::Fill(super::wav::silent_byte(name).unwrap_or(0)),
    })
}

/// Writes the samples of a group. False where one is too short to be silent.
fn write(
    window: &mut Window<'_>,
    builder: &mut CapsuleBuilder,
    places: &Places,
    group: &Group,
    roles: &mut [Role],
) -> io::Result<bool> {
    // The other tracks' samples before these are decided.
    for (index, role) in roles.iter_mut().enumerate() {
        if index != group.track {
            role.flush(builder);
        }
    }
    let role = &mut roles[group.track];
    let mut at = group.at;
    if let Role::Sound(packets) = role
        && let Some(generator) = packets.coding().constant()
        && let Some(length) = places.length(group)
    {
        // A sample may be a frame: there are many.
        builder.generated(at, length.min(window.size().saturating_sub(at)), &generator);
        return Ok(true);
    }
    for index in 0..group.count() {
        if matches!(role, Role::Zeros | Role::Moving(0)) {
            break;
        }
        let Some(length) = places.size(window, group, index)? else {
            return Ok(false);
        };
        let end = at.saturating_add(length);
        if end > window.size() {
            // Cut off: what is left of the sample is no sample any more.
            break;
        }
        let may_be_short = places.may_be_short(group, index);
        if !role.write(window, builder, at, length, may_be_short)? {
            return Ok(false);
        }
        at = end;
    }
    Ok(true)
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
        b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" | b"udta" | b"ilst" | b"covr" | b"----"
        | b"moof" | b"traf" | b"mfra" => 0,
        b"meta" => 4,
        // The tables are what readers need.
        b"stsz" | b"stz2" | b"stco" | b"co64" | b"stts" | b"stsc" | b"stss" | b"ctts" | b"elst"
        | b"sdtp" | b"sbgp" | b"trun" | b"tfra" | b"sidx" => return Ok(()),
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
