//! Silent ALAC packets: a compressed element without prediction whose residual is one run of zeros. What follows
//! the end mark is never read.

use super::bits::Bits;
use crate::container::isobmff::number;

/// Zeros that one run can say.
const LONGEST_RUN: u32 = 65_535;

/// Bytes at the start of a packet that tell its frames.
pub(super) const START: usize = 8;

/// What a packet's form depends on, from ALACSpecificConfig.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::silence) struct Config {
    /// Frames of a packet.
    frames: u32,
    /// 1 or 2.
    channels: u8,
    /// The adaptive code's parameters: rate of change, first mean, longest code.
    change: u32,
    mean: u32,
    longest: u32,
}

impl Config {
    /// `None` for layouts of more than two channels, and parameters that no encoder uses.
    pub(in crate::silence) fn parse(config: &[u8]) -> Option<Self> {
        let parsed = Self {
            frames: number(config, 0, 4)? as u32,
            channels: *config.get(9)?,
            change: u32::from(*config.get(6)?),
            mean: u32::from(*config.get(7)?),
            longest: u32::from(*config.get(8)?),
        };
        // With a mean below 128 the first zero starts a run.
        let usual = (1..=LONGEST_RUN).contains(&parsed.frames)
            && (1..=2).contains(&parsed.channels)
            && (1..128).contains(&parsed.mean)
            && parsed.longest >= 7;
        usual.then_some(parsed)
    }

    /// Frames of the packet that starts with `packet`, where it says that it has not the usual number; else 0.
    pub(super) fn frames_of(&self, packet: &[u8]) -> u32 {
        // Behind the kind of element, its instance and unused bits.
        let word = number(packet, 2, 5).unwrap_or(0);
        let partial = word >> 36 & 1 == 1;
        let frames = (word >> 1) as u32;
        if partial && frames < self.frames {
            frames
        } else {
            0
        }
    }

    /// The start of a silent packet of `frames` frames, 0 for the usual number; zeros may follow.
    pub(in crate::silence) fn silent(&self, frames: u32) -> Vec<u8> {
        let partial = frames > 0 && frames != self.frames;
        let frames = if partial { frames } else { self.frames };
        let mut bits = Bits::default();
        bits.put(u32::from(self.channels == 2), 3);
        // Instance and unused bits, partial, no bytes shifted, compressed.
        bits.put(0, 16);
        bits.put(u32::from(partial), 1);
        bits.put(0, 3);
        if partial {
            bits.put(frames, 32);
        }
        // No mixing; for each channel: no mode, the usual shift (0 is refused by some), a factor of 4 quarters, no
        // coefficients.
        bits.put(0, 16);
        for _ in 0..self.channels {
            bits.put(9 << 8 | 4 << 5, 16);
        }
        for _ in 0..self.channels {
            self.zeros(&mut bits, frames);
        }
        bits.put(7, 3);
        bits.into_bytes()
    }

    /// A residual of zeros: the first one by itself, then a run.
    fn zeros(&self, bits: &mut Bits, frames: u32) {
        bits.put(0, 1);
        let run = frames - 1;
        if run == 0 {
            return;
        }
        let mean = self.mean - ((self.change * self.mean) >> 9);
        // As the decoders do: more bits for smaller means.
        let width = (7 - mean.max(1).ilog2() + ((mean + 16) >> 6)).min(self.longest);
        let step = (1 << width) - 1;
        let (ones, rest) = (run / step, run % step);
        if ones >= 9 {
            bits.put(0x1ff, 9);
            bits.put(run, 16);
            return;
        }
        bits.put((1 << ones) - 1, ones as usize);
        bits.put(0, 1);
        match rest {
            0 => bits.put(0, width as usize - 1),
            rest => bits.put(rest + 1, width as usize),
        }
    }
}
