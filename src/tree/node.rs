//! Nodes and their numbers.
//!
//! What a node shows is a function of its number alone: the kernel keeps pages by inode, so other content must be
//! another number. A number is computed, never handed out: nothing has to be remembered for it to stay the same
//! after a restart.
//!
//! ```text
//! 63      60 59   57 56  55 54      48 47          32 31                     0
//! | sort   | door  | face | epoch    | generation    | row of the catalog     |
//! ```

use mediafs_platform::drive::NodeId;

use super::class::Class;
pub use super::texts::Text;
use crate::catalog::{BaseNo, FolderNo, ItemNo, PlaceNo, Section, UsageFolderNo};
use crate::model::UsageRole;

/// By which door the tree was entered: the plain one, or one of `.as/`, where the path decides the class.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Door {
    /// Without `.as/`: the class is the requester's.
    Plain,
    /// `.as/<class>/`: the class is this one.
    As(Class),
}

impl Door {
    /// Every door, the plain one first.
    pub const ALL: [Self; 5] = [
        Self::Plain,
        Self::As(Class::Player),
        Self::As(Class::Loader),
        Self::As(Class::Copier),
        Self::As(Class::Indexer),
    ];

    /// The doors that `.as/` has, with their names.
    pub const NAMED: [(&'static str, Self); 4] = [
        ("player", Self::As(Class::Player)),
        ("loader", Self::As(Class::Loader)),
        ("copier", Self::As(Class::Copier)),
        ("indexer", Self::As(Class::Indexer)),
    ];

    fn code(self) -> u64 {
        match self {
            Self::Plain => 0,
            Self::As(Class::Player) => 1,
            Self::As(Class::Loader) => 2,
            Self::As(Class::Copier) => 3,
            Self::As(Class::Indexer) => 4,
            // There is no door for browsers; their deal is the copier's.
            Self::As(Class::Browser) => 3,
        }
    }

    fn from_code(code: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(code).ok()?).copied()
    }
}

/// What a node shows of a generation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Face {
    /// The true bytes, at hand.
    Bytes,
    /// The placeholder.
    Silence,
    /// What has arrived, with the placeholder where it came too late.
    Stream,
    /// The true bytes or an error: what a copier sees of an item that is away.
    Withheld,
}

impl Face {
    fn code(self) -> u64 {
        match self {
            Self::Bytes => 0,
            Self::Silence => 1,
            Self::Stream => 2,
            Self::Withheld => 3,
        }
    }

    fn from_code(code: u64) -> Self {
        match code & 3 {
            0 => Self::Bytes,
            1 => Self::Silence,
            2 => Self::Stream,
            _ => Self::Withheld,
        }
    }
}

/// A folder of a project that shows its items by who uses them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Uses {
    /// `by-track/`.
    Tracks,
    /// `by-plugin/`: by the program that was seen to open them.
    Plugins,
}

