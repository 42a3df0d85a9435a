//! What the catalog gives and takes: rows as plain structs.
//!
//! A **base** is the top of a tree of files: a library root, a project's folder, or the whole computer (for files
//! that are referenced where they are). A **folder** is a folder of a base; each base has a top folder. A **place** is
//! one file in a folder, present or gone. An **item** is a media item; it has at most one place of record, and several
//! items (of different scopes) may have the same place.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::model::{
    Availability, Format, Kind, Lifecycle, MediaId, ObjectHash, Origin, Playable, ProjectId,
    SourceKind, SourceNo, SourceState,
};

macro_rules! row_numbers {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
            pub struct $name(pub u32);
        )+
    };
}

row_numbers! {
    /// Number of a base, never reused.
    BaseNo,
    /// Number of a folder, never reused.
    FolderNo,
    /// Number of a place, never reused.
    PlaceNo,
    /// Number of an item, never reused.
    ItemNo,
    /// Number of an operation, never reused.
    OperationNo,
    /// Number of a folder that shows who uses what, never reused.
    UsageFolderNo,
}

/// Nanoseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Nanoseconds(pub i64);

impl From<std::time::SystemTime> for Nanoseconds {
    /// Times before 1677 and after 2262 become the nearest that can be counted.
    fn from(time: std::time::SystemTime) -> Self {
        match time.duration_since(std::time::SystemTime::UNIX_EPOCH) {
            Ok(after) => Self(i64::try_from(after.as_nanos()).unwrap_or(i64::MAX)),
            Err(before) => {
                let before = i64::try_from(before.duration().as_nanos()).unwrap_or(i64::MAX);
                Self(-before)
            }
        }
    }
}

impl Nanoseconds {
    /// As the protocol tells moments: in milliseconds since 1970; 0 for those before.
    pub(crate) fn millis(self) -> u64 {
        u64::try_from(self.0 / 1_000_000).unwrap_or(0)
    }
}

impl From<Nanoseconds> for std::time::SystemTime {
    fn from(at: Nanoseconds) -> Self {
        let distance = std::time::Duration::from_nanos(at.0.unsigned_abs());
        let time = if at.0 >= 0 {
            Self::UNIX_EPOCH.checked_add(distance)
        } else {
            Self::UNIX_EPOCH.checked_sub(distance)
        };
        time.unwrap_or(Self::UNIX_EPOCH)
    }
}

/// What the disk said of a file when it was last looked at. Another evidence is another content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// In bytes.
    pub size: u64,
    /// Last change of the content.
    pub modified: Nanoseconds,
    /// Last change of the inode.
    pub changed: Nanoseconds,
    /// Birth, where the file system tells.
    pub born: Option<Nanoseconds>,
    /// Permission bits.
    pub permissions: u16,
}

impl From<mediafs_platform::beneath::Evidence> for Evidence {
    fn from(seen: mediafs_platform::beneath::Evidence) -> Self {
        Self {
            device: seen.device,
            inode: seen.inode,
            size: seen.size,
            modified: seen.modified.into(),
            changed: seen.changed.into(),
            born: seen.born.map(Into::into),
            permissions: seen.permissions,
        }
    }
}

impl Evidence {
    /// Of what nobody could look at.
    pub(crate) const NONE: Self = Self {
        device: 0,
        inode: 0,
        size: 0,
        modified: Nanoseconds(0),
        changed: Nanoseconds(0),
        born: None,
        permissions: 0,
    };

    /// Whether two looks at a file are at the same bytes on disk, whatever its name: a rename changes the inode's time
    /// alone.
    #[must_use]
    pub fn same_bytes(&self, other: &Self) -> bool {
        self.device == other.device
            && self.inode == other.inode
            && self.size == other.size
            && self.modified == other.modified
    }

    /// Whether a file that its cloud provider has brought may be the one of which this was said before.
    #[must_use]
    pub fn is_brought(&self, before: &Self) -> bool {
        self.size == before.size && same_second(self.modified, before.modified)
    }
}

/// Cloud providers keep times in whole seconds.
pub(super) fn same_second(one: Nanoseconds, other: Nanoseconds) -> bool {
    const SECOND: i64 = 1_000_000_000;
    one.0.div_euclid(SECOND) == other.0.div_euclid(SECOND)
}

/// What a base is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BaseKind {
    /// A library root: mirrored under `library/<name>`.
    Library,
    /// A project's folder.
    Project,
    /// The computer's root folder, for references by absolute path. There is one.
    Computer,
    /// The root of a source, for references to files on it. There is one for each source.
    Source,
}

/// A base.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BaseRow {
    /// Its number.
    pub row: BaseNo,
    /// What it is.
    pub kind: BaseKind,
    /// The name it is shown by: a safe name, unique in its kind without regard to case.
    pub name: String,
    /// Absolute.
    pub path: PathBuf,
    /// The folder at its top.
    pub top: FolderNo,
    /// Of a project: its id.
    pub project: Option<ProjectId>,
    /// Library: registered. Project: open.
    pub active: bool,
    /// Of several open projects the one that the host works in.
    pub focused: bool,
    /// What it lies on, where that is not trusted storage.
    pub source: Option<SourceNo>,
    /// Where it lies below the root of its source.
    pub inside: PathBuf,
}

