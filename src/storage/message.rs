//! What a courier is asked and answers, and how that goes over its socket.
//!
//! A frame is two lengths (u32, little endian), a header in postcard's encoding (a number, and the question or reply),
//! and a payload of bytes. Both lengths are checked before anything is allocated: the other side may be a process that
//! a damaged file has led astray.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::catalog::{Evidence, Nanoseconds};

/// Longest header, in bytes.
const LONGEST_HEADER: u32 = 4 << 20;
/// Longest payload, and so the most that one [`Question::Read`] gives, in bytes.
pub(crate) const LONGEST_PAYLOAD: u32 = 1 << 20;

/// A name or path as the bytes that it is on disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Bytes(Vec<u8>);

impl From<&Path> for Bytes {
    fn from(path: &Path) -> Self {
        Self(path.as_os_str().as_encoded_bytes().to_vec())
    }
}

impl From<OsString> for Bytes {
    fn from(name: OsString) -> Self {
        Self(name.into_encoded_bytes())
    }
}

impl From<Bytes> for OsString {
    fn from(bytes: Bytes) -> Self {
        mediafs_platform::names::lossy(bytes.0)
    }
}

impl From<Bytes> for PathBuf {
    fn from(bytes: Bytes) -> Self {
        OsString::from(bytes).into()
    }
}

/// What is at a path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// Something else, in words.
    Other(String),
}

/// What a file is, by its content.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// A sound, or other media that is known here.
    Media,
    /// Something else.
    NotMedia,
    /// It promises media and can't be read, with the reason.
    Problem(String),
}

/// [`Evidence`] on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct WireEvidence {
    device: u64,
    inode: u64,
    size: u64,
    modified: i64,
    changed: i64,
    born: Option<i64>,
    permissions: u16,
}

impl From<Evidence> for WireEvidence {
    fn from(evidence: Evidence) -> Self {
        Self {
            device: evidence.device,
            inode: evidence.inode,
            size: evidence.size,
            modified: evidence.modified.0,
            changed: evidence.changed.0,
            born: evidence.born.map(|born| born.0),
            permissions: evidence.permissions,
        }
    }
}

impl From<WireEvidence> for Evidence {
    fn from(wire: WireEvidence) -> Self {
        Self {
            device: wire.device,
            inode: wire.inode,
            size: wire.size,
            modified: Nanoseconds(wire.modified),
            changed: Nanoseconds(wire.changed),
            born: wire.born.map(Nanoseconds),
            permissions: wire.permissions,
        }
    }
}

/// One entry of a folder, with all that a look at it says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) name: Bytes,
    pub(crate) seen: FoundSeen,
}

impl Found {
    /// Roughly how many bytes it takes.
    pub(crate) fn length(&self) -> usize {
        let link = match &self.seen {
            FoundSeen::There { link, .. } => link.as_ref().map_or(0, |link| link.0.len()),
            FoundSeen::Failed(why) => why.len(),
        };
        self.name.0.len() + link
    }
}

/// What a look at an entry said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum FoundSeen {
    /// What it is.
    There {
        kind: Kind,
        evidence: WireEvidence,
        /// Where a link points, as written.
        link: Option<Bytes>,
        /// Its bytes are with a cloud provider only: reading them would fetch them.
        online_only: bool,
        /// It is another file, which stands for one of this name; its size is not that one's.
        stand_in: bool,
    },
    /// It can't be looked at, with the system's reason.
    Failed(String),
}

/// What a courier is asked. Paths are absolute.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Question {
    /// Where does this path lead, links followed, and what is there?
    Resolve(Bytes),
    /// What is in the folder `below` this root, and what does the disk say of each? No link is followed. With
    /// `crossing`, other file systems on the way are entered. With `may_come`, a cloud provider may be asked what is in it,
    /// where that is not on the disk.
    List {
        root: Bytes,
        below: Bytes,
        crossing: bool,
        may_come: bool,
    },
    /// What does the disk say of this file?
    Look(Bytes),
    /// And what is it?
    Probe(Bytes),
    /// All that can be told of a file without reading it again: what becomes of it in the catalog.
    Facts(Bytes),
    /// Bytes of this file, if the disk still says the same of it; fewer at its end. Also where that makes a cloud
    /// provider fetch them, if `fetch` says so.
    Read {
        file: Bytes,
        evidence: WireEvidence,
        offset: u64,
        length: u32,
        fetch: bool,
    },
    /// Give back to its cloud provider what it fetched of this file for us, if the disk still says the same of it.
    GiveBack { file: Bytes, evidence: WireEvidence },
    /// What is the disk of the mount of this number, at this point?
    Identify { mount: u64, point: Bytes },
    /// Put this mark on the disk of the mount of this number, unless it has one; what is it then?
    Mark {
        mount: u64,
        point: Bytes,
        mark: String,
    },
    /// Which project is this folder? One that is none becomes one of this name.
    Project { folder: Bytes, name: String },
    /// Make the folder `below` this root, as far as it is not there. No link is followed.
    MakeFolder { root: Bytes, below: Bytes },
    /// Write this part of a new file; the first one, at 0, makes it.
    Write {
        folder: Bytes,
        name: Bytes,
        offset: u64,
        part: Vec<u8>,
    },
    /// Bring what was written of a new file to the disk, so that what is read from now on is what the disk has.
    Settle { folder: Bytes, name: Bytes },
    /// Bring a new file to the disk and give it its name, in the place of another one (which stays under `previous`) or
    /// of none.
    Name {
        folder: Bytes,
        from: Bytes,
        to: Bytes,
        replace: bool,
        previous: Option<Bytes>,
    },
    /// Give a file another name, over no other.
    Rename {
        folder: Bytes,
        from: Bytes,
        to: Bytes,
    },
    /// Remove a new file that got no name.
    Remove { folder: Bytes, name: Bytes },
}

