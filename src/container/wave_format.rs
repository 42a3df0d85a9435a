//! The `fmt ` chunk of WAVE: which coding, how wide a block.
//!
//! Tags and subformats as Microsoft's mmreg.h registers them; names as ffprobe prints them.

/// What a `fmt ` chunk says.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct WaveFormat {
    pub(crate) tag: u16,
    pub(crate) channels: u16,
    pub(crate) sample_rate: u32,
    pub(crate) codec: Option<&'static str>,
    /// Bits of a sample as coded.
    pub(crate) bit_depth: Option<u16>,
    pub(crate) float: bool,
    /// Bits of a sample as the header has them, whatever they mean.
    pub(crate) stated_bits: u16,
    /// Bytes of a block that holds all channels.
    pub(crate) block: u64,
    /// Frames in a block; 0 where that is not constant.
    pub(crate) frames_per_block: u64,
}

const EXTENSIBLE: u16 = 0xfffe;

/// What follows the tag in the subformat of an extensible format: Microsoft's own, and the ambisonic one.
const SUBFORMATS: [[u8; 14]; 2] = [
    [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71],
    [
        0, 0, 0x21, 7, 0xd3, 0x11, 0x86, 0x44, 0xc8, 0xc1, 0xca, 0, 0, 0,
    ],
];

impl WaveFormat {
    /// From the chunk's body; `big_endian` in RIFX.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(body: &[u8], big_endian: bool) -> Result<Self, &'static str> {
        const SHORT: &str = "its fmt chunk is too short";
        let short = |at| {
            let bytes = array(body, at)?;
            Some(match big_endian {
                true => u16::from_be_bytes(bytes),
                false => u16::from_le_bytes(bytes),
            })
        };
        let long = |at| {
            let bytes = array(body, at)?;
            Some(match big_endian {
                true => u32::from_be_bytes(bytes),
                false => u32::from_le_bytes(bytes),
            })
        };
        let mut tag = short(0).ok_or(SHORT)?;
        let channels = short(2).ok_or(SHORT)?;
        let sample_rate = long(4).ok_or(SHORT)?;
        let align = short(12).ok_or(SHORT)?;
        // The oldest files end before the bits.
        let bits = short(14).unwrap_or(8);
        let extra = short(16).unwrap_or(0);
        let extensible = tag == EXTENSIBLE;
        if extensible && extra >= 22 {
            let subformat = array::<14>(body, 26).ok_or(SHORT)?;
            if SUBFORMATS.contains(&subformat) {
                tag = short(24).ok_or(SHORT)?;
            }
        }
        if channels == 0 {
            return Err("it has no channels");
        }
        if sample_rate == 0 {
            return Err("its sample rate is 0");
        }
        let mut format = Self {
            tag,
            channels,
            sample_rate,
            codec: None,
            bit_depth: None,
            float: false,
            stated_bits: bits,
            block: u64::from(align),
            frames_per_block: 0,
        };
        match tag {
            1 | 3 | 6 | 7 => format.set_pcm(align, bits, big_endian),
            // An extensible format has the number of valid bits there.
            _ => format.set_coded(align, short(18).filter(|_| extra >= 2 && !extensible)),
        }
        if format.codec == Some("flac") {
            // Its STREAMINFO follows.
            let word = array(body, 18 + 10).map(u64::from_be_bytes);
            format.bit_depth = word.map(|word| (word >> 36 & 31) as u16 + 1);
        }
        Ok(format)
    }

    fn set_pcm(&mut self, align: u16, bits: u16, big_endian: bool) {
        let least = bits.div_ceil(8);
        // 24 bits may be kept in 32, which only the block tells; in all else the bits decide, as programs write
        // many a wrong block. The logarithmic codings are 8 bits wide, whatever is written.
        let width = match (self.tag, align.checked_div(self.channels)) {
            (6 | 7, _) => 1,
            (1, Some(4)) if least == 3 && align.is_multiple_of(self.channels) => 4,
            _ => least,
        };
        self.frames_per_block = 1;
        let codec = match (self.tag, width, big_endian) {
            (1, 1, _) => "pcm_u8",
            (1, 2, false) => "pcm_s16le",
            (1, 2, true) => "pcm_s16be",
            (1, 3, false) => "pcm_s24le",
            (1, 3, true) => "pcm_s24be",
            (1, 4, false) => "pcm_s32le",
            (1, 4, true) => "pcm_s32be",
            (1, 8, false) => "pcm_s64le",
            (1, 8, true) => "pcm_s64be",
            (3, 4, false) => "pcm_f32le",
            (3, 4, true) => "pcm_f32be",
            (3, 8, false) => "pcm_f64le",
            (3, 8, true) => "pcm_f64be",
            (6, _, _) => "pcm_alaw",
            (7, _, _) => "pcm_mulaw",
            // A width that no reader knows: the block still tells the frames.
            _ => return,
        };
        self.codec = Some(codec);
        self.float = self.tag == 3;
        self.bit_depth = Some(width * 8);
        self.block = u64::from(width) * u64::from(self.channels);
    }

    fn set_coded(&mut self, align: u16, frames_per_block: Option<u16>) {
        let (codec, bit_depth) = match self.tag {
            0x02 => ("adpcm_ms", Some(4)),
            0x10 | 0x17 => ("adpcm_ima_oki", Some(4)),
            0x11 => ("adpcm_ima_wav", Some(4)),
            0x20 => ("adpcm_yamaha", Some(4)),
            0x31 => ("gsm_ms", None),
            0x22 => ("truespeech", None),
            0x40 | 0x45 => ("adpcm_g726", None),
            0x50 => ("mp2", None),
            0x55 => ("mp3", None),
            0x65 | 0x28f => ("adpcm_g722", Some(4)),
            0xff | 0x1600 => ("aac", None),
            0x160 => ("wmav1", None),
            0x161 => ("wmav2", None),
            0x270 => ("atrac3", None),
            0x566f => ("vorbis", None),
            0x2000 => ("ac3", None),
            0x2001 => ("dts", None),
            0xa109 => ("speex", None),
            0xf1ac => ("flac", None),
            _ => return,
        };
        self.codec = Some(codec);
        self.bit_depth = bit_depth;
        // What a block can hold at most, for the two codings where the number is not free.
        let channels = u64::from(self.channels);
        let payload = |head: u64| u64::from(align).saturating_sub(head * channels) * 2 / channels;
        let most = match self.tag {
            0x02 => payload(7) + 2,
            0x11 => payload(4) + 1,
            0x31 => 320,
            _ => return,
        };
        if align > 0 {
            self.frames_per_block = frames_per_block
                .map(u64::from)
                .filter(|frames| (1..=most).contains(frames))
                .unwrap_or(most);
        }
    }
}

fn array<const COUNT: usize>(bytes: &[u8], at: usize) -> Option<[u8; COUNT]> {
    bytes.get(at..)?.first_chunk().copied()
}