/// A source: storage that is not trusted, and lives or hangs as one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceRow {
    /// Its number.
    pub row: SourceNo,
    /// What it is.
    pub kind: SourceKind,
    /// By what it is known again; the text of `mediafs_platform::volume::VolumeIdentity`, or the root of a cloud.
    pub identity: String,
    /// For people.
    pub name: String,
    /// Who manages a cloud root, or serves a file system.
    pub provider: Option<String>,
    /// Where its root was seen last.
    pub path: PathBuf,
    /// When that was.
    pub seen: Nanoseconds,
}

/// What a source is made known with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewSource {
    /// What it is.
    pub kind: SourceKind,
    /// By what it is known again.
    pub identity: String,
    /// For people.
    pub name: String,
    /// Who manages or serves it.
    pub provider: Option<String>,
    /// Where its root is.
    pub path: PathBuf,
}

/// A folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FolderRow {
    /// Its number.
    pub row: FolderNo,
    /// In which base.
    pub base: BaseNo,
    /// `None` for the top.
    pub parent: Option<FolderNo>,
    /// As on disk; empty for the top.
    pub name: OsString,
    /// Last change of its list.
    pub modified: Nanoseconds,
}

/// What is at a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PlaceKind {
    /// A regular file.
    File,
    /// A symbolic link that stays inside its base; where it points, as written.
    Link(OsString),
}

/// A file of a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlaceRow {
    /// Its number.
    pub row: PlaceNo,
    /// In which base.
    pub base: BaseNo,
    /// In which folder; `None` when another file has taken its name.
    pub folder: Option<FolderNo>,
    /// As on disk.
    pub name: OsString,
    /// File or link.
    pub kind: PlaceKind,
    /// As last seen.
    pub evidence: Evidence,
    /// Counts the contents seen here, from 1.
    pub generation: u32,
    /// Seen when last looked for.
    pub present: bool,
    /// Its storage is not there, so that nobody can say whether it is: it goes on being shown, and can't be opened.
    pub away: bool,
    /// Why it is no item although its name or bytes promise one.
    pub problem: Option<String>,
    /// Its bytes are not on this machine: reading it would make a provider fetch it.
    pub online_only: bool,
}

impl PlaceRow {
    /// The file was there when last looked for, and its storage is.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.present && !self.away
    }

    /// Nobody has ever seen the file: a project's manifest tells of it.
    #[must_use]
    pub fn is_told_of(&self) -> bool {
        let Evidence {
            device,
            inode,
            changed,
            permissions,
            ..
        } = self.evidence;
        !self.present && (device, inode, changed.0, permissions) == (0, 0, 0, 0)
    }
}

/// What the tree needs of an item at each look-up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ItemRow {
    /// Its number.
    pub row: ItemNo,
    /// Its id.
    pub media_id: MediaId,
    /// `None`: the library; else the project's base.
    pub project: Option<BaseNo>,
    /// What sort of thing.
    pub kind: Kind,
    /// Present name with extension, unsafe characters and all.
    pub name: String,
    /// Counts its contents, from 1.
    pub generation: u32,
    /// Of the present generation, in bytes.
    pub size: u64,
    /// Of the present generation.
    pub modified: Nanoseconds,
    /// Where known.
    pub born: Option<Nanoseconds>,
    /// Permission bits of the original.
    pub permissions: u16,
    /// Where the original is.
    pub availability: Availability,
    /// What a player gets.
    pub playable: Playable,
    /// Where its bytes are, or were last.
    pub place: Option<PlaceNo>,
    /// Its place of record, where that is another one: its own file is not there, but the same bytes are at `place`.
    pub home: Option<PlaceNo>,
    /// How far it has come. Until it is final it is a take, which has no place.
    pub lifecycle: Lifecycle,
}

impl ItemRow {
    /// It is stable: no take that is still written, or was given up.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.lifecycle == Lifecycle::Final
    }

    /// The place that the item stands for, whether or not its bytes are there now.
    #[must_use]
    pub fn place_of_record(&self) -> Option<PlaceNo> {
        self.home.or(self.place)
    }
}

/// The folders of `projects/<project>/`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Section {
    /// Sounds.
    Audio,
    /// Notes.
    Midi,
    /// Pictures that move.
    Video,
    /// What an analysis made, and kinds of a newer host.
    Analysis,
}

impl Section {
    /// All of them, with the names of their folders.
    pub const SHOWN: [(&'static str, Self); 4] = [
        ("Audio", Self::Audio),
        ("MIDI", Self::Midi),
        ("Video", Self::Video),
        ("Analysis", Self::Analysis),
    ];

    /// The section whose folder has this name.
    #[must_use]
    pub fn shown_as(name: &str) -> Option<Self> {
        Self::SHOWN
            .into_iter()
            .find(|(shown, _)| *shown == name)
            .map(|(_, section)| section)
    }
}

/// What was seen at a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation {
    /// File or link.
    pub kind: PlaceKind,
    /// What the disk says.
    pub evidence: Evidence,
}

