//! Facts of Ogg: Vorbis, Opus, FLAC, Speex, and which files hold moving pictures.
//!
//! The length is that of the last page's granule position less where the first page starts, as ffprobe counts it.
//! For Speex what the encoder looked ahead counts too; decoders deliver it.
//! For Opus `duration_seconds` holds the pre-skip too, as ffprobe's does, and `frames`, at 48 kHz, does not: a
//! decoder drops it. In chained files the links of the first one's coding are added up (ffprobe tells only the
//! last granule position of such a file); the file is read to its end for them.

use super::tags::Tags;
use super::{Probe, ProbeError, Source};
use crate::container::ogg::{
    Coding, FIRST, LAST, LONGEST_PAGE, Page, VorbisModes, opus_samples, page_checksum,
};
use crate::container::window::Window;
use crate::model::{Codec, Container, Format, Kind};

/// Streams that may start together.
const MOST_STREAMS: usize = 64;

/// Headers are read up to here: comments may hold pictures.
const LONGEST_HEADER: usize = 16 << 20;

/// Pages that are looked at for the headers of one stream.
const HEADER_PAGES: usize = 4096;

/// How far before the end the last page is looked for, in bytes.
const LAST_PAGE_WITHIN: u64 = 16 * LONGEST_PAGE;

/// Pages whose checksums are computed on the way.
const MOST_CHECKS: usize = 2000;

/// Links of a chained file that are added up.
const MOST_LINKS: usize = 1024;

/// Reads the facts of a file of `size` bytes that looks like this container.
pub(super) fn probe(source: &mut dyn Source, _size: u64) -> Result<Probe, ProbeError> {
    let mut window = Window::new(source)?;
    let damaged = |reason: &str| ProbeError::Damaged {
        container: "Ogg",
        reason: reason.to_owned(),
    };
    let streams = starting_together(&mut window, 0)?;
    if streams.is_empty() {
        return Err(damaged("its first page is not whole"));
    }
    let video = streams.iter().any(|(_, coding)| *coding == Coding::Video);
    let sound = streams
        .iter()
        .find(|(_, coding)| !matches!(coding, Coding::Video | Coding::Other));
    let kind = if video { Kind::Video } else { Kind::Audio };
    let mut format = Format::of(Container::Ogg);
    let mut tags = Tags::default();
    let mut notes = Vec::new();
    let Some((serial, coding)) = sound else {
        if !video {
            return Err(damaged("no stream in it is of a coding that mediafs knows"));
        }
        return Ok(Probe {
            kind,
            format,
            capsule: None,
            attributes: Vec::new(),
            notes,
        });
    };
    let (codec, rate, channels) = match coding {
        Coding::Vorbis(vorbis) => ("vorbis", vorbis.sample_rate, vorbis.channels),
        Coding::Opus(head) => ("opus", 48_000, head.channels),
        Coding::Flac {
            sample_rate,
            channels,
            bits,
            ..
        } => {
            format.bit_depth = Some(*bits);
            ("flac", *sample_rate, *channels)
        }
        Coding::Speex {
            sample_rate,
            channels,
            ..
        } => ("speex", *sample_rate, *channels),
        Coding::Video | Coding::Other => return Err(ProbeError::NotMedia),
    };
    format.codec = Some(Codec(codec.to_owned()));
    format.sample_rate = Some(rate);
    format.channels = Some(channels);

    let link = Link::read(&mut window, 0, *serial, coding, &mut tags)?;
    let last = last_page(&mut window, &streams)?;
    let length = match (link, last) {
        (Some(link), LastPage::Of(granules)) => granules
            .iter()
            .find(|(of, _)| of == serial)
            .map(|(_, granule)| link.length(*granule, coding)),
        (Some(_), LastPage::Chained) => {
            notes.push("is several Ogg files one behind the other".to_owned());
            Some(all_links(&mut window, coding)?)
        }
        _ => None,
    };
    if let Some((with_skip, frames)) = length {
        format.frames = Some(frames);
        format.duration_seconds = Some(with_skip as f64 / f64::from(rate)).filter(|_| rate > 0);
    } else if let Coding::Flac { frames, .. } = coding
        && *frames > 0
    {
        format.frames = Some(*frames);
        format.duration_seconds = Some(*frames as f64 / f64::from(rate)).filter(|_| rate > 0);
    } else {
        notes.push("has no page that tells its length".to_owned());
    }
    Ok(Probe {
        kind,
        format,
        capsule: None,
        attributes: tags.into_attributes(),
        notes,
    })
}

