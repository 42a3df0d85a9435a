//! Opening: who gets the bytes, who gets silence, who gets an error.

use std::fs::File;
use std::sync::Arc;

use mediafs_platform::drive::{Answer, Attributes, Content, DriveError, NodeId, Opened, Requester};

use super::attributes::at_hand;
use super::class::Class;
use super::handles::Shown;
use super::known::Subject;
use super::node::{Door, Face, Node, generation_bits};
use super::readme::README;
use super::source::{NotThere, Source};
use super::{MediaDrive, failed};
use crate::catalog::{ItemNo, ItemRow, PlaceNo};
use crate::model::{Availability, Playable};
use crate::silence::placeholder;

impl MediaDrive {
    pub(super) fn open_node(&self, node: Node, door: Door, by: &Requester) -> Answer<Opened> {
        match node {
            Node::ReadMe => {
                let attributes = self.readme_entry(door).attributes;
                let handle = self
                    .handles
                    .open(node.id(door), attributes, Shown::Text(README));
                Answer::Now(Ok(Opened {
                    handle,
                    content: Content::Direct,
                }))
            }
            Node::Item {
                item,
                generation,
                face: Face::Bytes,
                ..
            } => self.open_bytes(node.id(door), generation, Subject::Item(item.0), || {
                self.item_source(item, generation)
            }),
            Node::Place { place, generation } => {
                self.open_bytes(node.id(door), generation, Subject::Place(place.0), || {
                    self.place_source(place, generation)
                })
            }
            Node::Item {
                item,
                generation,
                face: Face::Silence,
                ..
            } => Answer::Now(self.open_silence(node, door, item, generation, by)),
            Node::Item {
                item,
                generation,
                face: Face::Withheld,
                ..
            } => Answer::Now(self.open_withheld(door, item, generation, by)),
            Node::Item {
                face: Face::Stream, ..
            } => Answer::Now(Err(DriveError::Stale)),
            Node::Link { .. } => Answer::Now(Err(DriveError::Invalid)),
            _ => Answer::Now(Err(DriveError::IsFolder)),
        }
    }

    /// The catalog's row of the generation that a node was given for; another generation is another node.
    fn generation_of(&self, item: ItemNo, generation: u16) -> Result<ItemRow, DriveError> {
        let row = self
            .reader()?
            .item(item)
            .map_err(failed)?
            .ok_or(DriveError::Stale)?;
        if generation_bits(row.generation) == generation {
            Ok(row)
        } else {
            Err(DriveError::Stale)
        }
    }

    /// `Stale` where the item's bytes are not at hand (any more): a look-up gives each class its own face.
    fn item_source(&self, item: ItemNo, generation: u16) -> Result<Source, DriveError> {
        let row = self.generation_of(item, generation)?;
        if !at_hand(&row) {
            return Err(DriveError::Stale);
        }
        let reader = self.reader()?;
        let place = row
            .place
            .map(|place| reader.place(place))
            .transpose()
            .map_err(failed)?
            .flatten();
        let attributes = self.item_attributes(&row, Door::Plain);
        let source = place
            .map(|place| Source::of(&reader, &place, generation, attributes))
            .transpose()?
            .flatten();
        source.ok_or(DriveError::Stale)
    }

    fn place_source(&self, place: PlaceNo, generation: u16) -> Result<Source, DriveError> {
        let reader = self.reader()?;
        let row = reader
            .place(place)
            .map_err(failed)?
            .ok_or(DriveError::Stale)?;
        if generation_bits(row.generation) != generation {
            return Err(DriveError::Stale);
        }
        if row.away {
            return Err(DriveError::Missing);
        }
        let attributes = self.place_attributes(&row, Door::Plain);
        Source::of(&reader, &row, generation, attributes)?.ok_or(DriveError::Stale)
    }