/// What an observation meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Observed {
    /// The first time that something is seen here: probe it.
    New(PlaceNo),
    /// Known, and as it was.
    Unchanged(PlaceNo),
    /// Another content than before; its generation and that of its items was raised: probe it.
    Changed(PlaceNo),
    /// It was gone and is back as it was; its items are available again.
    Returned(PlaceNo),
}

impl Observed {
    /// The place, if it is to be probed.
    #[must_use]
    pub fn to_probe(self) -> Option<PlaceNo> {
        match self {
            Self::New(place) | Self::Changed(place) => Some(place),
            Self::Unchanged(_) | Self::Returned(_) => None,
        }
    }
}

/// What probing a file gave.
#[derive(Clone, PartialEq, Debug)]
pub enum ProbeRecord {
    /// A media file.
    Media {
        /// What sort.
        kind: Kind,
        /// Facts.
        format: Format,
        /// Values the file states.
        attributes: Vec<(String, serde_json::Value)>,
        /// What is odd.
        notes: Vec<String>,
        /// For placeholders.
        capsule: Option<crate::silence::Capsule>,
        /// Of size, first and last 64 KiB.
        fingerprint: [u8; 32],
    },
    /// Nothing mediafs knows: shown in the library, without an item.
    NotMedia,
    /// It promises media, but can't be read: listed with the reason.
    Problem(String),
}

/// What an item is made with.
#[derive(Clone, PartialEq, Debug)]
pub struct NewItem {
    /// The host's own id, or a new one.
    pub media_id: MediaId,
    /// `None`: the library.
    pub project: Option<BaseNo>,
    /// With extension.
    pub name: String,
    /// How it came to be.
    pub origin: Origin,
    /// Where its bytes are.
    pub place: PlaceNo,
    /// If it was computed on the way.
    pub blake3: Option<ObjectHash>,
}

/// Something that a call changed, or reverted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperationRow {
    /// Its number.
    pub row: OperationNo,
    /// In a word: `rename`, `import`, …; `undo` and `redo` of reverts.
    pub kind: String,
    /// For people.
    pub summary: String,
    /// What it belongs to, in the host's words.
    pub group: Option<String>,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Who did it, in its own words.
    pub who: Option<String>,
    /// Of a project's items alone: the project.
    pub project: Option<BaseNo>,
    /// Of a revert: the operation that it is about.
    pub root: Option<OperationNo>,
    /// The operation that put it into effect last: itself, or a revert of its revert.
    pub applied: OperationNo,
    /// The operation that reverted it, while that holds.
    pub reverted: Option<OperationNo>,
    /// It can be reverted; else history only tells of it.
    pub revertible: bool,
}

/// How many there are of what.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Media items of all scopes.
    pub items: u64,
    /// Items by what a player gets; combinations that no item has are left out.
    pub states: Vec<(Availability, Playable, u64)>,
    /// Files that were there when last looked for, media or not.
    pub places: u64,
    /// Present files that could not be read.
    pub problems: u64,
    /// Items whose content was not hashed yet.
    pub unhashed: u64,
}

/// What a look for lost capsules found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LostCapsules {
    /// Places whose capsule is to be made anew.
    pub lost: Vec<PlaceRow>,
    /// The last place that was looked at; `None` where there are no more.
    pub last: Option<PlaceNo>,
}

/// Which analysis of which bytes. A changed file is another object, and so has none.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AnalysisKey {
    /// The bytes.
    pub object: ObjectHash,
    /// What was looked for: `waveform`, `tempo`, …
    pub kind: String,
    /// How, in one fixed spelling.
    pub parameters: String,
    /// Which program in which version.
    pub producer: String,
}

/// What a commit changed. Told to listeners after it, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// An item came, changed (any of its facts, state, names, tags) or went.
    Item {
        /// Which.
        row: ItemNo,
        /// Its id.
        media_id: MediaId,
        /// Its content, availability or playability changed: what its names lead to is another node now.
        swapped: bool,
        /// It was removed.
        removed: bool,
    },
    /// A name in a folder of a base came, went or leads to something else.
    Name {
        /// Which folder.
        folder: FolderNo,
        /// As on disk.
        name: OsString,
    },
    /// A name in a project's section came or leads to something else.
    Shown {
        /// Which project.
        project: BaseNo,
        /// Where.
        section: Section,
        /// The safe name.
        name: String,
    },
    /// A base was registered, opened, closed, renamed or forgotten.
    Base {
        /// Which.
        row: BaseNo,
    },
    /// A source came, went, or does not answer; so what is true of all items on it is another now.
    Source {
        /// Which.
        row: SourceNo,
        /// How it is now.
        state: SourceState,
    },
}

/// Told of each commit; must return quickly and never call the catalog's writer.
pub type Listener = Box<dyn Fn(&[Change]) + Send + Sync>;
