//! Attributes of nodes, and what a look-up of an item answers.

use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use mediafs_platform::drive::{Attributes, DriveError, Entry, NodeKind, Room};

use super::class::Class;
use super::node::{Door, Face, Node, generation_bits};
use super::texts::Text;
use super::{MediaDrive, PUSHED, failed};
use crate::catalog::{FolderRow, ItemRow, PlaceKind, PlaceRow};
use crate::model::{Availability, Playable};

/// The node of an item's present generation with a face; see `stream` for epochs.
pub(super) fn item_node(item: &ItemRow, face: Face, epoch: u8) -> Node {
    Node::Item {
        item: item.row,
        generation: generation_bits(item.generation),
        face,
        epoch,
    }
}

/// The node of a place that is no item.
pub(super) fn place_node(place: &PlaceRow) -> Node {
    let generation = generation_bits(place.generation);
    match place.kind {
        PlaceKind::File => Node::Place {
            place: place.row,
            generation,
        },
        PlaceKind::Link(_) => Node::Link {
            place: place.row,
            generation,
        },
    }
}

/// Its true bytes are at hand, for everybody.
pub(super) fn at_hand(item: &ItemRow) -> bool {
    item.availability == Availability::Local || item.playable == Playable::Bytes
}

/// The face that an item shows to a class now.
pub(super) fn face_for(item: &ItemRow, class: impl FnOnce() -> Class) -> Face {
    if at_hand(item) {
        return Face::Bytes;
    }
    match (class(), item.playable) {
        (Class::Player | Class::Loader, Playable::Partial) => Face::Stream,
        (Class::Player | Class::Loader, Playable::Silence) => Face::Silence,
        // Nothing is known to make silence from. Told apart from a copier's node, as who is unknown is the one or the
        // other by the path alone.
        (Class::Player, Playable::Error) => Face::Silence,
        _ => Face::Withheld,
    }
}

impl MediaDrive {
    pub(super) fn folder_attributes(
        &self,
        node: Node,
        door: Door,
        modified: SystemTime,
    ) -> Attributes {
        Attributes {
            inode: node.id(door).0,
            kind: NodeKind::Folder,
            size: 0,
            modified,
            changed: modified,
            born: self.started,
            permissions: 0o555,
            uid: self.owner.uid,
            gid: self.owner.gid,
        }
    }

    pub(super) fn folder_entry(&self, node: Node, door: Door, modified: SystemTime) -> Entry {
        Entry {
            node: node.id(door),
            attributes: self.folder_attributes(node, door, modified),
            entry_ttl: PUSHED,
            attribute_ttl: PUSHED,
        }
    }

    /// `import/` itself: a folder that may be written to, of which nothing is kept.
    pub(super) fn drop_box_entry(&self, door: Door) -> Entry {
        let mut entry = self.folder_entry(Node::DropBox, door, SystemTime::now());
        entry.attributes.permissions = 0o755;
        entry.attribute_ttl = Duration::ZERO;
        entry
    }

    pub(super) fn library_folder_entry(&self, folder: &FolderRow, door: Door) -> Entry {
        self.folder_entry(
            Node::Folder(folder.row),
            door,
            SystemTime::from(folder.modified),
        )
    }

    /// The same for every face of a generation.
    pub(super) fn item_attributes(&self, item: &ItemRow, door: Door) -> Attributes {
        let modified = SystemTime::from(item.modified);
        Attributes {
            inode: item_node(item, Face::Bytes, 0).id(door).0,
            kind: NodeKind::File,
            size: item.size,
            modified,
            changed: modified,
            born: item.born.map_or(modified, SystemTime::from),
            permissions: item.permissions,
            uid: self.owner.uid,
            gid: self.owner.gid,
        }
    }

    /// What a look-up of an item answers: names of what is at hand may be kept, as a swap is pushed; what is away is
    /// looked up each time, as each class gets its own face.
    pub(super) fn item_entry(
        &self,
        item: &ItemRow,
        face: Face,
        door: Door,
        class: Option<Class>,
    ) -> Entry {
        let kept = match (face, door) {
            (Face::Bytes, _) => PUSHED,
            _ => Duration::ZERO,
        };
        Entry {
            node: item_node(item, face, self.epoch_of(item, face, class)).id(door),
            attributes: self.item_attributes(item, door),
            entry_ttl: kept,
            attribute_ttl: kept,
        }
    }

    pub(super) fn place_attributes(&self, place: &PlaceRow, door: Door) -> Attributes {
        let evidence = &place.evidence;
        let modified = SystemTime::from(evidence.modified);
        let (kind, size) = match &place.kind {
            PlaceKind::File => (NodeKind::File, evidence.size),
            PlaceKind::Link(target) => (NodeKind::Symlink, target.len() as u64),
        };
        Attributes {
            inode: place_node(place).id(door).0,
            kind,
            size,
            modified,
            changed: modified,
            born: evidence.born.map_or(modified, SystemTime::from),
            permissions: evidence.permissions,
            uid: self.owner.uid,
            gid: self.owner.gid,
        }
    }