/// The streams whose first pages lie one behind the other at `at`: serial number and coding.
fn starting_together(
    window: &mut Window<'_>,
    mut at: u64,
) -> Result<Vec<(u32, Coding)>, ProbeError> {
    let mut streams = Vec::new();
    while let Some(page) = Page::read(window, at)? {
        if page.flags & FIRST == 0 || streams.len() == MOST_STREAMS {
            break;
        }
        at = page.end();
        let serial = page.serial;
        let header = page.header_length();
        let length = page.parts().next().map_or(0, |part| part.length);
        let bytes = page.bytes(window)?;
        let packet = bytes.get(header..header + length).unwrap_or_default();
        streams.push((serial, Coding::of(packet)));
    }
    Ok(streams)
}

/// A stream's beginning.
struct Link {
    /// The granule position at which its sound starts.
    start: u64,
    /// Frames before granule position 0: what the encoder looked ahead.
    ahead: u64,
}

impl Link {
    /// Reads the headers of the stream `serial` that starts behind `at`, its comments into `tags`, and its first
    /// page of sound. `None` where there is no such page.
    fn read(
        window: &mut Window<'_>,
        mut at: u64,
        serial: u32,
        coding: &Coding,
        tags: &mut Tags,
    ) -> Result<Option<Self>, ProbeError> {
        let mut packet = Vec::new();
        let mut packets = 0;
        let mut modes = None;
        let mut before = None;
        let mut sum = 0;
        let mut count = 0_u64;
        for _ in 0..HEADER_PAGES {
            let Some(page) = Page::read(window, at)? else {
                break;
            };
            at = page.end();
            if page.serial != serial {
                continue;
            }
            let header = page.header_length();
            let bytes = page.bytes(window)?;
            for part in page.parts() {
                let body = bytes
                    .get(header + part.start..header + part.start + part.length)
                    .unwrap_or_default();
                if packets < coding.header_packets() {
                    if packet.len() + body.len() > LONGEST_HEADER {
                        return Ok(None);
                    }
                    packet.extend_from_slice(body);
                    if part.ends {
                        match (coding, packets) {
                            (_, 1) => comments(coding, &packet, tags),
                            (Coding::Vorbis(_), 2) => modes = VorbisModes::of(&packet),
                            _ => {}
                        }
                        packets += 1;
                        packet.clear();
                    }
                    continue;
                }
                // Only packets that end here count for this page's granule position.
                if part.starts {
                    packet = body.iter().copied().take(2).collect();
                }
                if part.ends {
                    count += 1;
                    sum = samples(coding, modes.as_ref(), &packet, &mut before).saturating_add(sum);
                }
            }
            if let Some(granule) = page.position()
                && packets >= coding.header_packets()
                && before.is_some()
            {
                let start = if page.flags & LAST == 0 {
                    granule.saturating_sub(sum)
                } else {
                    0
                };
                let ahead = match coding {
                    Coding::Speex { frames, .. } => frames
                        .saturating_mul(count)
                        .saturating_sub(granule)
                        .min(*frames),
                    _ => 0,
                };
                return Ok(Some(Self { start, ahead }));
            }
        }
        Ok((packets >= coding.header_packets()).then_some(Self { start: 0, ahead: 0 }))
    }

    /// Frames up to the granule position `last`: all of them, and those that a decoder delivers.
    fn length(&self, last: u64, coding: &Coding) -> (u64, u64) {
        let all = last.saturating_sub(self.start).saturating_add(self.ahead);
        match coding {
            Coding::Opus(head) => (all, all.saturating_sub(u64::from(head.pre_skip))),
            _ => (all, all),
        }
    }
}

/// Frames that a packet adds; `before` is the block of the one before, 0 for codings without overlap.
fn samples(
    coding: &Coding,
    modes: Option<&VorbisModes>,
    packet: &[u8],
    before: &mut Option<u64>,
) -> u64 {
    match coding {
        Coding::Vorbis(vorbis) => {
            let first = packet.first().copied().unwrap_or(1);
            let Some(block) = modes.and_then(|modes| modes.block(vorbis, first)) else {
                return 0;
            };
            before
                .replace(block)
                .map_or(0, |before| (before + block) / 4)
        }
        Coding::Opus(_) => {
            *before = Some(0);
            opus_samples(packet).unwrap_or(0)
        }
        _ => {
            // Their packets don't tell in their first bytes; such streams start at 0.
            *before = Some(0);
            u64::MAX
        }
    }
}