    fn open_bytes(
        &self,
        id: NodeId,
        generation: u16,
        subject: Subject,
        find: impl Fn() -> Result<Source, DriveError>,
    ) -> Answer<Opened> {
        let kept = self
            .known
            .source(subject)
            .filter(|source| source.generation == generation);
        if let Some(source) = kept {
            if let Ok(file) = self.roots.open(&source, || self.reader()) {
                return Answer::Now(Ok(self.opened_file(id, &source, file)));
            }
            // It may only have been moved: the catalog knows where to.
            self.known.set_source(subject, None);
        }
        let source = match find() {
            Ok(source) => Arc::new(source),
            Err(error) => return Answer::Now(Err(error)),
        };
        match self.roots.open(&source, || self.reader()) {
            Ok(file) => {
                let opened = self.opened_file(id, &source, file);
                self.known.set_source(subject, Some(source));
                Answer::Now(Ok(opened))
            }
            Err(NotThere::Refused(error)) => Answer::Now(Err(error)),
            Err(NotThere::Look(place)) => {
                let reconcile = Arc::clone(&self.reconcile);
                Answer::Later(Box::pin(async move {
                    let looked =
                        tokio::task::spawn_blocking(move || reconcile.reconcile(place)).await;
                    // Whatever was found, the name leads to another node now: the kernel looks it up and opens that.
                    Err(if looked.is_ok() {
                        DriveError::Stale
                    } else {
                        DriveError::Io
                    })
                }))
            }
        }
    }

    fn opened_file(&self, id: NodeId, source: &Source, file: File) -> Opened {
        let file = Arc::new(file);
        let attributes = Attributes {
            inode: id.0,
            ..source.attributes
        };
        let handle = self
            .handles
            .open(id, attributes, Shown::File(Arc::clone(&file)));
        Opened {
            handle,
            content: Content::File(file),
        }
    }

    fn open_silence(
        &self,
        node: Node,
        door: Door,
        item: ItemNo,
        generation: u16,
        by: &Requester,
    ) -> Result<Opened, DriveError> {
        let row = self.generation_of(item, generation)?;
        if at_hand(&row) || row.playable != Playable::Silence {
            return Err(DriveError::Stale);
        }
        // Nobody who is known for something else than playing is given silence, whoever looked the name up.
        if !matches!(self.class(door, by, true), Class::Player | Class::Loader) {
            return Err(DriveError::Stale);
        }
        let reader = self.reader()?;
        let format = reader
            .format(item)
            .map_err(failed)?
            .ok_or(DriveError::Missing)?;
        let capsule = reader.capsule(item).map_err(failed)?;
        let silence =
            placeholder(&format, row.size, capsule.as_ref()).map_err(|_| DriveError::Missing)?;
        let attributes = self.item_attributes(&row, door);
        let handle = self.handles.open(
            node.id(door),
            attributes,
            Shown::Silence(Arc::from(silence)),
        );
        Ok(Opened {
            handle,
            content: Content::Direct,
        })
    }

    /// The true bytes or an error. When they have come back meanwhile, a look-up leads to them.
    fn open_withheld(
        &self,
        door: Door,
        item: ItemNo,
        generation: u16,
        by: &Requester,
    ) -> Result<Opened, DriveError> {
        let row = self.generation_of(item, generation)?;
        if at_hand(&row) {
            return Err(DriveError::Stale);
        }
        // Asked as outside `by-id/`: who is unknown there is a copier, and this node was given to copiers only.
        let class = self.class(door, by, false);
        if row.playable == Playable::Silence && matches!(class, Class::Player | Class::Loader) {
            return Err(DriveError::Stale);
        }
        Err(match (row.availability, class) {
            (Availability::Missing | Availability::Local, _) => DriveError::Missing,
            (_, Class::Indexer) => DriveError::NotNow,
            (Availability::ExternalOffline, _) => DriveError::NoMedium,
            (Availability::RemoteOffline, _) => DriveError::Unreachable,
            (Availability::RemoteFetching | Availability::ExternalOnline, _) => {
                DriveError::TimedOut
            }
        })
    }
}
