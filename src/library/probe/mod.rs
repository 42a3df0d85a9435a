//! What a file is: its kind, format and capsule, read from its bytes, never from its name.
//!
//! Bytes come from whoever opened the file (the scanner, an import, later a courier); facts go to the catalog.
//! Every parser is bounded: it never panics on foreign bytes, never allocates by a length it has not checked,
//! and never loops without moving on.

use std::io::{self, Read, Seek, SeekFrom};

use crate::model::{Container, Format, Kind, is_sidecar};
use crate::silence::{Capsule, placeholder, whole_file_capsule};

mod aac;
mod aiff;
mod avi;
mod bytes;
mod caf;
mod chunks;
mod flac;
mod id3;
mod matroska;
mod midi;
mod mp3;
mod mp4;
mod ogg;
mod riff;
mod riff_tags;
mod sniff;
mod tags;

/// Where a probe reads from.
pub trait Source: Read + Seek {}
impl<T: Read + Seek> Source for T {}

/// The source from `start` on.
struct Behind<'a> {
    source: &'a mut dyn Source,
    start: u64,
}

impl Read for Behind<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source.read(buffer)
    }
}

impl Seek for Behind<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => SeekFrom::Start(self.start.saturating_add(at)),
            other => other,
        };
        Ok(self.source.seek(to)?.saturating_sub(self.start))
    }
}

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

/// A file of which neither its headers nor its facts make silence is read whole for it, up to this size; of a larger
/// one the capsule is made later.
const READ_WHOLE: u64 = 8 * 1024 * 1024;

/// macOS keeps what another file system has no place for in `._` files; they bear the name of the real file.
const APPLE_DOUBLE: [u8; 4] = [0, 5, 0x16, 7];

/// What the bytes of `source` are. `name` is the file's name; it decides nothing but whether it is a sidecar, which is
/// never media, and whether bytes that are no media were promised to be, and is compared with what was found.
///
/// # Errors
/// [`ProbeError::NotMedia`] for what is no media and does not promise to be; [`ProbeError::Damaged`] for what
/// promises to be, by its name or first bytes, but can't be read; [`ProbeError::Io`] where reading failed.
pub fn probe(source: &mut dyn Source, name: &[u8]) -> Result<Probe, ProbeError> {
    // Such files are for the programs that write them, whatever is in them.
    if is_sidecar(name) {
        return Err(ProbeError::NotMedia);
    }
    let extension = name
        .iter()
        .rposition(|byte| *byte == b'.')
        .map_or(&[][..], |dot| &name[dot + 1..]);
    let promise = sniff::promise(extension);
    let promised = promise.map_or(&[][..], |(_, containers)| containers);
    let unreadable = |reason: &str| match promise {
        Some((container, _)) => ProbeError::Damaged {
            container,
            reason: reason.to_owned(),
        },
        None => ProbeError::NotMedia,
    };

    let size = bytes::size(source)?;
    if size == 0 {
        return Err(unreadable("the file is empty"));
    }
    let mut head = [0; 4];
    if bytes::read_at(source, 0, &mut head)? == head.len() && head == APPLE_DOUBLE {
        return Err(ProbeError::NotMedia);
    }
    // Some programs put ID3v2 tags before whatever it is. Where such tags belong, the containers' own probes see to them.
    let mut tags = id3::end(source, size)?;
    let mut behind = Behind {
        source: &mut *source,
        start: tags,
    };
    let container = match sniff::marked(&mut behind)? {
        Some(Container::Flac) | None => {
            tags = 0;
            sniff::container(source, size, promised)?
        }
        found => found,
    };
    let Some(container) = container else {
        return Err(unreadable(match promise {
            Some((_, [])) => "mediafs does not read this format",
            _ => "its first bytes are not those of such a file, nor of any other sound",
        }));
    };
    let read = match container {
        Container::Wav => riff::probe,
        Container::Aiff => aiff::probe,
        Container::Caf => caf::probe,
        Container::Flac => flac::probe,
        Container::Mp3 => mp3::probe,
        Container::Ogg => ogg::probe,
        Container::Mp4 => mp4::probe,
        Container::Aac => aac::probe,
        Container::Midi => midi::probe,
        Container::Matroska => matroska::probe,
        Container::Avi => avi::probe,
    };
    let mut behind = Behind {
        source,
        start: tags,
    };
    let mut probe = match read(&mut behind, size - tags) {
        Err(ProbeError::NotMedia) => return Err(unreadable("it holds neither sound nor notes")),
        other => other?,
    };
    if tags > 0 {
        // Its offsets are not those of the file.
        probe.capsule = None;
        probe
            .notes
            .push("has ID3 tags in front, where its format has none".to_owned());
    } else if probe.capsule.is_none()
        && size <= READ_WHOLE
        && placeholder(&probe.format, size, None).is_err()
    {
        probe.capsule = whole_file_capsule(&probe.format, behind.source)?;
    }
    if promise.is_some() && !promised.contains(&probe.format.container) {
        probe.notes.push(format!(
            "is {}, named .{}",
            sniff::label(probe.format.container),
            String::from_utf8_lossy(extension)
        ));
    }
    Ok(probe)
}
