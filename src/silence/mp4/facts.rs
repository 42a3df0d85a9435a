//! Silent M4A from facts alone: AAC-LC and ALAC.
//!
//! `ftyp`, `moov`, `mdat` with packets of one length in one chunk, and `free` for the rest of the size. As all
//! tables are constant, the movie header stays below one kilobyte at any length.

use crate::container::aac::AacConfig;
use crate::model::Format;
use crate::silence::packets::{aac, alac};
use crate::silence::{Capsule, CapsuleBuilder, Generator, NoPlaceholder};

/// Frames of a packet of AAC; and what encoders put before the sound.
const AAC_PACKET: u64 = 1024;

/// Frames of a packet of ALAC.
const ALAC_PACKET: u64 = 4096;

/// A box without content.
const FREE_AT_LEAST: u64 = 8;

/// What a stream is made of.
struct Plan {
    rate: u32,
    channels: u16,
    bits: u16,
    /// Frames of a packet, of the delay in front, of the sound.
    packet: u64,
    delay: u64,
    frames: u64,
    /// Of the movie and its edit list, and their time units a second.
    shown: u64,
    movie_scale: u32,
    kind: [u8; 4],
    /// The box inside the sample description.
    codec: Vec<u8>,
    shortest: u64,
}

/// The capsule of a file of `size` bytes that has this format and is silent.
pub(in crate::silence) fn from_facts(format: &Format, size: u64) -> Result<Capsule, NoPlaceholder> {
    let missing = |what: &str| NoPlaceholder::new(format!("the {what} is not known"));
    let rate = format.sample_rate.ok_or_else(|| missing("sample rate"))?;
    let channels = format
        .channels
        .ok_or_else(|| missing("number of channels"))?;
    let frames = format.frames.ok_or_else(|| missing("length"))?;
    // Most writers round the edit list to milliseconds; the duration tells if this one did.
    let exact = frames as f64 / f64::from(rate.max(1));
    let (shown, movie_scale) = match format.duration_seconds {
        Some(seconds) if (seconds - exact).abs() > 1e-6 && (seconds - exact).abs() < 0.01 => {
            ((seconds * 1000.0).round() as u64, 1000)
        }
        _ => (frames, rate),
    };
    let codec = format.codec.as_ref().map_or("", |codec| codec.0.as_str());
    let unknown = || {
        NoPlaceholder::new(format!(
            "there is no silent form of {codec} with {channels} channels at {rate} Hz in MP4 yet"
        ))
    };
    match codec {
        "aac" => {
            let config = AacConfig::lc(rate, channels).ok_or_else(unknown)?;
            let layout = config[1] >> 3 & 15;
            let plan = Plan {
                rate,
                channels,
                bits: 16,
                packet: AAC_PACKET,
                delay: AAC_PACKET,
                frames,
                shown,
                movie_scale,
                kind: *b"mp4a",
                codec: esds(&config),
                shortest: aac::shortest(layout) as u64,
            };
            plan.capsule(size, |_, length| aac::silent(layout, length))
        }
        "alac" => {
            let bits = format.bit_depth.unwrap_or(16);
            let cookie = alac_cookie(rate, channels, bits).ok_or_else(unknown)?;
            let config = alac::Config::parse(&cookie).ok_or_else(unknown)?;
            let mut header = vec![0; 4];
            header.extend(&cookie);
            let plan = Plan {
                rate,
                channels,
                bits,
                packet: ALAC_PACKET,
                delay: 0,
                frames,
                shown,
                movie_scale,
                kind: *b"alac",
                codec: boxed(b"alac", &header),
                // The form of a last packet of fewer frames is the longest.
                shortest: config.silent(ALAC_PACKET as u32 - 1).len() as u64,
            };
            plan.capsule(size, |frames, length| {
                let mut packet = config.silent(frames as u32);
                packet.resize(length, 0);
                packet
            })
        }
        _ => Err(unknown()),
    }
}