impl Uses {
    /// All of them, with the names of their folders.
    pub const SHOWN: [(&'static str, Self); 2] =
        [("by-track", Self::Tracks), ("by-plugin", Self::Plugins)];

    /// The one whose folder has this name.
    #[must_use]
    pub fn shown_as(name: &str) -> Option<Self> {
        Self::SHOWN
            .into_iter()
            .find(|(shown, _)| *shown == name)
            .map(|(_, uses)| uses)
    }

    /// As what items are used there.
    #[must_use]
    pub fn role(self) -> UsageRole {
        match self {
            Self::Tracks => UsageRole::Track,
            Self::Plugins => UsageRole::Observed,
        }
    }

    fn code(self) -> u64 {
        match self {
            Self::Tracks => 0,
            Self::Plugins => 1,
        }
    }

    fn from_code(code: u64) -> Self {
        match code & 1 {
            0 => Self::Tracks,
            _ => Self::Plugins,
        }
    }
}

/// What a node is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Node {
    /// The top of the drive, or of a door.
    Root,
    /// A file of the drive's own.
    Text(Text),
    /// `.fseventsd/`.
    Events,
    /// `.as/`.
    Doors,
    /// `by-id/`.
    ById,
    /// `by-id/<mediaId>/`.
    ItemFolder(ItemNo),
    /// `projects/`.
    Projects,
    /// `projects/<project>/`.
    Project(BaseNo),
    /// `projects/<project>/Audio/` and its like.
    Section(BaseNo, Section),
    /// `projects/<project>/by-id/`.
    ProjectById(BaseNo),
    /// `projects/<project>/by-id/<mediaId>/`.
    ProjectItemFolder(ItemNo),
    /// `projects/<project>/by-track/` and its like.
    Uses(BaseNo, Uses),
    /// `projects/<project>/by-track/<track>/` and its like.
    UsageFolder(UsageFolderNo),
    /// `library/`.
    Library,
    /// `library/<root>/…`, a folder of it.
    Folder(FolderNo),
    /// `record/`.
    Record,
    /// `import/`.
    DropBox,
    /// A file or folder in `import/`, by a number that the drop box gave it.
    Dropped(u32),
    /// A sidecar that a program wrote, by a number that the store of them gave it.
    Sidecar(u32),
    /// The file of a take that is not final yet.
    Take {
        /// Which.
        item: ItemNo,
        /// As it is in `record/`; elsewhere it is only read.
        writable: bool,
    },
    /// A media item's file, in whatever view.
    Item {
        /// Which.
        item: ItemNo,
        /// Its generation, by its last sixteen bits.
        generation: u16,
        /// What is shown of it.
        face: Face,
        /// Counts the streams of which a range was answered as silence.
        epoch: u8,
    },
    /// A file of a library that is no item.
    Place {
        /// Which.
        place: PlaceNo,
        /// Its generation, by its last sixteen bits.
        generation: u16,
    },
    /// A symbolic link of a library.
    Link {
        /// Which.
        place: PlaceNo,
        /// Its generation, by its last sixteen bits.
        generation: u16,
    },
}

/// The last bits of a generation, as node numbers hold it.
#[must_use]
pub fn generation_bits(generation: u32) -> u16 {
    u16::try_from(generation & 0xFFFF).unwrap_or(0)
}

fn section_code(section: Section) -> u64 {
    match section {
        Section::Audio => 0,
        Section::Midi => 1,
        Section::Video => 2,
        Section::Analysis => 3,
    }
}

fn section_from_code(code: u64) -> Section {
    match code & 3 {
        0 => Section::Audio,
        1 => Section::Midi,
        2 => Section::Video,
        _ => Section::Analysis,
    }
}

const ROW: u64 = 0xFFFF_FFFF;

/// Rows of the sort 0: the fixed nodes.
const ROOT: u64 = 1;
const README: u64 = 2;
const DOORS: u64 = 3;
const BY_ID: u64 = 4;
const PROJECTS: u64 = 5;
const LIBRARY: u64 = 6;
const RECORD: u64 = 7;
const DROP_BOX: u64 = 8;
const EVENTS: u64 = 9;
const NEVER_INDEX: u64 = 10;
const NEVER_BACK_UP: u64 = 11;
const NO_LOG: u64 = 12;

impl Node {
    /// The number of this node behind a door.
    #[must_use]
    pub fn id(self, door: Door) -> NodeId {
        let (sort, face, epoch, generation, row) = match self {
            Self::Root => (0, 0, 0, 0, ROOT),
            Self::Text(Text::ReadMe) => (0, 0, 0, 0, README),
            Self::Text(Text::NeverIndex) => (0, 0, 0, 0, NEVER_INDEX),
            Self::Text(Text::NeverBackUp) => (0, 0, 0, 0, NEVER_BACK_UP),
            Self::Text(Text::NoLog) => (0, 0, 0, 0, NO_LOG),
            Self::Events => (0, 0, 0, 0, EVENTS),
            Self::Doors => (0, 0, 0, 0, DOORS),
            Self::ById => (0, 0, 0, 0, BY_ID),
            Self::Projects => (0, 0, 0, 0, PROJECTS),
            Self::Library => (0, 0, 0, 0, LIBRARY),
            Self::Record => (0, 0, 0, 0, RECORD),
            Self::DropBox => (0, 0, 0, 0, DROP_BOX),
            Self::Dropped(number) => (11, 0, 0, 0, u64::from(number)),
            Self::Sidecar(number) => (14, 0, 0, 0, u64::from(number)),
            Self::Take { item, writable } => (10, u64::from(writable), 0, 0, u64::from(item.0)),
            Self::ItemFolder(item) => (1, 0, 0, 0, u64::from(item.0)),
            Self::Project(base) => (2, 0, 0, 0, u64::from(base.0)),
            Self::Section(base, section) => (3, section_code(section), 0, 0, u64::from(base.0)),
            Self::ProjectById(base) => (4, 0, 0, 0, u64::from(base.0)),
            Self::ProjectItemFolder(item) => (5, 0, 0, 0, u64::from(item.0)),
            Self::Folder(folder) => (6, 0, 0, 0, u64::from(folder.0)),
            Self::Item {
                item,
                generation,
                face,
                epoch,
            } => (
                7,
                face.code(),
                u64::from(epoch & 0x7F),
                u64::from(generation),
                u64::from(item.0),
            ),
            Self::Place { place, generation } => {
                (8, 0, 0, u64::from(generation), u64::from(place.0))
            }
            Self::Link { place, generation } => {
                (9, 0, 0, u64::from(generation), u64::from(place.0))
            }
            Self::Uses(base, uses) => (12, uses.code(), 0, 0, u64::from(base.0)),
            Self::UsageFolder(folder) => (13, 0, 0, 0, u64::from(folder.0)),
        };
        NodeId(sort << 60 | door.code() << 57 | face << 55 | epoch << 48 | generation << 32 | row)
    }

