//! Where things lie in packed media files: MPEG audio and ADTS frames, ID3 tags, Ogg pages, ISO boxes, Matroska's
//! elements, AVI's chunks.
//!
//! Grammar only, shared by the probes (which turn it into facts) and by silence (which turns it into capsules).
//! Everything here reads foreign bytes: nothing panics, nothing allocates by a length that was not checked, every
//! loop moves on.

pub(crate) mod aac;
pub(crate) mod avi;
pub(crate) mod fragments;
mod genres;
pub(crate) mod id3;
pub(crate) mod isobmff;
pub(crate) mod matroska;
pub(crate) mod mpeg;
pub(crate) mod ogg;
pub(crate) mod sample_entry;
pub(crate) mod wave_format;
pub(crate) mod window;