impl Plan {
    /// Packets, and frames of the last one.
    fn packets(&self) -> (u64, u64) {
        let all = self.frames + self.delay;
        let count = all.div_ceil(self.packet).max(1);
        (count, all - (count - 1) * self.packet)
    }

    fn capsule(
        &self,
        size: u64,
        silent: impl Fn(u64, usize) -> Vec<u8>,
    ) -> Result<Capsule, NoPlaceholder> {
        let (count, last) = self.packets();
        let count32 = u32::try_from(count)
            .map_err(|_| NoPlaceholder::new(format!("{count} packets are too many for MP4")))?;
        let mut start = self.headers(0, count32, 0);
        let head_length = start.len() as u64 + 16;
        let room = size.saturating_sub(head_length);
        // The longest packets after which nothing is left, or enough for a box.
        let longest = (room / count).min(u64::from(u16::MAX));
        let slot = (self.shortest..=longest).rev().find(|slot| {
            let rest = room - slot * count;
            rest == 0 || rest >= FREE_AT_LEAST
        });
        let Some(slot) = slot else {
            return Err(NoPlaceholder::new(format!(
                "{size} bytes are too few for {count} packets"
            )));
        };
        start = self.headers(head_length as u32, count32, slot as u32);
        let sound = slot * count;
        // A length of eight bytes at any size: the place of the sound is the same.
        start.extend(1_u32.to_be_bytes());
        start.extend(b"mdat");
        start.extend((sound + 16).to_be_bytes());
        let mut builder = CapsuleBuilder::new(size);
        builder.verbatim(0, &start);
        let usual = silent(0, slot as usize);
        let usual_length = slot * (count - 1);
        builder.generated(head_length, usual_length, &Generator::Pattern(&usual));
        builder.verbatim(head_length + usual_length, &silent(last, slot as usize));
        let rest = room - sound;
        if let Ok(rest) = u32::try_from(rest) {
            if rest > 0 {
                let mut free = rest.to_be_bytes().to_vec();
                free.extend(b"free");
                builder.verbatim(head_length + sound, &free);
            }
        } else {
            let mut free = 1_u32.to_be_bytes().to_vec();
            free.extend(b"free");
            free.extend(rest.to_be_bytes());
            builder.verbatim(head_length + sound, &free);
        }
        Ok(builder.finish()?)
    }