    /// The node and door of a number; `None` for one that was never given.
    #[must_use]
    pub fn from_id(id: NodeId) -> Option<(Self, Door)> {
        let bits = id.0;
        let row = u32::try_from(bits & ROW).ok()?;
        let generation = u16::try_from(bits >> 32 & 0xFFFF).ok()?;
        let epoch = u8::try_from(bits >> 48 & 0x7F).ok()?;
        let face = bits >> 55 & 3;
        let door = Door::from_code(bits >> 57 & 7)?;
        let node = match (bits >> 60, u64::from(row)) {
            (0, ROOT) => Self::Root,
            (0, README) => Self::Text(Text::ReadMe),
            (0, NEVER_INDEX) => Self::Text(Text::NeverIndex),
            (0, NEVER_BACK_UP) => Self::Text(Text::NeverBackUp),
            (0, NO_LOG) => Self::Text(Text::NoLog),
            (0, EVENTS) => Self::Events,
            (0, DOORS) => Self::Doors,
            (0, BY_ID) => Self::ById,
            (0, PROJECTS) => Self::Projects,
            (0, LIBRARY) => Self::Library,
            (0, RECORD) => Self::Record,
            (0, DROP_BOX) => Self::DropBox,
            (1, _) => Self::ItemFolder(ItemNo(row)),
            (2, _) => Self::Project(BaseNo(row)),
            (3, _) => Self::Section(BaseNo(row), section_from_code(face)),
            (4, _) => Self::ProjectById(BaseNo(row)),
            (5, _) => Self::ProjectItemFolder(ItemNo(row)),
            (6, _) => Self::Folder(FolderNo(row)),
            (7, _) => Self::Item {
                item: ItemNo(row),
                generation,
                face: Face::from_code(face),
                epoch,
            },
            (8, _) => Self::Place {
                place: PlaceNo(row),
                generation,
            },
            (9, _) => Self::Link {
                place: PlaceNo(row),
                generation,
            },
            (10, _) => Self::Take {
                item: ItemNo(row),
                writable: face & 1 == 1,
            },
            (12, _) => Self::Uses(BaseNo(row), Uses::from_code(face)),
            (13, _) => Self::UsageFolder(UsageFolderNo(row)),
            (11, _) => Self::Dropped(row),
            (14, _) => Self::Sidecar(row),
            _ => return None,
        };
        Some((node, door))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_root_is_what_the_kernel_takes_for_it() {
        assert_eq!(Node::Root.id(Door::Plain), NodeId::ROOT);
    }

    #[test]
    fn what_is_always_there_has_a_number_of_its_own() {
        let texts = Text::ALL.map(Node::Text);
        let folders = [Node::Root, Node::Doors, Node::ById, Node::Projects];
        let more = [Node::Library, Node::Record, Node::DropBox, Node::Events];
        let mut numbers = std::collections::BTreeSet::new();
        for node in texts.into_iter().chain(folders).chain(more) {
            let id = node.id(Door::Plain);
            assert!(numbers.insert(id.0), "{node:?}");
            assert_eq!(Node::from_id(id), Some((node, Door::Plain)));
        }
    }

    proptest! {
        #[test]
        fn numbers_and_nodes_are_one_to_one(
            row in any::<u32>(), generation in any::<u16>(), epoch in 0u8..128, face in 0u64..4, door in 0usize..5, sort in 0usize..14,
        ) {
            let node = match sort {
                0 => Node::ItemFolder(ItemNo(row)),
                1 => Node::Project(BaseNo(row)),
                2 => Node::Section(BaseNo(row), section_from_code(face)),
                3 => Node::ProjectById(BaseNo(row)),
                4 => Node::ProjectItemFolder(ItemNo(row)),
                5 => Node::Folder(FolderNo(row)),
                6 => Node::Item { item: ItemNo(row), generation, face: Face::from_code(face), epoch },
                7 => Node::Place { place: PlaceNo(row), generation },
                11 => Node::Dropped(row),
                12 => Node::Sidecar(row),
                8 => Node::Take { item: ItemNo(row), writable: face & 1 == 1 },
                10 => Node::Uses(BaseNo(row), Uses::from_code(face)),
                9 => Node::UsageFolder(UsageFolderNo(row)),
                _ => Node::Link { place: PlaceNo(row), generation },
            };
            let door = Door::ALL[door];
            prop_assert_eq!(Node::from_id(node.id(door)), Some((node, door)));
        }

        #[test]
        fn no_number_is_trusted(bits in any::<u64>()) {
            if let Some((node, door)) = Node::from_id(NodeId(bits)) {
                // Whatever was read out of it leads to a number that reads the same.
                prop_assert_eq!(Node::from_id(node.id(door)), Some((node, door)));
            }
        }
    }
}
