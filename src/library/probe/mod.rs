//! What a file is: its kind, format and capsule, read from its bytes, never from its name.
//!
//! Bytes come from whoever opened the file (the scanner, an import, later a courier); facts go to the catalog.
//! Every parser is bounded: it never panics on foreign bytes, never allocates by a length it has not checked,
//! and never loops without moving on.

use std::io::{Read, Seek};

use crate::model::{Format, Kind};
use crate::silence::Capsule;

/// Where a probe reads from.
pub trait Source: Read + Seek {}
impl<T: Read + Seek> Source for T {}

/// What a file turned out to be.
#[derive(Clone, PartialEq, Debug)]
pub struct Probe {
    /// Audio, MIDI or video.
    pub kind: Kind,
    /// Facts of its (first) audio stream.
    pub format: Format,
    /// What a placeholder needs, where it is made from the headers alone.
    pub capsule: Option<Capsule>,
    /// Values that the file itself states (`bpm`, `key`, `rootNote`, …), by name.
    pub attributes: Vec<(String, serde_json::Value)>,
    /// What is odd about the file, for people: "is FLAC, named .wav", "announces 4,000 more bytes than there are".
    pub notes: Vec<String>,
}

/// Why a file gave no facts.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nothing that mediafs knows. Not an error for a library: such files are shown, without an id.
    #[error("not a media file")]
    NotMedia,
    /// Its name or first bytes promise media, but it can't be read as such.
    #[error("{container} cannot be read: {reason}")]
    Damaged {
        /// What it seems to be.
        container: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The file could not be read.
    #[error("reading failed")]
    Io(#[from] std::io::Error),
}