/// Reads the comment header.
fn comments(coding: &Coding, packet: &[u8], tags: &mut Tags) {
    let body = match coding {
        Coding::Vorbis(_) => packet.strip_prefix(b"\x03vorbis"),
        Coding::Opus(_) => packet.strip_prefix(b"OpusTags"),
        Coding::Flac { .. } => packet.get(4..).filter(|_| packet[0] & 0x7f == 4),
        _ => Some(packet),
    };
    tags.vorbis_comments(body.unwrap_or_default());
}

/// What is known of the file's end.
enum LastPage {
    /// The last granule positions of the streams that have one near the end.
    Of(Vec<(u32, u64)>),
    /// The last page belongs to a stream that did not start at the start.
    Chained,
    /// No page was found.
    None,
}

/// Looks for the last pages from the end.
fn last_page(window: &mut Window<'_>, streams: &[(u32, Coding)]) -> Result<LastPage, ProbeError> {
    let size = window.size();
    let mut found: Vec<(u32, u64)> = Vec::new();
    let mut end = size;
    let mut checks = 0;
    while end > 0 && size - end < LAST_PAGE_WITHIN {
        let start = end.saturating_sub(LONGEST_PAGE);
        // A sign that lies across the border counts for the part in front.
        let length = usize::try_from((end + 3).min(size) - start).unwrap_or(0);
        let bytes = window.at(start, length)?;
        let signs: Vec<u64> = bytes
            .windows(4)
            .enumerate()
            .filter(|(index, sign)| {
                // The version follows.
                *sign == b"OggS" && bytes.get(index + 4).is_none_or(|version| *version == 0)
            })
            .map(|(index, _)| start + index as u64)
            .collect();
        for at in signs.into_iter().rev() {
            let Some(page) = Page::read(window, at)? else {
                continue;
            };
            // Sound may hold the sign by chance; its checksum would have to fit too.
            checks += 1;
            if checks > MOST_CHECKS {
                break;
            }
            let bytes = page.bytes(window)?;
            let stored = bytes.get(22..26).and_then(|sum| sum.try_into().ok());
            if stored.map(u32::from_le_bytes) != Some(page_checksum(bytes)) {
                continue;
            }
            if !streams.iter().any(|(serial, _)| *serial == page.serial) {
                return Ok(LastPage::Chained);
            }
            if let Some(granule) = page.position()
                && !found.iter().any(|(serial, _)| *serial == page.serial)
            {
                found.push((page.serial, granule));
            }
        }
        let complete = streams
            .iter()
            .filter(|(_, coding)| !matches!(coding, Coding::Other))
            .all(|(serial, _)| found.iter().any(|(of, _)| of == serial));
        if complete {
            break;
        }
        end = start;
    }
    Ok(if found.is_empty() {
        LastPage::None
    } else {
        LastPage::Of(found)
    })
}

/// Adds up the links of a chained file that are coded as the first one is.
fn all_links(window: &mut Window<'_>, coding: &Coding) -> Result<(u64, u64), ProbeError> {
    let mut sum = (0, 0);
    let mut link: Option<(u32, Link, Coding)> = None;
    let mut last = 0;
    let mut at = 0;
    let mut links = 0;
    let add = |link: &Option<(u32, Link, Coding)>, last: u64, sum: &mut (u64, u64)| {
        if let Some((_, link, coding)) = link {
            let (all, delivered) = link.length(last, coding);
            sum.0 += all;
            sum.1 += delivered;
        }
    };
    while let Some(page) = Page::read(window, at)? {
        if page.flags & FIRST != 0 {
            links += 1;
            if links > MOST_LINKS {
                break;
            }
            for (serial, found) in starting_together(window, at)?.into_iter().take(1) {
                if std::mem::discriminant(&found) == std::mem::discriminant(coding) {
                    add(&link, last, &mut sum);
                    let mut ignored = Tags::default();
                    link = Link::read(window, at, serial, &found, &mut ignored)?
                        .map(|link| (serial, link, found));
                    last = 0;
                }
            }
        }
        if let (Some((serial, ..)), Some(granule)) = (&link, page.position())
            && *serial == page.serial
        {
            last = granule;
        }
        at = page.end();
    }
    add(&link, last, &mut sum);
    Ok(sum)
}