    /// All in front of the sound's own box.
    fn headers(&self, place: u32, count: u32, slot: u32) -> Vec<u8> {
        let (_, last) = self.packets();
        let media = self.frames + self.delay;
        let matrix = [[0x1_0000_u32, 0, 0], [0, 0x1_0000, 0], [0, 0, 0x4000_0000]].concat();
        let words = |words: &[u32]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_be_bytes()).collect()
        };
        let long = |units: u64| units.to_be_bytes();
        // Version 1: times of eight bytes; none is given for making and changing.
        let v1 = 1_u32 << 24;

        let mut mvhd = words(&[v1, 0, 0, 0, 0, self.movie_scale]);
        mvhd.extend(long(self.shown));
        mvhd.extend(words(&[0x1_0000, 0x0100_0000, 0, 0]));
        mvhd.extend(words(&matrix));
        mvhd.extend(words(&[0, 0, 0, 0, 0, 0, 2]));

        let mut tkhd = words(&[v1 | 3, 0, 0, 0, 0, 1, 0]);
        tkhd.extend(long(self.shown));
        tkhd.extend(words(&[0, 0, 0, 0x0100_0000]));
        tkhd.extend(words(&matrix));
        tkhd.extend(words(&[0, 0]));

        let mut elst = words(&[v1, 1]);
        elst.extend(long(self.shown));
        elst.extend(long(self.delay));
        elst.extend(words(&[0x1_0000]));

        let mut mdhd = words(&[v1, 0, 0, 0, 0, self.rate]);
        mdhd.extend(long(media));
        // No language.
        mdhd.extend(words(&[0x55c4_0000]));

        let mut hdlr = words(&[0, 0]);
        hdlr.extend(b"soun");
        hdlr.extend(words(&[0, 0, 0]));
        hdlr.push(0);

        let mut entry = vec![0, 0, 0, 0, 0, 0, 0, 1];
        entry.extend(words(&[0, 0]));
        entry.extend(self.channels.to_be_bytes());
        entry.extend(self.bits.to_be_bytes());
        entry.extend(words(&[0]));
        // Rates above 65,535 don't fit; the codec's own header has them.
        entry.extend(words(
            &[u16::try_from(self.rate).map_or(0, u32::from) << 16],
        ));
        entry.extend(&self.codec);
        let mut stsd = words(&[0, 1]);
        stsd.extend(boxed(&self.kind, &entry));

        let stts = if u64::from(count) > 1 && last != self.packet {
            words(&[0, 2, count - 1, self.packet as u32, 1, last as u32])
        } else {
            words(&[0, 1, count, last as u32])
        };
        let table = [
            boxed(b"stsd", &stsd),
            boxed(b"stts", &stts),
            boxed(b"stsc", &words(&[0, 1, 1, count, 1])),
            boxed(b"stsz", &words(&[0, slot, count])),
            boxed(b"stco", &words(&[0, 1, place])),
        ]
        .concat();
        let data = boxed(
            b"dref",
            &[words(&[0, 1]), boxed(b"url ", &words(&[1]))].concat(),
        );
        let minf = [
            boxed(b"smhd", &words(&[0, 0])),
            boxed(b"dinf", &data),
            boxed(b"stbl", &table),
        ]
        .concat();
        let mdia = [
            boxed(b"mdhd", &mdhd),
            boxed(b"hdlr", &hdlr),
            boxed(b"minf", &minf),
        ]
        .concat();
        let trak = [
            boxed(b"tkhd", &tkhd),
            boxed(b"edts", &boxed(b"elst", &elst)),
            boxed(b"mdia", &mdia),
        ]
        .concat();
        let moov = [boxed(b"mvhd", &mvhd), boxed(b"trak", &trak)].concat();
        let ftyp = boxed(b"ftyp", b"M4A \0\0\x02\0M4A mp42isom");
        [ftyp, boxed(b"moov", &moov)].concat()
    }
}

/// A box; its content is short.
fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut bytes = (content.len() as u32 + 8).to_be_bytes().to_vec();
    bytes.extend(kind);
    bytes.extend(content);
    bytes
}

/// The descriptors of an AAC stream (ISO/IEC 14496-1, 7.2.6).
fn esds(config: &[u8]) -> Vec<u8> {
    let descriptor = |tag: u8, content: &[u8]| {
        let mut bytes = vec![tag, content.len() as u8];
        bytes.extend(content);
        bytes
    };
    // AAC, a stream of sound, no buffer size and bit rates.
    let mut decoder = vec![0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    decoder.extend(descriptor(5, config));
    let mut stream = vec![0, 1, 0];
    stream.extend(descriptor(4, &decoder));
    stream.extend(descriptor(6, &[2]));
    let mut content = vec![0; 4];
    content.extend(descriptor(3, &stream));
    boxed(b"esds", &content)
}

/// ALACSpecificConfig with the parameters that all encoders use.
fn alac_cookie(rate: u32, channels: u16, bits: u16) -> Option<Vec<u8>> {
    let channels = u8::try_from(channels).ok()?;
    let bits = u8::try_from(bits)
        .ok()
        .filter(|bits| [16, 20, 24, 32].contains(bits))?;
    let mut cookie = (ALAC_PACKET as u32).to_be_bytes().to_vec();
    cookie.extend([0, bits, 40, 10, 14, channels, 0, 255]);
    cookie.extend([0; 8]);
    cookie.extend(rate.to_be_bytes());
    Some(cookie)
}