    pub(super) fn place_entry(&self, place: &PlaceRow, door: Door) -> Entry {
        Entry {
            node: place_node(place).id(door),
            attributes: self.place_attributes(place, door),
            entry_ttl: PUSHED,
            attribute_ttl: PUSHED,
        }
    }

    pub(super) fn text_entry(&self, text: Text, door: Door) -> Entry {
        let node = Node::Text(text);
        let attributes = Attributes {
            kind: NodeKind::File,
            size: text.content().len() as u64,
            permissions: 0o444,
            ..self.folder_attributes(node, door, self.started)
        };
        Entry {
            node: node.id(door),
            attributes,
            entry_ttl: PUSHED,
            attribute_ttl: PUSHED,
        }
    }

    /// Attributes of a node. One that is open goes on having those it was opened with.
    pub(super) fn attributes_of(
        &self,
        node: Node,
        door: Door,
    ) -> Result<(Attributes, Duration), DriveError> {
        match self.present_attributes(node, door) {
            Err(DriveError::Stale) => self
                .handles
                .attributes(node.id(door))
                .map(|kept| (kept, Duration::ZERO))
                .ok_or(DriveError::Stale),
            answer => answer,
        }
    }

    fn present_attributes(
        &self,
        node: Node,
        door: Door,
    ) -> Result<(Attributes, Duration), DriveError> {
        match node {
            Node::Text(text) => Ok((self.text_entry(text, door).attributes, PUSHED)),
            Node::Item {
                item,
                generation,
                face,
                ..
            } => {
                let row = self
                    .reader()?
                    .item(item)
                    .map_err(failed)?
                    .ok_or(DriveError::Stale)?;
                if generation_bits(row.generation) != generation {
                    return Err(DriveError::Stale);
                }
                // Where the node's own number is not what programs see as the inode, the kernel must ask each time.
                let kept = if face == Face::Bytes && at_hand(&row) {
                    PUSHED
                } else {
                    Duration::ZERO
                };
                Ok((self.item_attributes(&row, door), kept))
            }
            Node::DropBox => {
                let entry = self.drop_box_entry(door);
                Ok((entry.attributes, entry.attribute_ttl))
            }
            Node::Dropped(number) => self
                .dropped_attributes(number, door)
                .map(|kept| (kept, Duration::ZERO)),
            Node::Sidecar(number) => self
                .sidecar_attributes(number, door)
                .map(|kept| (kept, Duration::ZERO)),
            Node::Take { item, writable } => self
                .take_attributes(item, writable, door)
                .map(|kept| (kept, Duration::ZERO)),
            Node::Place { place, generation } | Node::Link { place, generation } => {
                let row = self
                    .reader()?
                    .place(place)
                    .map_err(failed)?
                    .ok_or(DriveError::Stale)?;
                if generation_bits(row.generation) != generation {
                    return Err(DriveError::Stale);
                }
                Ok((self.place_attributes(&row, door), PUSHED))
            }
            Node::Folder(folder) => {
                let row = self
                    .reader()?
                    .folder(folder)
                    .map_err(failed)?
                    .ok_or(DriveError::Stale)?;
                Ok((
                    self.folder_attributes(node, door, SystemTime::from(row.modified)),
                    PUSHED,
                ))
            }
            Node::ItemFolder(item) | Node::ProjectItemFolder(item) => {
                let row = self
                    .reader()?
                    .item(item)
                    .map_err(failed)?
                    .ok_or(DriveError::Stale)?;
                Ok((
                    self.folder_attributes(node, door, SystemTime::from(row.modified)),
                    PUSHED,
                ))
            }
            _ => Ok((self.folder_attributes(node, door, self.started), PUSHED)),
        }
    }

    pub(super) fn target_of(&self, node: Node) -> Result<OsString, DriveError> {
        let Node::Link { place, generation } = node else {
            return Err(DriveError::Invalid);
        };
        let row = self
            .reader()?
            .place(place)
            .map_err(failed)?
            .ok_or(DriveError::Stale)?;
        match row.kind {
            PlaceKind::Link(target) if generation_bits(row.generation) == generation => Ok(target),
            _ => Err(DriveError::Stale),
        }
    }

    /// The disk that holds the home: nothing else can be written to through the drive.
    pub(super) fn room_now(&self) -> Room {
        let space = mediafs_platform::volume::free_space(&self.home);
        space.map_or(Room::default(), |space| Room {
            total: space.total,
            free: space.available,
            files: 0,
        })
    }
}
