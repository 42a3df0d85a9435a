//! Writing bits, the most significant one first.

/// Bytes that are written bit by bit. What was not written is zero.
#[derive(Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    /// The lowest `count` bits of `value`; at most 32.
    pub(super) fn put(&mut self, value: u32, count: usize) {
        for index in (0..count).rev() {
            let bit = (value >> index & 1) as u8;
            if bit == 1 {
                self.reach(self.at + 1);
                self.bytes[self.at / 8] |= 0x80 >> (self.at % 8);
            }
            self.at += 1;
        }
    }

    /// `count` zeros.
    pub(super) fn zeros(&mut self, count: usize) {
        self.at += count;
    }

    /// How many bits there are.
    pub(super) fn count(&self) -> usize {
        self.at
    }

    /// The bytes, the last one filled with zeros.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.reach(self.at);
        self.bytes
    }

    fn reach(&mut self, bits: usize) {
        let length = bits.div_ceil(8);
        if self.bytes.len() < length {
            self.bytes.resize(length, 0);
        }
    }
}
