//! Facts of the ISO base media format: MP4, M4A, QuickTime; sound and moving pictures.
//!
//! `duration_seconds` is ffprobe's: the edit list's, rounded to the movie's time units as it is in the file, else
//! the media's. `frames` is what the edit list leaves of the media: where its duration differs from what is left
//! behind its start by rounding alone, all that is left counts. (A decoder that ignores edit lists delivers the
//! encoder's padding too: up to a packet more at the end, and the delay in front.) Without an edit list, iTunes's
//! own note (`iTunSMPB`) tells what is padding. Fragmented files: the fragments' durations are added up.
//!
//! A still picture kept as a track of its own does not make a sound a video.

use super::tags::Tags;
use super::{Probe, ProbeError, Source};
use crate::container::fragments::fragments_duration;
use crate::container::isobmff::{BoxAt, Movie, Samples, Track, number};
use crate::container::mpeg::FrameHeader;
use crate::container::sample_entry::{Entry, read_entry};
use crate::container::window::Window;
use crate::model::{Codec, Container, Format, Kind};
use crate::silence::{self, Reading};

mod itunes;

/// Reads the facts of a file of `size` bytes that looks like this container.
pub(super) fn probe(source: &mut dyn Source, size: u64) -> Result<Probe, ProbeError> {
    let mut window = Window::new(source)?;
    let damaged = |reason: &str| ProbeError::Damaged {
        container: "MP4",
        reason: reason.to_owned(),
    };
    let mut notes = Vec::new();
    let mut header = None;
    let mut at = 0;
    while let Some(found) = BoxAt::read(&mut window, at, size)? {
        at = found.end;
        if found.cut {
            let kind = String::from_utf8_lossy(&found.kind).into_owned();
            notes.push(format!("ends inside its part '{kind}'"));
        }
        if found.kind == *b"moov" && header.is_none() {
            header = Some(found);
        }
    }
    let Some(header) = header else {
        return Err(damaged("it has no movie header (moov)"));
    };
    let movie = Movie::read(&mut window, header)?;
    let mut video = false;
    for track in movie
        .tracks
        .iter()
        .filter(|track| track.handler == *b"vide")
    {
        video |= !track.is_still();
    }
    let sound = movie.tracks.iter().find(|track| track.handler == *b"soun");
    let mut format = Format::of(Container::Mp4);
    let mut tags = Tags::default();
    let padding = itunes::read(&mut window, &movie, &mut tags)?;
    if let Some(track) = sound {
        let entry = read_entry(&mut window, track)?;
        describe(&mut format, &entry);
        if entry.codec == Some("mp3")
            && let Some(header) = first_frame(&mut window, track)?
        {
            // The description often says two whatever it is.
            format.channels = Some(header.channels);
            format.sample_rate = Some(header.sample_rate);
        }
        measure(&mut window, &mut format, &movie, track, padding)?;
    } else if video {
        let seconds = movie.duration as f64 / movie.timescale as f64;
        format.duration_seconds = Some(seconds).filter(|seconds| seconds.is_finite());
    } else {
        return Err(damaged("it has neither sound nor moving pictures"));
    }
    let made = silence::mp4::capsule(&mut window, &movie, Reading::Headers)?;
    let capsule = made.and_then(|made| {
        made.inspect_err(|error| tracing::debug!(%error, "an MP4 file gets no capsule"))
            .ok()
    });
    Ok(Probe {
        kind: if video { Kind::Video } else { Kind::Audio },
        format,
        capsule,
        attributes: tags.into_attributes(),
        notes,
    })
}

/// The header of the first frame of a track of MPEG audio.
fn first_frame(window: &mut Window<'_>, track: &Track) -> Result<Option<FrameHeader>, ProbeError> {
    let Some(samples) = Samples::read(window, track)? else {
        return Ok(None);
    };
    let chunks = samples.chunks(window)?.unwrap_or_default();
    Ok(match chunks.first() {
        Some(chunk) => window.array(chunk.at)?.and_then(FrameHeader::parse),
        None => None,
    })
}

fn describe(format: &mut Format, entry: &Entry) {
    format.codec = entry.codec.map(|codec| Codec(codec.to_owned()));
    format.sample_rate = Some(entry.sample_rate).filter(|rate| *rate > 0);
    format.channels = Some(entry.channels).filter(|channels| *channels > 0);
    format.bit_depth = entry.bits;
    format.float = entry.float;
}

/// Length and frames of the track.
fn measure(
    window: &mut Window<'_>,
    format: &mut Format,
    movie: &Movie,
    track: &Track,
    padding: Option<itunes::Padding>,
) -> Result<(), ProbeError> {
    let scale = track.timescale;
    if scale == 0 {
        return Ok(());
    }
    let mut media = track.duration;
    if movie.fragmented {
        let fragments = fragments_duration(window, movie, track.id)?;
        // The header holds the length of the samples in the header alone: none, mostly.
        media = if fragments > 0 {
            fragments.max(media)
        } else {
            media
        };
    }
    let played = played(movie, track, media);
    let (shown, left) = played.unwrap_or((media, media));
    format.duration_seconds = Some(shown as f64 / scale as f64);
    let rate = u128::from(format.sample_rate.unwrap_or(0));
    let scaled = |units: u64| {
        let frames = (u128::from(units) * rate * 2 + u128::from(scale)) / (u128::from(scale) * 2);
        u64::try_from(frames).ok().filter(|_| rate > 0)
    };
    format.frames = match padding {
        Some(padding) if played.is_none() && padding.frames > 0 => Some(padding.frames),
        _ => scaled(left),
    };
    Ok(())
}

/// What the edit list plays, in the track's time units: as it is written, and with its rounding undone. `None`
/// without a list that says anything.
fn played(movie: &Movie, track: &Track, media: u64) -> Option<(u64, u64)> {
    let scaled = |units: u64| {
        let (units, from) = (u128::from(units), u128::from(movie.timescale.max(1)));
        let value = (units * u128::from(track.timescale) * 2 + from) / (from * 2);
        u64::try_from(value).unwrap_or(u64::MAX)
    };
    let tick = track.timescale / movie.timescale.max(1) + 1;
    let mut sum: Option<(u64, u64)> = None;
    for edit in &track.edits {
        let Some(start) = edit.start else {
            continue;
        };
        let behind = media.saturating_sub(start);
        let shown = match edit.duration {
            0 => behind,
            duration => scaled(duration).min(media),
        };
        let left = if behind.abs_diff(shown) <= tick {
            behind
        } else {
            shown.min(behind)
        };
        let (a, b) = sum.unwrap_or((0, 0));
        sum = Some((a.saturating_add(shown), b.saturating_add(left)));
    }
    sum
}
