//! Sounds for tests, made here or by the programs that musicians use.

use std::path::Path;

use super::succeed;

/// A stereo 16-bit WAV of noise: `frames` frames that differ by `seed`.
pub fn wav(frames: u32, seed: u32) -> Vec<u8> {
    let data = frames * 4;
    let mut out = Vec::with_capacity(44 + data as usize);
    out.extend(b"RIFF");
    out.extend((36 + data).to_le_bytes());
    out.extend(b"WAVEfmt ");
    out.extend(16u32.to_le_bytes());
    for word in [1u16, 2] {
        out.extend(word.to_le_bytes());
    }
    out.extend(44_100u32.to_le_bytes());
    out.extend((44_100u32 * 4).to_le_bytes());
    for word in [4u16, 16] {
        out.extend(word.to_le_bytes());
    }
    out.extend(b"data");
    out.extend(data.to_le_bytes());
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345) | 1;
    for _ in 0..frames {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        out.extend(state.to_le_bytes());
    }
    out
}

/// A tone of two seconds in any format that ffmpeg writes, by the name's extension.
pub fn tone(path: &Path, frequency: u32) {
    let source = format!("sine=frequency={frequency}:duration=2:sample_rate=44100");
    let path = path.to_str().expect("a path that ffmpeg takes");
    succeed(
        "ffmpeg",
        [
            "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", &source, "-ac", "2", path,
        ],
    );
}
