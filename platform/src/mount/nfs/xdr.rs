//! XDR (RFC 4506), as far as NFSv3 needs it: what a call says, and what is answered.

use bytes::{Buf as _, Bytes};

/// What was sent is not what the procedure takes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbage;

/// What a client has sent. It holds no more than has come, however large a length in it says that something is.
pub(super) struct Reader(Bytes);

impl Reader {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(super) fn number(&mut self) -> Result<u32, Garbage> {
        self.0.try_get_u32().map_err(|_| Garbage)
    }

    pub(super) fn long(&mut self) -> Result<u64, Garbage> {
        self.0.try_get_u64().map_err(|_| Garbage)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Garbage> {
        Ok(self.number()? != 0)
    }

    /// Bytes behind their length.
    pub(super) fn bytes(&mut self) -> Result<Bytes, Garbage> {
        let length = self.number()? as usize;
        let with_padding = length.checked_next_multiple_of(4).ok_or(Garbage)?;
        if self.0.len() < with_padding {
            return Err(Garbage);
        }
        let mut bytes = self.0.split_to(with_padding);
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// What is answered.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn number(&mut self, number: u32) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    pub(super) fn long(&mut self, number: u64) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    pub(super) fn flag(&mut self, flag: bool) -> &mut Self {
        self.number(u32::from(flag))
    }

    /// Bytes, without their length.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Bytes behind their length, which has 32 bits: nothing that is answered is that long.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.raw(bytes);
        self.raw(&[0; 3][..padding(bytes.len())])
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

fn padding(length: usize) -> usize {
    length.wrapping_neg() % 4
}

/// How many bytes [`Writer::bytes`] writes.
pub(super) fn length_of(bytes: usize) -> usize {
    4 + bytes + padding(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in 0..9 {
            let bytes = vec![7; length];
            let mut to = Writer::default();
            to.number(1).bytes(&bytes).flag(true).long(u64::MAX - 1);
            assert_eq!(to.len(), 4 + length_of(length) + 4 + 8);
            assert_eq!(to.len() % 4, 0);
            let mut from = Reader::new(to.into_bytes().into());
            assert_eq!(from.number(), Ok(1));
            assert_eq!(from.bytes().unwrap(), bytes);
            assert_eq!(from.flag(), Ok(true));
            assert_eq!(from.long(), Ok(u64::MAX - 1));
            assert_eq!(from.number(), Err(Garbage));
        }
    }

    #[test]
    fn lengths_beyond_the_end_are_garbage() {
        for length in [1_u32, 5, u32::MAX - 3, u32::MAX] {
            let mut to = Writer::default();
            to.number(length);
            let mut from = Reader::new(to.into_bytes().into());
            assert_eq!(from.bytes(), Err(Garbage), "{length}");
        }
    }
}
