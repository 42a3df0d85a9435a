//! Sounds of noise, in which no byte is as silence has it, and their silence.

/// A PCM WAV of noise, of so many bytes of sound.
pub(crate) fn wav(bits: u16, data: u32, seed: u64) -> Vec<u8> {
    let frame = u32::from(bits / 8);
    assert_eq!(data % (2 * frame), 0);
    let mut out = Vec::with_capacity(44 + data as usize);
    out.extend(b"RIFF");
    out.extend((36 + data).to_le_bytes());
    out.extend(b"WAVEfmt ");
    out.extend(16u32.to_le_bytes());
    out.extend(1u16.to_le_bytes());
    out.extend(1u16.to_le_bytes());
    out.extend(48_000u32.to_le_bytes());
    out.extend((48_000 * frame).to_le_bytes());
    out.extend((bits / 8).to_le_bytes());
    out.extend(bits.to_le_bytes());
    out.extend(b"data");
    out.extend(data.to_le_bytes());
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for _ in 0..data {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Never a byte that silence has.
        let byte = (state >> 32) as u8;
        out.push(if byte == 0 || byte == 0x80 { 1 } else { byte });
    }
    out
}

/// Silence of such a WAV.
pub(crate) fn silent_wav(bits: u16, wav: &[u8]) -> Vec<u8> {
    let silence = if bits == 8 { 0x80 } else { 0 };
    let mut bytes = wav.to_vec();
    bytes[44..].fill(silence);
    bytes
}