/// What it answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// To [`Question::Resolve`].
    Resolved { path: Bytes, kind: Kind },
    /// To [`Question::List`], in several frames: the folder itself, and some of its entries.
    Listed {
        folder: WireEvidence,
        entries: Vec<Found>,
        more: bool,
    },
    /// To [`Question::List`], before the first answer: the folder's cloud provider has to tell what is in it, and takes as
    /// long as it likes.
    Coming,
    /// To [`Question::List`]: something else has that name.
    NotAFolder,
    /// To [`Question::List`]: another file system is mounted there.
    OtherFileSystem,
    /// To [`Question::Look`].
    Seen(WireEvidence),
    /// To [`Question::Probe`].
    Probed {
        evidence: WireEvidence,
        verdict: Verdict,
    },
    /// To [`Question::Facts`], before the last answer: the payload is a part of the capsule.
    CapsulePart,
    /// To [`Question::Facts`]: what the disk said before and after, and the facts as JSON.
    Facts {
        evidence: WireEvidence,
        facts: String,
        has_capsule: bool,
    },
    /// The bytes, or the list of a folder, are with a cloud provider only, and nothing was read.
    OnlineOnly,
    /// To [`Question::Facts`]: the storage failed over it, with the system's reason, so nothing is known of what is in it.
    NotRead(String),
    /// To [`Question::Read`]; the bytes are the payload. `fetched`: they were with a cloud provider only, which has fetched
    /// the file for this.
    Bytes { fetched: bool },
    /// To [`Question::Read`] and [`Question::GiveBack`]: it is another file, or another content, than was asked for.
    Changed,
    /// To [`Question::Identify`] and [`Question::Mark`]: the text of its identity, and its name for people.
    Identified {
        identity: String,
        label: Option<String>,
    },
    /// To [`Question::Project`]: what its manifest says.
    Project { id: String, name: String },
    /// It was done.
    Done,
    /// To [`Question::Name`] and [`Question::Rename`]: the name is another's.
    Taken,
    /// What holds the bytes can't be reached, with the system's reason.
    Unreachable(String),
    /// There is nothing of that name.
    NotFound,
    /// The system's reason why not.
    Failed(String),
}

/// One frame.
pub(crate) struct Frame<T> {
    /// Of the question that this is, or answers.
    pub(crate) number: u64,
    pub(crate) header: T,
    pub(crate) payload: Vec<u8>,
}

/// Writes one frame.
pub(crate) fn send<T: Serialize>(
    to: &mut impl Write,
    number: u64,
    header: &T,
    payload: &[u8],
) -> io::Result<()> {
    let header = postcard::to_stdvec(&(number, header)).map_err(io::Error::other)?;
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "the frame is too long");
    let header_length = u32::try_from(header.len()).map_err(|_| too_long())?;
    let payload_length = u32::try_from(payload.len()).map_err(|_| too_long())?;
    if header_length > LONGEST_HEADER || payload_length > LONGEST_PAYLOAD {
        return Err(too_long());
    }
    let mut frame = Vec::with_capacity(8 + header.len() + payload.len());
    frame.extend_from_slice(&header_length.to_le_bytes());
    frame.extend_from_slice(&payload_length.to_le_bytes());
    frame.extend_from_slice(&header);
    frame.extend_from_slice(payload);
    to.write_all(&frame)
}

/// Reads one frame; `None` where the other side has ended.
pub(crate) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<Frame<T>>> {
    let mut lengths = [0; 8];
    match from.read_exact(&mut lengths) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let [a, b, c, d, e, f, g, h] = lengths;
    let header_length = u32::from_le_bytes([a, b, c, d]);
    let payload_length = u32::from_le_bytes([e, f, g, h]);
    if header_length > LONGEST_HEADER || payload_length > LONGEST_PAYLOAD {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a frame that is too long",
        ));
    }
    let mut header = vec![0; header_length as usize];
    from.read_exact(&mut header)?;
    let mut payload = vec![0; payload_length as usize];
    from.read_exact(&mut payload)?;
    let (number, header) = postcard::from_bytes(&header).map_err(io::Error::other)?;
    Ok(Some(Frame {
        number,
        header,
        payload,
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn frames_come_back_as_they_went() {
        let question = Question::Look(Bytes(b"/mnt/\xff odd".to_vec()));
        let mut wire = Vec::new();
        send(&mut wire, 7, &question, b"payload").unwrap();
        let frame = receive::<Question>(&mut wire.as_slice()).unwrap().unwrap();
        assert_eq!(
            (frame.number, frame.header, frame.payload.as_slice()),
            (7, question, b"payload".as_slice())
        );
        assert!(receive::<Question>(&mut [].as_slice()).unwrap().is_none());
    }

    #[test]
    fn odd_frames_are_refused_without_a_panic() {
        let mut wire = Vec::new();
        send(&mut wire, 1, &Question::Look(Bytes(b"/a".to_vec())), b"").unwrap();
        for at in 0..wire.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut odd = wire.clone();
                odd[at] = value;
                let _ = receive::<Question>(&mut odd.as_slice());
                let _ = receive::<Reply>(&mut &odd[..at]);
            }
        }
        let long = [0xff; 16];
        assert!(receive::<Reply>(&mut long.as_slice()).is_err());
    }
}
